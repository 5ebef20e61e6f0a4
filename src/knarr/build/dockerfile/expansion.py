"""Which words of which instruction have their variables replaced.

RUN, CMD, ENTRYPOINT, SHELL and HEALTHCHECK are left to the shell; EXPOSE and ARG have rules of
their own, seen to where they are carried out.
"""

from __future__ import annotations

from knarr.build.dockerfile.instructions import (
    Add,
    Env,
    Instruction,
    Label,
    StopSignal,
    Transfer,
    User,
    Volume,
    Workdir,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.build.dockerfile.heredocs import Heredoc
    from knarr.build.dockerfile.nodes import Pair

    Expand = Callable[[str], str]


def expand(instruction: Instruction, word: Expand, body: Expand) -> Instruction:
    """Return `instruction` with its variables replaced.

    `word` expands a word, quotes and escapes too; `body` the text of a heredoc, in which quotes
    are ordinary letters.
    """
    match instruction:
        case Env() | Label():
            return instruction.replace(pairs=tuple(_pair(pair, word) for pair in instruction.pairs))
        case Transfer():
            return _transfer(instruction, word, body)
        case Workdir():
            return instruction.replace(path=word(instruction.path))
        case User():
            return instruction.replace(user=word(instruction.user))
        case Volume():
            return instruction.replace(paths=tuple(word(path) for path in instruction.paths))
        case StopSignal():
            return instruction.replace(signal=word(instruction.signal))
    return instruction


def _pair(pair: Pair, word: Expand) -> Pair:
    return pair.replace(key=word(pair.key), value=word(pair.value))


def _transfer(transfer: Transfer, word: Expand, body: Expand) -> Transfer:
    expanded = transfer.replace(
        chown=word(transfer.chown),
        chmod=word(transfer.chmod),
        sources=tuple(word(source) for source in transfer.sources),
        destination=word(transfer.destination),
        inline=tuple(_inline(heredoc, body) for heredoc in transfer.inline),
    )
    if isinstance(expanded, Add):
        return expanded.replace(checksum=word(expanded.checksum))
    return expanded


def _inline(heredoc: Heredoc, body: Expand) -> Heredoc:
    """Replace the body by what the file will hold: it is final, and has no tabs to strip."""
    content = body(heredoc.content) if heredoc.expands else heredoc.content
    return heredoc.replace(body=content, strips_tabs=False)
