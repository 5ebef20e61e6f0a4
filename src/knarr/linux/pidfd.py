"""Descriptors of processes: how one ended that is not our child.

Man: pidfd_open(2), ioctl_pidfd(2)
"""

from __future__ import annotations

import errno
import fcntl
import os
from struct import pack, unpack_from

# <linux/pidfd.h>
PIDFD_INFO_EXIT = 1 << 3
PIDFD_GET_INFO = 0xC040FF0B  # for the structure's first version, of 64 bytes
_SIZE = 64
_EXIT_CODE_OFFSET = 60


def wait_status(pidfd: int) -> int | None:
    """Return how the process ended, as wait(2) tells it, or None if that cannot be known.

    The kernel tells it from 6.15 on, to those who held a pidfd when the process was reaped; before
    that, for as long as the process is a zombie, it is in /proc.
    """
    request = pack(f"Q{_SIZE - 8}x", PIDFD_INFO_EXIT)
    try:
        answer = fcntl.ioctl(pidfd, PIDFD_GET_INFO, request)
    except OSError as error:
        # ENOTTY: before 6.13. ESRCH: reaped, and the kernel kept nothing.
        if error.errno not in (errno.ENOTTY, errno.EINVAL, errno.ESRCH):
            raise
        return None
    (mask,) = unpack_from("Q", answer)
    if not mask & PIDFD_INFO_EXIT:
        return None
    status: int = unpack_from("i", answer, _EXIT_CODE_OFFSET)[0]
    return status


def zombie_status(pid: int) -> int | None:
    """Return how a process ended that nobody has reaped yet, None if it lives or is gone.

    Man: proc_pid_stat(5), field 52
    """
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        text = os.read(descriptor, 4096)
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)
    fields = text[text.rindex(b")") + 2 :].split()
    return int(fields[49]) if fields[0] == b"Z" else None
