"""eBPF programs on cgroups: loaded, attached, replaced. Only what device rules need.

Man: bpf(2)
"""

from __future__ import annotations

import ctypes
import os
from struct import pack, pack_into, unpack_from

from knarr.linux import libc

# <linux/bpf.h>
BPF_PROG_LOAD = 5
BPF_PROG_ATTACH = 8
BPF_PROG_DETACH = 9
BPF_PROG_GET_FD_BY_ID = 13
BPF_PROG_QUERY = 16
BPF_PROG_TYPE_CGROUP_DEVICE = 15
BPF_CGROUP_DEVICE = 6
BPF_F_ALLOW_MULTI = 2

_bpf = libc.syscall(
    321 if os.uname().machine == "x86_64" else 280,
    "bpf",
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_uint,
)


def _call(command: int, attributes: bytes) -> tuple[int, bytes]:
    """Make a bpf(2) call; return its result and the attributes as the kernel left them."""
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return _bpf(command, ctypes.addressof(buffer), len(attributes)), buffer.raw


def load_device_program(program: bytes) -> int:
    """Return the descriptor of a program that decides about uses of devices."""
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    attributes = pack(
        "=IIQQIIQII",
        BPF_PROG_TYPE_CGROUP_DEVICE,
        len(program) // 8,
        ctypes.addressof(code),
        ctypes.addressof(licence),
        0,  # the verifier's log: level, size, buffer
        0,
        0,
        0,
        0,
    )
    return _call(BPF_PROG_LOAD, attributes)[0]


def attached_device_programs(cgroup_fd: int) -> list[int]:
    """Return the IDs of the programs attached to a cgroup itself."""
    room = (ctypes.c_uint32 * 64)()
    attributes = bytearray(48)
    pack_into(
        "=IIIIQI", attributes, 0, cgroup_fd, BPF_CGROUP_DEVICE, 0, 0, ctypes.addressof(room), 64
    )
    _, answer = _call(BPF_PROG_QUERY, bytes(attributes))
    count: int = unpack_from("=I", answer, 24)[0]
    return list(room[:count])


def attach_device_program(cgroup_fd: int, program: bytes) -> None:
    """Let `program` decide for a cgroup, instead of those that did before.

    All programs attached must agree to a use. So the new one is attached before the old ones are
    detached, and no moment passes without any.
    """
    before = attached_device_programs(cgroup_fd)
    program_fd = load_device_program(program)
    try:
        _attach(BPF_PROG_ATTACH, cgroup_fd, program_fd)
    finally:
        os.close(program_fd)
    for number in before:
        old_fd, _ = _call(BPF_PROG_GET_FD_BY_ID, pack("=III", number, 0, 0))
        try:
            _attach(BPF_PROG_DETACH, cgroup_fd, old_fd)
        finally:
            os.close(old_fd)


def _attach(command: int, cgroup_fd: int, program_fd: int) -> None:
    flags = BPF_F_ALLOW_MULTI if command == BPF_PROG_ATTACH else 0
    _call(command, pack("=IIIII", cgroup_fd, program_fd, BPF_CGROUP_DEVICE, flags, 0))
