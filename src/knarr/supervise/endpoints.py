"""Unix sockets by directory and name: an address has 108 bytes, a directory's path may have more.

The directory is opened, and the address goes through its descriptor below /proc/self/fd.
"""

from __future__ import annotations

import _socket
import os

STREAM = _socket.SOCK_STREAM
MESSAGES = _socket.SOCK_SEQPACKET
_BACKLOG = 128


def listen(directory: str, name: str, kind: int) -> _socket.socket:
    """Return a socket that listens at `name` in `directory`, for its owner alone."""
    listener = _socket.socket(_socket.AF_UNIX, kind)
    descriptor = _open(directory)
    try:
        address = f"/proc/self/fd/{descriptor}/{name}"
        try:
            os.unlink(address)
        except FileNotFoundError:
            pass
        before = os.umask(0o177)
        try:
            listener.bind(address)
        finally:
            os.umask(before)
        listener.listen(_BACKLOG)
    finally:
        os.close(descriptor)
    return listener


def connect(directory: str, name: str, kind: int) -> _socket.socket:
    """Return a socket connected to the one at `name` in `directory`.

    Raises: FileNotFoundError, ConnectionRefusedError
    """
    descriptor = _open(directory)
    connection = _socket.socket(_socket.AF_UNIX, kind)
    try:
        connection.connect(f"/proc/self/fd/{descriptor}/{name}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(descriptor)
    return connection


def accept(listener: _socket.socket) -> int:
    """Return the descriptor of a new connection.

    Raises: OSError (who connected may be gone again)
    """
    descriptor: int = listener._accept()[0]  # type: ignore[attr-defined]  # noqa: SLF001
    return descriptor


def _open(directory: str) -> int:
    return os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
