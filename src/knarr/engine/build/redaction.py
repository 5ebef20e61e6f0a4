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
        """Return what may be shown now: all but an end that may become a secret."""
        text = self._held + data
        for word in self._words:
            text = text.replace(word, MASK)
        held = max((_overlap(text, word) for word in self._words), default=0)
        shown = len(text) - held
        self._held = text[shown:]
        return text[:shown]

    def finish(self) -> bytes:
        """Return what was held back: nothing comes any more."""
        held, self._held = self._held, b""
        return held


def _overlap(text: bytes, word: bytes) -> int:
    """Return how many bytes at the end of `text` are the beginning of `word`."""
    for length in range(min(len(word) - 1, len(text)), 0, -1):
        if text.endswith(word[:length]):
            return length
    return 0
