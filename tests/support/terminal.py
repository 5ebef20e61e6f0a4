"""A person at a terminal, for the command line."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from typing import Self

    from support.engine import Knarr

PATIENCE = 20.0


class Terminal:
    """A person at a terminal who runs a command.

    In a `with` statement, the person closes the window at the end, if the command still runs.
    """

    def __init__(self, knarr: Knarr, *words: str) -> None:
        self.master, terminal = os.openpty()
        self.resize(24, 80)
        self.process = subprocess.Popen(
            knarr.command(*words), stdin=terminal, stdout=terminal, stderr=terminal,
            start_new_session=True, preexec_fn=_take_terminal,  # noqa: PLW1509 - one thread here
        )  # fmt: skip
        os.close(terminal)
        self.seen = b""

    def resize(self, rows: int, columns: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, text: str) -> str:
        """Read until `text` is shown; return what was shown since the last time."""
        end = time.monotonic() + PATIENCE
        while text.encode() not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"in vain for {text!r}: {self.seen!r}"
            try:
                self.seen += os.read(self.master, 4096)
            except OSError:
                pytest.fail(f"the terminal closed before {text!r}: {self.seen!r}")
        before, _, self.seen = self.seen.partition(text.encode())
        return before.decode() + text

    def status(self) -> int:
        """Return the exit status of the command."""
        status = self.process.wait(PATIENCE)
        self.close()
        return status

    def close(self) -> None:
        """Close the window: the command gets a SIGHUP."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
