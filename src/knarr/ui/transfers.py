"""What pull and push show of layers: lines that change in place on a terminal, else one per change.

    3aab638df1a9: Downloading [=====>             ]  1.05MB/3.8MB

Docker: the words, and that bars are not written into files
"""

from __future__ import annotations

import os
import threading
import time

from knarr.util.text import progress_bar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from knarr.oci.digest import Digest

_PERIOD = 0.1  # seconds between two drawings
# What a file is told; the rest are steps of a moment, or repeat what was said.
_QUIET = frozenset(("Waiting", "Downloading", "Extracting", "Pushing"))


class Lines:
    """One line for each change of a layer's state. May be told by several threads."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._lock = threading.Lock()
        self._said: dict[Digest, str] = {}

    def __call__(self, digest: Digest, action: str, done: int, whole: int) -> None:
        """Take a change."""
        del done, whole
        with self._lock:
            if digest not in self._said and action == "Waiting":
                action = "Pulling fs layer"
            if action in _QUIET or self._said.get(digest) == action:
                return
            self._said[digest] = action
            self._stream.write(f"{digest.short}: {action}\n")
            self._stream.flush()

    def close(self) -> None:
        """Do nothing: every line is written."""


class Bars:
    """A line for each layer, on a terminal, drawn anew up to ten times a second."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on `stream`."""
        self._stream = stream
        self._lock = threading.Lock()
        self._rows: dict[Digest, tuple[str, int, int]] = {}
        self._drawn = 0
        self._drawn_at = 0.0

    def __call__(self, digest: Digest, action: str, done: int, whole: int) -> None:
        """Take a change."""
        with self._lock:
            now = time.monotonic()
            self._rows[digest] = (action, done, whole)
            if now - self._drawn_at >= _PERIOD:
                self._draw(now)

    def close(self) -> None:
        """Draw how everything ended."""
        with self._lock:
            self._draw(time.monotonic())

    def _draw(self, now: float) -> None:
        width, height = self._size()
        rows = list(self._rows.items())[-max(1, height - 2) :]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        lines = "".join(f"{_row(*row)[: width - 1]}\x1b[K\n" for row in rows)
        self._stream.write(f"{up}\r{lines}")
        self._stream.flush()
        self._drawn, self._drawn_at = len(rows), now

    def _size(self) -> tuple[int, int]:
        try:
            columns, rows = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return 80, 24
        return columns or 80, rows or 24


def _row(digest: Digest, state: tuple[str, int, int]) -> str:
    action, done, whole = state
    if not whole:
        return f"{digest.short}: {action} "
    return f"{digest.short}: {action} {progress_bar(done, whole)}"


class Nothing:
    """Shows nothing, for `--quiet`."""

    def __call__(self, digest: Digest, action: str, done: int, whole: int) -> None:
        """Take a change."""

    def close(self) -> None:
        """Do nothing."""


def choose(stream: TextIO, *, quiet: bool) -> Lines | Bars | Nothing:
    """Return what shows the transfer on `stream`."""
    if quiet:
        return Nothing()
    return Bars(stream) if stream.isatty() else Lines(stream)
