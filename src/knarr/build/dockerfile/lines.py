"""From bytes to logical lines: continuations joined, comments out, parser directives obeyed.

A logical line is one instruction. It begins at a physical line that is neither blank nor a comment
and goes on while a line ends in the escape character; comments and blank lines in between belong
to nobody. Parser directives (`# escape=`, `# syntax=`, `# check=`) stand above everything else: the
first line that is none ends them. Bytes that are not UTF-8 are kept (surrogateescape).
"""

from __future__ import annotations

import re

from knarr.build.dockerfile.fault import Fault
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_LINE = 65535
"""Bytes of one physical line, without its end."""

_DIRECTIVE = r"([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*"
_DIRECTIVES = ("syntax", "escape", "check")


class Line(Value):
    """One logical line; `first` and `last` are its physical lines, from 1."""

    text: str
    first: int
    last: int
    comments: tuple[str, ...] = ()
    has_empty_continuation: bool = False


class Directive(Value):
    """A parser directive: its name in lower case, its value as written."""

    name: str
    value: str
    line: int


def decode(data: bytes) -> str:
    """Return the text of a Dockerfile, without a byte order mark."""
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def parse_directive(comment: str) -> tuple[str, str] | None:
    """Return name and value of a parser directive, or None if the comment is an ordinary one."""
    match = re.fullmatch(_DIRECTIVE, comment.lstrip()) if "=" in comment else None
    if match is None or match[1].lower() not in _DIRECTIVES:
        return None
    return match[1].lower(), match[2]


class Reader:
    """Reads a text line by line; `number` is that of the physical line read last."""

    def __init__(self, text: str) -> None:
        self.physical = _split(text)
        self.number = 0
        self.escape = "\\"
        self.directives: list[Directive] = []
        self._directives_allowed = True

    def logical_lines(self) -> Iterator[Line]:
        """Yield the logical lines. A consumer may read on with `next_physical` in between.

        Raises: Fault, for the physical line `number`
        """
        comments: list[str] = []
        while (raw := self.next_physical()) is not None:
            text = raw.rstrip("\r\n").lstrip()
            if text.startswith("#"):
                self._comment(text, comments)
                continue
            self._directives_allowed = False
            text, goes_on = self._cut_continuation(text)
            if text or goes_on:
                yield self._complete(text, comments, goes_on=goes_on)
                comments.clear()

    def next_physical(self) -> str | None:
        """Return the next physical line with its end, or None after the last."""
        if self.number >= len(self.physical):
            return None
        line = self.physical[self.number]
        self.number += 1
        if len(line) > LONGEST_LINE // 4:  # a letter has at most four bytes
            size = len(line.rstrip("\n").encode("utf-8", "surrogateescape"))
            if size > LONGEST_LINE:
                message = f"dockerfile line greater than max allowed size of {LONGEST_LINE}"
                raise Fault(message)
        if "\0" in line:
            message = "dockerfile contains a NUL byte"
            raise Fault(message, word="\0", hint="A Dockerfile is text in UTF-8.")
        return line

    def _comment(self, text: str, comments: list[str]) -> None:
        found = parse_directive(text[1:]) if self._directives_allowed else None
        if found is not None:
            self._directive(*found)
            return
        self._directives_allowed = False
        comment = text[1:].strip()
        if comment:
            comments.append(comment)
        else:
            comments.clear()

    def _directive(self, name: str, value: str) -> None:
        if any(directive.name == name for directive in self.directives):
            message = f"only one {name} parser directive can be used"
            raise Fault(message)
        if name == "escape":
            if value not in ("\\", "`"):
                message = f"invalid escape token '{value}' does not match ` or \\"
                raise Fault(message, word=value)
            self.escape = value
        self.directives.append(Directive(name=name, value=value, line=self.number))

    def _complete(self, text: str, comments: list[str], *, goes_on: bool) -> Line:
        first = self.number
        parts = [text]
        empty = False
        while goes_on and (raw := self.next_physical()) is not None:
            stripped = raw.strip()
            if stripped.startswith("#"):
                continue
            if not stripped:
                empty = True
                continue
            text, goes_on = self._cut_continuation(raw.rstrip("\r\n"))
            parts.append(text)
        return Line("".join(parts), first, self.number, tuple(comments), empty)

    def _cut_continuation(self, text: str) -> tuple[str, bool]:
        """Take the escape character off the end, unless another one stands before it."""
        stripped = text.rstrip(" \t")
        if not stripped.endswith(self.escape) or stripped.endswith(self.escape * 2):
            return text, False
        return stripped[:-1], True


def _split(text: str) -> list[str]:
    lines = text.split("\n")
    ended = [f"{line}\n" for line in lines[:-1]]
    return [*ended, lines[-1]] if lines[-1] else ended
