"""Unix sockets by directory and name: an address has 108 bytes, a directory's path may have more.

The directory is opened, and the address goes through its descriptor below /proc/self/fd.
"""

from __future__ import annotations

import _socket
import os
import sys

from knarr.util.files import delete_file, read_file

SIGCONT = 18
STREAM = _socket.SOCK_STREAM
MESSAGES = _socket.SOCK_SEQPACKET
_BACKLOG = 128
_CREDENTIALS = 12  # struct ucred: process, user, group
_STOPPED = b"T"


def listen(directory: str, name: str, kind: int) -> _socket.socket:
    """Return a socket that listens at `name` in `directory`, for its owner alone."""
    listener = _socket.socket(_socket.AF_UNIX, kind)
    descriptor = _open(directory)
    try:
        address = f"/proc/self/fd/{descriptor}/{name}"
        delete_file(address)
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


def wake(connection: _socket.socket) -> None:
    """Let the process that listens go on, if somebody has stopped it (SIGSTOP, a job's Ctrl-Z).

    The kernel takes connections for it all the same, and nothing would ever answer.

    Man: unix(7), SO_PEERCRED; proc_pid_stat(5), field 3
    """
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _CREDENTIALS)
    pid = int.from_bytes(credentials[:4], sys.byteorder)
    try:
        text = read_file(f"/proc/{pid}/stat")
        if text[text.rindex(b")") + 2 :].startswith(_STOPPED):
            os.kill(pid, SIGCONT)
    except (FileNotFoundError, ProcessLookupError):  # it ends: the connection will say so
        pass


def _open(directory: str) -> int:
    return os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
