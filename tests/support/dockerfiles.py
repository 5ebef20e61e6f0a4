"""Dockerfiles as text that a person can review: what the parser made of each instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.build.dockerfile.nodes import Node
from knarr.util.value import Value

if TYPE_CHECKING:
    from knarr.build.dockerfile.instructions import Instruction
    from knarr.build.dockerfile.program import Program


def describe(program: Program) -> str:
    """Return global arguments and stages, one instruction a line."""
    lines = [f"escape {program.document.escape}"]
    lines += [
        f"directive {directive.line} {directive.name} = {directive.value}"
        for directive in program.document.directives
    ]
    lines += [_instruction(argument) for argument in program.arguments]
    for stage in program.stages:
        about = f" {stage.description!r}" if stage.description else ""
        lines.append(f"stage {stage.index}{about}")
        lines += [f"  {_instruction(each)}" for each in (stage.head, *stage.instructions)]
    return "".join(f"{line}\n" for line in lines)


def _instruction(instruction: Instruction) -> str:
    node = instruction.node
    return f"{node.first}-{node.last} {node.name} {_fields(instruction)}"


def _fields(value: Value) -> str:
    cls = type(value)
    shown = []
    for name in cls._fields:
        content = getattr(value, name)
        if isinstance(content, Node) or content == cls._defaults.get(name, _fields):
            continue
        shown.append(f"{name}={_content(content)}")
    return " ".join(shown)


def _content(content: object) -> str:
    if isinstance(content, Value):
        return f"({_fields(content)})"
    if isinstance(content, tuple):
        return "[" + ", ".join(_content(each) for each in content) + "]"
    return repr(content)
