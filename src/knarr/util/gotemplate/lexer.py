"""The source of a template cut into text, actions, and the tokens of an action.

Faults are worded as Go words them, since people look them up.
"""

from __future__ import annotations

from knarr.errors import SyntaxFault
from knarr.util.gotemplate.expressions import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SPACES = " \t\r\n"


class Token:
    """A piece of an action. `glued` is true if nothing is between it and the one before."""

    __slots__ = ("at", "glued", "kind", "text")

    def __init__(self, kind: str, text: str, at: int, *, glued: bool) -> None:
        self.kind = kind  # word, field, variable, string, number, or the mark itself
        self.text = text
        self.at = at
        self.glued = glued

    def __str__(self) -> str:
        return self.text if self.kind == "string" else f'"{self.text}"'


class Source:
    """The text of a template, and where in it faults are.

    `template` is the name of the named template in it that is being read.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.template = ""

    def fault(self, at: int, message: str) -> SyntaxFault:
        """Return the error of a mistake at the place `at`."""
        line = self.text.count("\n", 0, at) + 1
        return SyntaxFault(f"template parsing error: template: :{line}: {message}", line=line)

    def place(self, start: int, end: int) -> Place:
        """Return the text between `start` and `end` with where it stands."""
        before = self.text.rfind("\n", 0, start)
        column = start if before < 0 else start - before
        line = self.text.count("\n", 0, start) + 1
        return Place(self.text[start:end], line, column, self.template)

    def pieces(self) -> Iterator[tuple[str, int, int]]:
        """Yield (`text` or `action`, start, end) of the parts, trimmed as `{{-` and `-}}` ask."""
        at, trims = 0, False
        while True:
            opening = self.text.find("{{", at)
            end = len(self.text) if opening < 0 else opening
            start = at
            inner = opening + 2
            trims_before = opening >= 0 and self._trims(inner)
            while trims and start < end and self.text[start] in SPACES:
                start += 1
            while trims_before and end > start and self.text[end - 1] in SPACES:
                end -= 1
            if end > start:
                yield "text", start, end
            if opening < 0:
                return
            inner += 2 if trims_before else 0
            at, stop, trims = self._close(inner)
            if stop > inner:
                yield "action", inner, stop
            elif not self._comment_at(inner):
                raise self.fault(inner, "missing value for command")

    def _trims(self, inner: int) -> bool:
        return self.text[inner : inner + 1] == "-" and self.text[inner + 1 : inner + 2] in tuple(
            SPACES
        )

    def _comment_at(self, inner: int) -> bool:
        return self.text.startswith("/*", inner)

    def _close(self, inner: int) -> tuple[int, int, bool]:
        """Return (start of the text that follows, end of the action, whether it trims)."""
        if self._comment_at(inner):
            end = self.text.find("*/", inner)
            if end < 0:
                raise self.fault(inner, "unclosed comment")
            rest = end + 2
            trims = self.text.startswith(" -}}", rest)
            if not trims and not self.text.startswith("}}", rest):
                raise self.fault(inner, "comment ends before closing delimiter")
            return rest + (4 if trims else 2), inner, trims
        at = inner
        while at < len(self.text):
            character = self.text[at]
            if character in "\"'`":
                at = self._quoted_end(at)
            elif self.text.startswith("}}", at):
                trims = self.text[at - 1] == "-" and self.text[at - 2] in SPACES and at > inner + 1
                return at + 2, at - (1 if trims else 0), trims
            else:
                at += 1
        raise self.fault(inner, "unclosed action")

    def _quoted_end(self, start: int) -> int:
        mark = self.text[start]
        at = start + 1
        while at < len(self.text) and self.text[at] != mark:
            if self.text[at] == "\n" and mark != "`":
                break
            at += 2 if self.text[at] == "\\" and mark != "`" else 1
        if at >= len(self.text) or self.text[at] != mark:
            names = {'"': "quoted string", "'": "character constant", "`": "raw quoted string"}
            raise self.fault(start, f"unterminated {names[mark]}")
        return at + 1

    def tokens(self, start: int, end: int) -> list[Token]:
        """Return the tokens of the action between `start` and `end`."""
        found: list[Token] = []
        at, glued = start, False
        while at < end:
            if self.text[at] in SPACES:
                at, glued = at + 1, False
                continue
            kind, stop = self._token(at, end)
            found.append(Token(kind, self.text[at:stop], at, glued=glued))
            at, glued = stop, True
        return found

    def _token(self, at: int, end: int) -> tuple[str, int]:
        """Return the kind of the token at `at` and where it ends."""
        character = self.text[at]
        following = self.text[at + 1] if at + 1 < end else ""
        if character in "\"'`":
            return "string", self._quoted_end(at)
        if self.text.startswith(":=", at):
            return ":=", at + 2
        if character in "|(),=":
            return character, at + 1
        if character.isdigit() or (character in "+-." and following.isdigit()):
            return "number", self._word_end(at + 1, end, extra=".+-")
        if character == ".":
            stop = self._word_end(at + 1, end)
            return ("field" if stop > at + 1 else "."), stop
        if character == "$":
            return "variable", self._word_end(at + 1, end)
        if character == "_" or character.isalpha():
            return "word", self._word_end(at, end)
        code = f"U+{ord(character):04X} {character!r}"
        raise self.fault(at, f"unexpected unrecognized character in action: {code} in command")

    def _word_end(self, at: int, end: int, *, extra: str = "") -> int:
        while at < end and (
            self.text[at].isalnum() or self.text[at] == "_" or self.text[at] in extra
        ):
            at += 1
        return at
