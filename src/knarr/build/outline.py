"""What a Dockerfile offers to who builds it: its targets, and the parameters of one of them.

Both are documents in the form of BuildKit's subrequests, so that what reads those reads ours.
"""

from __future__ import annotations

from base64 import b64encode
from functools import partial

from knarr.build.dockerfile.checks import DESCRIPTIONS
from knarr.build.dockerfile.instructions import Arg, Run
from knarr.build.dockerfile.mounts import parse_mount
from knarr.build.dockerfile.words import Lexer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from knarr.build.dockerfile.checks import Finding
    from knarr.build.dockerfile.instructions import Argument, Instruction, Stage
    from knarr.build.dockerfile.mounts import Mount
    from knarr.build.dockerfile.program import Program
    from knarr.build.stage import StageState

    Document = dict[str, Any]

_RULES = "https://docs.docker.com/go/dockerfile/rule"


def describe_targets(program: Program, text: bytes) -> Document:
    """Return the stages that can be built, in the order of the file."""
    last = len(program.stages) - 1
    targets = [
        _without_blanks(
            {
                "name": stage.head.stage,
                "default": stage.index == last,
                "description": stage.description,
                "base": stage.head.base,
                "platform": stage.head.platform,
                "location": _location(stage.head),
            }
        )
        for stage in program.stages
    ]
    return {"targets": targets, "sources": [_encode(text)]}


def describe_findings(
    findings: Iterable[Finding], name: str, text: bytes, fault: tuple[str, int, int] | None = None
) -> Document:
    """Return what the build checks found; `fault` is why there can be no build, with its lines."""
    warnings = [
        {
            "ruleName": found.rule,
            "description": DESCRIPTIONS[found.rule],
            "url": rule_url(found.rule),
            "detail": found.message,
            "location": _range(found.first, found.last),
        }
        for found in findings
    ]
    source = {"fileName": name, "language": "Dockerfile", "data": _encode(text)}
    found: Document = {"warnings": warnings, "sources": [source]}
    if fault is not None:
        message, first, last = fault
        found["buildError"] = {"message": message, "location": _range(first, last)}
    return found


def rule_url(rule: str) -> str:
    """Return where a build check is explained: FromAsCasing is `from-as-casing` there."""
    words = "".join(
        f"-{letter}" if _begins_word(rule, place) else letter for place, letter in enumerate(rule)
    )
    return f"{_RULES}/{words.lower()}/"


def _begins_word(rule: str, place: int) -> bool:
    around = rule[place - 1 : place + 2] if place else ""
    return rule[place].isupper() and len(around) == 3 and not (around[0] + around[2]).isupper()


def describe_outline(
    program: Program,
    states: Mapping[int, StageState],
    target: int,
    globals_: Mapping[str, str],
    text: bytes,
) -> Document:
    """Return the parameters of a target: what the stages that it needs (`states`) ask for."""
    stage = program.stages[target]
    others = [program.stages[index] for index in sorted(states, reverse=True) if index != target]
    needed = [stage, *others]
    document: Document = {"name": stage.head.stage, "description": stage.description}
    document["args"] = _arguments(program, needed, states, globals_)
    mounts = list(_mounts(program, needed, states))
    document["secrets"] = _mounted(mounts, "secret")
    document["ssh"] = _mounted(mounts, "ssh")
    document["cache"] = _caches(mounts)
    return {**_without_blanks(document), "sources": [_encode(text)]}


def _arguments(
    program: Program,
    stages: Sequence[Stage],
    states: Mapping[int, StageState],
    globals_: Mapping[str, str],
) -> list[Document]:
    """Return the arguments that the stages declare, or use of those above the first FROM."""
    found: dict[str, tuple[Arg, Argument, str]] = {}
    wanted: set[str] = set()
    lexer = Lexer(escape=program.document.escape)
    for stage in stages:
        for word in (stage.head.base, stage.head.platform):
            wanted |= lexer.expand(word, globals_).used
        values = states[stage.index].arguments
        for instruction, argument in _declared(reversed(stage.instructions)):
            if argument.default is None and argument.name in globals_:
                wanted.add(argument.name)
            else:
                value = values.get(argument.name, "")
                found.setdefault(argument.name, (instruction, argument, value))
    for instruction, argument in _declared(reversed(program.arguments)):
        if argument.name in wanted:
            wanted |= lexer.expand(argument.default or "", globals_).used
            value = globals_.get(argument.name, "")
            found.setdefault(argument.name, (instruction, argument, value))
    return [
        _without_blanks(
            {
                "name": name,
                "description": argument.description,
                "value": value,
                "location": _location(instruction),
            }
        )
        for name, (instruction, argument, value) in sorted(
            found.items(), key=lambda item: (item[1][0].node.first, item[0])
        )
    ]


def _declared(instructions: Iterable[Instruction]) -> Iterator[tuple[Arg, Argument]]:
    for instruction in instructions:
        if isinstance(instruction, Arg):
            for argument in instruction.arguments:
                yield instruction, argument


def _mounts(
    program: Program, stages: Sequence[Stage], states: Mapping[int, StageState]
) -> Iterator[tuple[Run, Mount]]:
    """Yield the mounts of commands, in the order of the file."""
    lexer = Lexer(escape=program.document.escape)
    for stage in sorted(stages, key=lambda each: each.index):
        expand = partial(_expand, lexer, states[stage.index].env)
        for instruction in stage.instructions:
            if isinstance(instruction, Run):
                for text in instruction.mounts:
                    yield instruction, parse_mount(text, expand)


def _expand(lexer: Lexer, env: Mapping[str, str], word: str) -> str:
    return lexer.expand(word, env).text


def _mounted(mounts: Iterable[tuple[Run, Mount]], kind: str) -> list[Document]:
    """Return the secrets or agents that commands mount."""
    found: dict[str, Document] = {}
    for instruction, mount in mounts:
        if mount.type == kind:
            name = mount.source or mount.id or mount.target.rpartition("/")[2] or "default"
            about = found.setdefault(name, {"name": name, "location": _location(instruction)})
            if mount.required:
                about["required"] = True
    return list(found.values())


def _caches(mounts: Iterable[tuple[Run, Mount]]) -> list[Document]:
    found: dict[str, Document] = {}
    for instruction, mount in mounts:
        if mount.type == "cache":
            name = mount.id or mount.target
            found.setdefault(name, {"ID": name, "Location": _location(instruction)})
    return list(found.values())


def _location(instruction: Instruction) -> Document:
    return _range(instruction.node.first, instruction.node.last)


def _range(first: int, last: int) -> Document:
    return {"ranges": [{"start": {"line": first}, "end": {"line": last}}]}


def _without_blanks(document: Document) -> Document:
    return {key: value for key, value in document.items() if value}


def _encode(text: bytes) -> str:
    return b64encode(text).decode("ascii")
