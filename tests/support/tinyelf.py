"""ELF programs of a few bytes: for what no compiler is needed for, on machines that have none."""

from __future__ import annotations

import struct

AMD64, ARM64 = 62, 183
BASE = 0x400000
_HEADER, _ENTRY = 64, 56

# Machine code for amd64.
CRASH = b"\x31\xc0\x89\x00"  # xor eax, eax; mov [rax], eax
NO_INSTRUCTION = b"\x0f\x0b"  # ud2
DIVIDE_BY_ZERO = b"\x31\xc9\xf7\xf1"  # xor ecx, ecx; div ecx


def program(code: bytes = NO_INSTRUCTION, *, machine: int = AMD64, loader: str = "") -> bytes:
    """Return an ELF file that is `code`, or one that asks for a `loader`."""
    name = loader.encode() + b"\0" if loader else b""
    count = 2 if loader else 1
    start = _HEADER + _ENTRY * count
    entry = BASE + start + len(name)
    size = start + len(name) + len(code)
    ident = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    header = ident + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, entry, _HEADER, 0, 0, _HEADER, _ENTRY, count, 0, 0, 0
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 4096)
    asked = struct.pack("<IIQQQQQQ", 3, 4, start, BASE + start, 0, len(name), len(name), 1)
    return header + (asked if loader else b"") + load + name + code
