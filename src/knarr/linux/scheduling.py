"""Where, when and with which memory a process runs: processors, policies, priorities, nodes.

A process ID of 0 means the caller throughout.

Man: sched_setattr(2), ioprio_set(2), sched_setaffinity(2), set_mempolicy(2)
"""

from __future__ import annotations

import ctypes
import os
from ctypes import c_int, c_int32, c_uint, c_uint32, c_uint64, c_ulong, c_void_p

from knarr.linux import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# <linux/sched.h>
POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
SCHED_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}

# <linux/ioprio.h>
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
_IOPRIO_CLASS_SHIFT = 13
_IOPRIO_WHO_PROCESS = 1

# <linux/mempolicy.h>
MEMORY_MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
MEMORY_FLAGS = {
    "MPOL_F_STATIC_NODES": 1 << 15,
    "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_NUMA_BALANCING": 1 << 13,
}
MAX_NODES = 1024  # <linux/numa.h>: CONFIG_NODES_SHIFT is at most 10


class sched_attr(ctypes.Structure):  # noqa: N801 - the kernel's name
    """What sched_setattr(2) takes; SCHED_ATTR_SIZE_VER0 is 48 bytes."""

    _fields_ = (
        ("size", c_uint32),
        ("sched_policy", c_uint32),
        ("sched_flags", c_uint64),
        ("sched_nice", c_int32),
        ("sched_priority", c_uint32),
        ("sched_runtime", c_uint64),
        ("sched_deadline", c_uint64),
        ("sched_period", c_uint64),
    )


_X86_64 = os.uname().machine == "x86_64"
_sched_setattr = libc.syscall(314 if _X86_64 else 274, "sched_setattr", c_int, c_void_p, c_uint)
_ioprio_set = libc.syscall(251 if _X86_64 else 30, "ioprio_set", c_int, c_int, c_int)
_set_mempolicy = libc.syscall(238 if _X86_64 else 237, "set_mempolicy", c_int, c_void_p, c_ulong)


def sched_setattr(  # noqa: PLR0913 - the structure's fields
    pid: int,
    policy: int,
    *,
    flags: int = 0,
    nice: int = 0,
    priority: int = 0,
    runtime: int = 0,
    deadline: int = 0,
    period: int = 0,
) -> None:
    """Set how a process is scheduled; the last three are nanoseconds, for SCHED_DEADLINE."""
    attributes = sched_attr(0, policy, flags, nice, priority, runtime, deadline, period)
    attributes.size = ctypes.sizeof(attributes)
    _sched_setattr(pid, ctypes.addressof(attributes), 0)


def ioprio_set(pid: int, io_class: int, priority: int) -> None:
    """Set the class and the priority in it with which a process gets at disks."""
    _ioprio_set(_IOPRIO_WHO_PROCESS, pid, io_class << _IOPRIO_CLASS_SHIFT | priority)


def set_mempolicy(mode: int, nodes: Iterable[int]) -> None:
    """Set from which nodes the caller gets memory; `mode` has its flags in it."""
    words = (c_ulong * (MAX_NODES // 64))()
    for node in nodes:
        words[node // 64] |= 1 << node % 64
    _set_mempolicy(mode, ctypes.addressof(words), MAX_NODES + 1)


def use_all_processors(pid: int = 0) -> None:
    """Let a process run on every processor of the machine that its cpuset allows."""
    os.sched_setaffinity(pid, range(os.sysconf("SC_NPROCESSORS_CONF")))
