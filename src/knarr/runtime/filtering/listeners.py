"""The listener of a seccomp filter, on its way from the container's init to the agent.

A filter with SCMP_ACT_NOTIFY lets somebody else decide about a call, meanwhile the caller waits.
Its questions come out of a descriptor that the call which loads the filter makes, in init. From
then on init can ask for nothing, since each of its calls may be one of those, or be forbidden; and
the exec that follows closes the descriptor. So init says beforehand which number the descriptor
will have; the one who starts the container takes a copy out of init as soon as it is there; and
init looks at a byte of shared memory (`Taken`), which needs no call, until that has happened. Then
the copy goes to the agent's socket with the state of the container.

Spec: runtime-spec config-linux.md, "The Container Process State"
Man: seccomp_unotify(2), pidfd_getfd(2)
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
import time
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_CLOEXEC, SOCK_STREAM, SOL_SOCKET, socket

from knarr.errors import Failed
from knarr.linux import process
from knarr.runtime.document import SPEC_VERSION
from knarr.runtime.failures import reason
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from knarr.runtime.filtering.filters import Listener

_PATIENCE = 10.0  # seconds
_KIND = "anon_inode:seccomp notify"


class Taken:
    """Init's side: a byte that says whether somebody has taken a copy of the listener."""

    __slots__ = ("_memory", "descriptor")

    def __init__(self) -> None:
        """Make it; `descriptor` is for the other side and gone with exec."""
        self.descriptor = os.memfd_create("taken")
        os.ftruncate(self.descriptor, mmap.PAGESIZE)
        self._memory = mmap.mmap(self.descriptor, mmap.PAGESIZE)

    def wait(self) -> None:
        """Return when it is said, without any system call.

        Raises: Failed
        """
        deadline = time.monotonic() + _PATIENCE
        while not self._memory[0]:
            if time.monotonic() > deadline:
                message = "nobody took the listener of the seccomp filter"
                raise Failed(message)


def connect(path: str) -> socket:
    """Return a connection with the agent at `path`, where `@` begins an abstract name.

    Raises: Failed
    """
    agent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
    try:
        agent.connect(f"\0{path[1:]}" if path.startswith("@") else path)
    except OSError as error:
        agent.close()
        message = f"failed to connect with seccomp agent {path}: {reason(error)}"
        raise Failed(message) from error
    return agent


def hand_over(
    agent: socket,
    listener: Listener,
    child: tuple[int, int, int],
    state: Mapping[str, Any],
) -> None:
    """Send the agent the descriptor that a process is about to have.

    `child` is the process's ID, the number that the descriptor will have there, and what its
    `Taken` is open as, which is closed.

    If the process ends before it has it, nothing is sent: its last words say why.

    Raises: Failed
    """
    pid, number, taken_fd = child
    try:
        descriptor = _take(pid, number)
        os.pwrite(taken_fd, b"\1", 0)
    finally:
        os.close(taken_fd)
    if descriptor < 0:
        return
    told = {
        "ociVersion": SPEC_VERSION,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": listener.metadata,
        "state": state,
    }
    rights = (SOL_SOCKET, SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder))
    try:
        agent.sendmsg([jsontext.dumps(told).encode()], [rights])
    except OSError as error:
        message = f"sending the seccomp listener to {listener.path}: {reason(error)}"
        raise Failed(message) from error
    finally:
        os.close(descriptor)


def _take(pid: int, number: int) -> int:
    """Return a copy of the listener, once it is there; -1 if the process ended before."""
    pidfd = os.pidfd_open(pid)
    pause = 0.0001
    try:
        while True:
            descriptor = _copy(pidfd, number)
            if descriptor >= 0:
                return descriptor
            time.sleep(pause)
            pause = min(pause * 2, 0.01)
    except ProcessLookupError:
        return -1
    except OSError as error:
        message = f"taking the seccomp listener out of the process: {reason(error)}"
        raise Failed(message) from error
    finally:
        os.close(pidfd)


def _copy(pidfd: int, number: int) -> int:
    """Return a copy of the listener, or -1 while the process has none as `number`."""
    try:
        descriptor = process.pidfd_getfd(pidfd, number)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return -1
    if os.readlink(f"/proc/self/fd/{descriptor}") == _KIND:
        return descriptor
    os.close(descriptor)
    return -1
