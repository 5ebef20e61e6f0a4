"""A Dockerfile as what it means: global arguments, then stages of instructions."""

from __future__ import annotations

from knarr.build.dockerfile.document import Document, parse_document
from knarr.build.dockerfile.fault import Fault
from knarr.build.dockerfile.instructions import Arg, From, Instruction, Stage
from knarr.build.dockerfile.reading import describe, read_instruction
from knarr.errors import SyntaxFault
from knarr.util.value import Value

_LANGUAGES = ("docker/dockerfile", "docker/dockerfile-upstream", "dockerfile.v0")


class Program(Value):
    """A Dockerfile in which every instruction is right by itself."""

    document: Document
    arguments: tuple[Arg, ...]
    stages: tuple[Stage, ...]


def is_known_syntax(name: str) -> bool:
    """Tell whether a `# syntax=` directive asks for the language that is understood here.

    Any version will do: later ones of docker/dockerfile read what is written for earlier ones.
    """
    word = name.split(maxsplit=1)[0].partition("@")[0].removeprefix("docker.io/")
    repository, _, version = word.rpartition(":")
    return (repository or version) in _LANGUAGES


def parse_dockerfile(data: bytes, *, name: str = "Dockerfile") -> Program:
    """Read a whole Dockerfile. Raises: SyntaxFault"""
    document = parse_document(data, name=name)
    arguments: list[Arg] = []
    heads: list[From] = []
    bodies: list[list[Instruction]] = []
    for node in document.nodes:
        with document.source.locating(node):
            instruction = read_instruction(node)
            if isinstance(instruction, From):
                heads.append(instruction)
                bodies.append([])
            elif bodies:
                bodies[-1].append(instruction)
            elif isinstance(instruction, Arg):
                arguments.append(instruction)
            else:
                message = "no build stage in current context"
                hint = "An instruction other than ARG needs a FROM above it."
                raise Fault(message, word=node.name, hint=hint)
    if not heads:
        last = document.nodes[-1]
        with document.source.locating(last):
            message = "dockerfile contains no stages to build"
            raise Fault(message, hint="A Dockerfile needs a FROM.")
    stages = tuple(
        Stage(head, tuple(body), index, describe(head.node.comments, head.stage))
        for index, (head, body) in enumerate(zip(heads, bodies, strict=True))
    )
    return Program(document, tuple(arguments), stages)


def parse_trigger(trigger: str, place: From) -> Instruction:
    """Return the instruction of an ONBUILD trigger, placed at the FROM that obeys it.

    Raises: Fault
    """
    try:
        nodes = parse_document(trigger.encode("utf-8", "surrogateescape"), name="").nodes
    except SyntaxFault as fault:
        raise Fault(fault.message, hint=fault.hint) from None
    if len(nodes) != 1:
        message = "onbuild trigger should be a single expression"
        raise Fault(message)
    node = nodes[0].replace(first=place.node.first, last=place.node.last, comments=())
    instruction = read_instruction(node)
    if isinstance(instruction, From):
        message = "FROM isn't allowed as an ONBUILD trigger"
        raise Fault(message)
    return instruction
