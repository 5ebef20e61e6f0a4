"""Terminals: pseudo-terminals of a devpts of one's own, window sizes, the controlling terminal.

Man: pty(7), ioctl_tty(2)
"""

from __future__ import annotations

import fcntl
import os
import sys
from struct import pack, unpack

# <asm-generic/ioctls.h>
TCGETS = 0x5401
TCSETS = 0x5402
TIOCSCTTY = 0x540E
TIOCGWINSZ = 0x5413
TIOCSWINSZ = 0x5414
TIOCGPTN = 0x80045430
TIOCSPTLCK = 0x40045431

# <asm-generic/termbits.h>: four words of flags, for input, output, control and local; then the rest
_TERMIOS_SIZE = 36
_ONLCR = 0x4


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


def keep_line_feeds(descriptor: int) -> None:
    """Let a terminal write line feeds as they are, without a carriage return before each.

    Man: termios(3), ONLCR
    """
    settings = bytearray(fcntl.ioctl(descriptor, TCGETS, bytes(_TERMIOS_SIZE)))
    output_flags = int.from_bytes(settings[4:8], sys.byteorder) & ~_ONLCR
    settings[4:8] = output_flags.to_bytes(4, sys.byteorder)
    fcntl.ioctl(descriptor, TCSETS, bytes(settings))


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
