"""Seccomp filters: loading them, and the numbers they are made of.

A filter is a program for the classic BPF machine, an array of 8-byte instructions. What programs
mean is the business of who compiles them.

Man: seccomp(2)
"""

from __future__ import annotations

import os

from knarr.linux import libc
from knarr.linux.libc import Structure, addressof, c_uint, c_ushort, c_void_p

# <linux/seccomp.h>
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_LOG = 0x2
SECCOMP_FILTER_FLAG_SPEC_ALLOW = 0x4
SECCOMP_FILTER_FLAG_NEW_LISTENER = 0x8
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 0x20

SECCOMP_RET_KILL_PROCESS = 0x80000000
SECCOMP_RET_KILL_THREAD = 0x00000000
SECCOMP_RET_TRAP = 0x00030000
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_USER_NOTIF = 0x7FC00000
SECCOMP_RET_TRACE = 0x7FF00000
SECCOMP_RET_LOG = 0x7FFC0000
SECCOMP_RET_ALLOW = 0x7FFF0000

MAX_INSTRUCTIONS = 4096  # <linux/bpf_common.h>, BPF_MAXINSNS


class sock_fprog(Structure):  # noqa: N801 - the kernel's name
    """A filter program: its length in instructions, and where it is."""

    _fields_ = (("len", c_ushort), ("filter", c_void_p))


_seccomp = libc.syscall(
    317 if os.uname().machine == "x86_64" else 277, "seccomp", c_uint, c_uint, c_void_p
)


def set_filter(program: bytes, flags: int = 0) -> int:
    """Load a filter for the calling thread and what it will execute.

    Returns the listener's descriptor with SECCOMP_FILTER_FLAG_NEW_LISTENER, else 0. Without
    CAP_SYS_ADMIN the thread must have no_new_privs set.
    """
    buffer = libc.string_buffer(program)
    filled = sock_fprog(len(program) // 8, addressof(buffer))
    return _seccomp(SECCOMP_SET_MODE_FILTER, flags, addressof(filled))
