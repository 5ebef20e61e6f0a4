"""Compressing a rotated log, in a child of the supervisor that holds nothing else of it."""

from __future__ import annotations

import os
import zlib

from knarr.linux import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

GZIP = 31  # the window's size, and 16 for the form of gzip
PIECE = 1 << 20
_SOURCE, _TARGET = 3, 4


def pack(path: str) -> None:
    """Replace the file at `path` by a compressed one, `path`.gz, and end this process.

    The lock that says that a supervisor lives is among what is closed first.
    """
    _signal.set_wakeup_fd(-1)
    unfinished = f"{path}.gz.new"
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    target = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    source, target = _high(source), _high(target)
    os.dup2(source, _SOURCE)
    os.dup2(target, _TARGET)
    process.close_range(_TARGET + 1)
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP)
    while data := os.read(_SOURCE, PIECE):
        _write(packer.compress(data))
    _write(packer.flush())
    os.rename(unfinished, f"{path}.gz")
    os.unlink(path)
    os._exit(0)


def _high(descriptor: int) -> int:
    import fcntl  # noqa: PLC0415 - loaded by the supervisor

    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 100)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(_TARGET, view) :]
