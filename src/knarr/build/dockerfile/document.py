"""A whole Dockerfile as nodes with their places, and the one way a fault gets its place.

What is wrong with a text leaves this package as a SyntaxFault with file, line and column; the
Document keeps the lines, so that `excerpt` can show them.
"""

from __future__ import annotations

import re
from contextlib import contextmanager

from knarr.build.dockerfile.fault import Fault
from knarr.build.dockerfile.lines import Directive, Line, Reader, decode
from knarr.build.dockerfile.nodes import Node, parse_node
from knarr.errors import SyntaxFault
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Source(Value):
    """A Dockerfile's name and its physical lines, without their ends. A trigger has no name."""

    name: str
    lines: tuple[str, ...]

    def column(self, first: int, last: int, word: str) -> tuple[int, int]:
        """Return line and column of the first `word` in a range, or (first, 0)."""
        for pattern in _patterns_for(word):
            for number in range(first, min(last, len(self.lines)) + 1):
                found = re.search(pattern, self.lines[number - 1])
                if found:
                    return number, found.start() + 1
        return first, 0

    def fault(self, fault: Fault, first: int, last: int, *, parsing: bool = True) -> SyntaxFault:
        """Return the error that says where in this file `fault` is."""
        line, column = self.column(first, last, fault.word)
        message = fault.message
        if parsing and self.name:
            message = f"dockerfile parse error on line {first}: {message}"
        return SyntaxFault(message, source=self.name, line=line, column=column, hint=fault.hint)

    @contextmanager
    def locating(self, node: Node, *, parsing: bool = True) -> Iterator[None]:
        """Give faults raised inside the place of `node`. Raises: SyntaxFault

        With `parsing` false the text itself is right, and only what it says cannot be done.
        """
        try:
            yield
        except Fault as fault:
            raise self.fault(fault, node.first, node.last, parsing=parsing) from None


def _patterns_for(word: str) -> list[str]:
    """Return how to look for `word`: as a word of its own first, then anywhere."""
    escaped = re.escape(word)
    return [rf"(?<!\S){escaped}(?!\S)", rf"(?<!\w){escaped}(?!\w)", escaped] if word else []


class Document(Value):
    """A Dockerfile that could be split into nodes."""

    source: Source
    nodes: tuple[Node, ...]
    escape: str
    directives: tuple[Directive, ...]
    empty_continuations: tuple[int, ...] = ()

    def directive(self, name: str) -> str:
        """Return the value of a parser directive, or ""."""
        return next((found.value for found in self.directives if found.name == name), "")


def parse_document(data: bytes, *, name: str = "Dockerfile") -> Document:
    """Split a Dockerfile into nodes. Raises: SyntaxFault"""
    text = decode(data)
    reader = Reader(text)
    source = Source(name, tuple(line.rstrip("\r\n") for line in reader.physical))
    nodes = []
    empty = []
    lines = reader.logical_lines()
    while (line := _next(lines, reader, source)) is not None:
        nodes.append(_node(line, reader, source))
        if line.has_empty_continuation:
            empty.append(line.last)
    if not nodes:
        message = "the Dockerfile cannot be empty" if not data else "file with no instructions"
        raise SyntaxFault(message, source=name, line=reader.number)
    return Document(source, tuple(nodes), reader.escape, tuple(reader.directives), tuple(empty))


def _next(lines: Iterator[Line], reader: Reader, source: Source) -> Line | None:
    try:
        return next(lines, None)
    except Fault as fault:
        raise source.fault(fault, reader.number, reader.number) from None


def _node(line: Line, reader: Reader, source: Source) -> Node:
    try:
        node = parse_node(line.text, escape=reader.escape)
        heredocs = []
        for heredoc in node.heredocs_to_read():
            body = []
            while (raw := reader.next_physical()) is not None and not heredoc.ends_at(raw):
                body.append(raw)
            if raw is None:
                message = "unterminated heredoc"
                raise Fault(message, word=f"<<{'-' if heredoc.strips_tabs else ''}")
            heredocs.append(heredoc.replace(body="".join(body)))
    except Fault as fault:
        raise source.fault(fault, line.first, line.last) from None
    return node.replace(
        heredocs=tuple(heredocs), comments=line.comments, first=line.first, last=reader.number
    )
