"""What SOURCE_DATE_EPOCH means: a number, or a source whose age is to be the image's.

    SOURCE_DATE_EPOCH=1700000000        seconds since 1970
    SOURCE_DATE_EPOCH=context           the build's own context
    SOURCE_DATE_EPOCH=NAME              a named context; or a stage that is one remote source alone

A source that has no time of its own (a directory, an image) says nothing, as if nothing was asked.

Docker: dockerfile2llb/epoch.go of BuildKit
"""

from __future__ import annotations

from knarr.build.dockerfile import instructions as ins
from knarr.build.dockerfile.fault import Fault
from knarr.build.remote import is_remote, parse_remote, with_checksum
from knarr.build.times import VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.build.dockerfile.words import Lexer
    from knarr.build.graph import Fetch


def source_of_stage(
    stage: ins.Stage, lexer: Lexer, globals_: Mapping[str, str], given: Mapping[str, str]
) -> Fetch:
    """Return the only source of a stage, which may have no other instruction but ARG.

    Raises: Fault
    """
    env = {name: value for name, value in globals_.items() if name != VARIABLE}
    if lexer.expand(stage.head.base, env).text != "scratch":
        message = f"{VARIABLE} stage must use FROM scratch"
        raise Fault(message)
    found = None
    for instruction in stage.instructions:
        if isinstance(instruction, ins.Arg):
            _declare(instruction, lexer, env, given)
        elif isinstance(instruction, ins.Add) and found is None:
            found = _source(instruction, lexer, env)
        elif not isinstance(instruction, ins.Add):
            message = f"{VARIABLE} stage does not meet source-only requirements"
            raise Fault(message, hint="It may have ADD and ARG alone.")
        else:
            found = None
            break
    if found is None:
        message = f"{VARIABLE} stage must contain exactly one remote ADD"
        raise Fault(message)
    return found


def _declare(
    instruction: ins.Arg, lexer: Lexer, env: dict[str, str], given: Mapping[str, str]
) -> None:
    for argument in instruction.arguments:
        if argument.name in given:
            env[argument.name] = given[argument.name]
        elif argument.default is not None:
            env[argument.name] = lexer.expand(argument.default, env).text


def _source(add: ins.Add, lexer: Lexer, env: Mapping[str, str]) -> Fetch | None:
    if add.inline or len(add.sources) != 1:
        return None
    source = lexer.expand(add.sources[0], env).text
    if not is_remote(source):
        return None
    fetch = parse_remote(source)
    checksum = lexer.expand(add.checksum, env).text
    return with_checksum(fetch, checksum) if checksum else fetch
