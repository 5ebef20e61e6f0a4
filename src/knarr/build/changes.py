"""Instructions that change an image's config without a build: `commit --change`, `import --change`.

Docker: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR
"""

from __future__ import annotations

from knarr.build import metadata
from knarr.build.dockerfile import instructions as ins
from knarr.build.dockerfile.checks import Checks, Switches
from knarr.build.dockerfile.document import parse_document
from knarr.build.dockerfile.expansion import expand
from knarr.build.dockerfile.fault import Fault
from knarr.build.dockerfile.reading import read_instruction
from knarr.build.dockerfile.words import Lexer
from knarr.build.stage import StageState, split_env

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.oci.config import RunConfig
    from knarr.oci.descriptor import Platform

_ALLOWED = (
    ins.Cmd,
    ins.Entrypoint,
    ins.Env,
    ins.Expose,
    ins.Healthcheck,
    ins.Label,
    ins.OnBuild,
    ins.StopSignal,
    ins.User,
    ins.Volume,
    ins.Workdir,
)


def change_config(config: RunConfig, changes: Sequence[str], *, platform: Platform) -> RunConfig:
    """Return `config` after the instructions in `changes`, carried out in their order.

    Raises: SyntaxFault
    """
    if not changes:
        return config
    text = "\n".join(changes)
    document = parse_document(text.encode("utf-8", "surrogateescape"), name="--change")
    lexer = Lexer(escape=document.escape)
    state = StageState("", 0, platform, lexer)
    state.config = config
    state.env = split_env(config.env)
    checks = Checks(Switches())
    for node in document.nodes:
        with document.source.locating(node):
            instruction = read_instruction(node)
            if not isinstance(instruction, _ALLOWED):
                message = f"{node.name.lower()} is not a valid change command"
                raise Fault(message, word=node.name)

            def word(text: str) -> str:
                return lexer.expand(text, state.env).text

            instruction = expand(instruction, word, word)
            if isinstance(instruction, ins.Workdir):
                state.config = state.config.replace(working_dir=state.place(instruction.path))
            else:
                metadata.apply(state, instruction, checks)
    return state.config
