"""The keeper: a process that holds one descriptor, so that a killed supervisor ends nothing.

When the last master of a terminal is closed, its session gets SIGHUP; when the last writing end of
a pipe is closed, its reader sees the end of the file. A container with a terminal, or with an open
stdin, would therefore end with its supervisor. So a forked child of the supervisor holds a copy of
that one descriptor, and sleeps in poll(2) until

* the container's first process ends: then it ends, too;
* somebody connects to `<control_dir>/keeper`: a new supervisor, which gets the descriptor and the
  keeper's process ID. Who wants the descriptor closed kills the keeper.

It runs no other code than `_keep`, shares its pages with the supervisor as long as neither writes
to them (measured: 1.4 MB of its own), and is not there for containers without terminal and `-i`.
A socket rather than pidfd_getfd(2), which Yama and seccomp profiles refuse where this is allowed.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import select
import sys

from knarr.linux import process
from knarr.supervise import endpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

NAME = "keeper"
_KEPT, _PIDFD, _LISTENER = 3, 4, 5


def start(control_dir: str, kept: int, pidfd: int) -> int:
    """Fork a keeper of the descriptor `kept` until the process of `pidfd` ends; return its ID."""
    listener = endpoints.listen(control_dir, NAME, endpoints.MESSAGES)
    pid = os.fork()
    if pid == 0:
        try:
            _become_keeper(kept, pidfd, listener.fileno())
        finally:
            os._exit(1)
    listener.close()
    return pid


def fetch(control_dir: str) -> tuple[int, int] | None:
    """Return a copy of the descriptor that is kept, and the keeper's ID; None without a keeper."""
    try:
        connection = endpoints.connect(control_dir, NAME, endpoints.MESSAGES)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    try:
        data, rights, _, _ = connection.recvmsg(64, _socket.CMSG_LEN(4), _socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return None
    finally:
        connection.close()
    if not rights:
        return None
    return int.from_bytes(rights[0][2], sys.byteorder), int(data)


def stop(pid: int) -> None:
    """Let the descriptor go."""
    try:
        os.kill(pid, _signal.SIGKILL)
    except ProcessLookupError:
        pass


def _become_keeper(kept: int, pidfd: int, listener: int) -> None:
    """Close everything else, above all the lock that says that a supervisor lives."""
    _signal.set_wakeup_fd(-1)
    moved = [
        fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LISTENER + 1)
        for descriptor in (kept, pidfd, listener)
    ]
    for descriptor, place in zip(moved, (_KEPT, _PIDFD, _LISTENER), strict=True):
        os.dup2(descriptor, place)
    process.close_range(_LISTENER + 1)
    _keep()


def _keep() -> None:
    waiting = select.poll()
    waiting.register(_PIDFD, select.POLLIN)
    waiting.register(_LISTENER, select.POLLIN)
    listener = _socket.socket(fileno=_LISTENER)
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, _KEPT.to_bytes(4, sys.byteorder))]
    while True:
        ready = [descriptor for descriptor, _ in waiting.poll()]
        if _PIDFD in ready:
            os._exit(0)
        try:
            connection = _socket.socket(fileno=endpoints.accept(listener))
            connection.sendmsg([b"%d" % os.getpid()], rights)
            connection.close()
        except OSError:  # who asked is gone
            continue
