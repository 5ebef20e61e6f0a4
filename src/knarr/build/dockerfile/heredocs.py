"""Heredocs: `<<NAME`, `<<-NAME`, `3<<"NAME"` and the text that follows on later lines."""

from __future__ import annotations

import re

from knarr.build.dockerfile.fault import Fault
from knarr.build.dockerfile.words import Lexer
from knarr.util.value import Value

_MARK = r"(\d*)<<(-?)\s*([^<]*)"
_LEADING_TABS = r"(?m)^\t+"
_AS_WRITTEN = Lexer(keep_quotes=True, keep_escapes=True, keep_unset=True)
_WITH_QUOTES = Lexer(keep_quotes=True, keep_unset=True)
_WITHOUT_QUOTES = Lexer(keep_unset=True)


class Heredoc(Value):
    """One heredoc: `name` ends it, `body` is what stands before that line, tabs included."""

    name: str
    body: str = ""
    descriptor: int = 0
    expands: bool = True
    strips_tabs: bool = False

    @property
    def content(self) -> str:
        """The body as it is used: with `<<-`, without the tabs lines begin with."""
        return re.sub(_LEADING_TABS, "", self.body) if self.strips_tabs else self.body

    def ends_at(self, line: str) -> bool:
        """Tell whether the physical `line` is the one that ends this heredoc."""
        line = line.rstrip("\r\n")
        return (line.lstrip("\t") if self.strips_tabs else line) == self.name


def parse_heredoc(word: str) -> Heredoc | None:
    """Return the heredoc that `word` begins, without a body, or None if it begins none."""
    match = re.fullmatch(_MARK, word) if "<<" in word else None
    if match is None or not match[3]:
        return None
    names = _WITHOUT_QUOTES.expand(match[3], {}).words
    if len(names) != 1:
        return None
    quoted = _WITH_QUOTES.expand(match[3], {}).words
    return Heredoc(
        name=names[0],
        descriptor=int(match[1] or 0),
        # A quote anywhere in the word means that the body is taken as it stands.
        expands=len(quoted) == 1 and _quotes(quoted[0]) == _quotes(names[0]),
        strips_tabs=match[2] == "-",
    )


def heredocs_of(line: str) -> list[Heredoc]:
    """Return the heredocs that a line of RUN, COPY or ADD begins, in order, without bodies."""
    try:
        words = _AS_WRITTEN.expand(line, {}).words
    except Fault:
        return []  # an open quote is the shell's business
    found = (parse_heredoc(word) for word in words)
    return [heredoc for heredoc in found if heredoc is not None]


def _quotes(word: str) -> int:
    return word.count("'") + word.count('"')
