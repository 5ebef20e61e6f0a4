"""Terminals: pseudo-terminals of a devpts of one's own, window sizes, the controlling terminal.

Man: pty(7), ioctl_tty(2)
"""

from __future__ import annotations

import fcntl
import os
from struct import pack, unpack

# <asm-generic/ioctls.h>
TIOCSCTTY = 0x540E
TIOCGWINSZ = 0x5413
TIOCSWINSZ = 0x5414
TIOCGPTN = 0x80045430
TIOCSPTLCK = 0x40045431


def number(master_fd: int) -> int:
    """Return n of the terminal /dev/pts/n whose master is open as `master_fd`."""
    result: int = unpack("i", fcntl.ioctl(master_fd, TIOCGPTN, b"\0" * 4))[0]
    return result


def unlock(master_fd: int) -> None:
    """Allow the terminal to be opened."""
    fcntl.ioctl(master_fd, TIOCSPTLCK, pack("i", 0))


def make_controlling(terminal_fd: int) -> None:
    """Make the terminal that of the calling session's leader."""
    fcntl.ioctl(terminal_fd, TIOCSCTTY, 0)


def size(terminal_fd: int) -> tuple[int, int]:
    """Return (rows, columns)."""
    rows, columns, _, _ = unpack("HHHH", fcntl.ioctl(terminal_fd, TIOCGWINSZ, b"\0" * 8))
    return rows, columns


def set_size(terminal_fd: int, *, rows: int, columns: int) -> None:
    """Set the window's size; the foreground process group gets SIGWINCH if it changed."""
    fcntl.ioctl(terminal_fd, TIOCSWINSZ, pack("HHHH", rows, columns, 0, 0))


def open_pair(devpts_fd: int) -> tuple[int, int]:
    """Return master and terminal of a new pair of the devpts whose root is `devpts_fd`."""
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    master = os.open("ptmx", flags, dir_fd=devpts_fd)
    try:
        unlock(master)
        terminal = os.open(str(number(master)), flags, dir_fd=devpts_fd)
    except BaseException:
        os.close(master)
        raise
    return master, terminal
