"""Secrets in what a step prints: they are covered before anybody sees or keeps the output.

A secret is covered as a whole, and if it has several lines each line that is long enough not to be
an ordinary word. What a command makes of a secret (base64 of it, half of it) is not recognised.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = b"*****"
_SHORTEST = 4
_SHORTEST_LINE = 8


class Redactor:
    """Covers secrets in one stream, also those that come in pieces."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        """Cover `secrets`; shorter ones than four bytes cannot be told from other words."""
        words: set[bytes] = set()
        for secret in secrets:
            words.add(secret.strip())
            words.update(line for line in secret.splitlines() if len(line) >= _SHORTEST_LINE)
        found = (word for word in words if len(word) >= _SHORTEST)
        self._words = sorted(found, key=len, reverse=True)
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what may be shown now: all but an end that may become a (longer) secret."""
        text = self._held + data
        shown, at = [], 0
        while True:
            held = min((_unfinished(text, word, at) for word in self._words), default=len(text))
            begin, end = self._next(text, at)
            if held <= begin:
                break
            shown += [text[at:begin], MASK]
            at = end
        self._held = text[held:]
        return b"".join((*shown, text[at:held]))

    def _next(self, text: bytes, at: int) -> tuple[int, int]:
        """Return where the next secret begins and ends, the longest of several; else the end."""
        found = [(text.find(word, at), word) for word in self._words]
        begin = min((place for place, _ in found if place >= 0), default=len(text))
        return begin, max(
            (begin + len(word) for place, word in found if place == begin), default=begin
        )

    def finish(self) -> bytes:
        """Return what was held back: nothing comes any more."""
        text, self._held = self._held, b""
        for word in self._words:
            text = text.replace(word, MASK)
        return text


def _unfinished(text: bytes, word: bytes, at: int) -> int:
    """Return where an end of `text`, from `at` on, is the beginning of `word`; else its length."""
    for length in range(min(len(word) - 1, len(text) - at), 0, -1):
        if text.endswith(word[:length]):
            return len(text) - length
    return len(text)
