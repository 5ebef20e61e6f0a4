"""The tables of system calls: some numbers everybody knows, and what must hold for all."""

from __future__ import annotations

import pytest

from knarr.runtime.filtering import syscalls


@pytest.mark.parametrize(
    ("architecture", "name", "number"),
    [
        ("x86_64", "read", 0), ("x86_64", "execveat", 322), ("x86_64", "openat2", 437),
        ("x86", "execve", 11), ("x86", "socketcall", 102), ("x32", "execve", 520),
        ("x32", "read", 0), ("aarch64", "openat", 56), ("arm", "open", 5),
        ("riscv64", "riscv_flush_icache", 259), ("s390x", "mmap", 90), ("ppc64le", "clone", 120),
    ],
)  # fmt: skip
def test_numbers_of_system_calls(architecture: str, name: str, number: int) -> None:
    assert syscalls.numbers(architecture)[name] == number


@pytest.mark.parametrize("architecture", syscalls.ARCHITECTURES)
def test_no_number_is_there_twice(architecture: str) -> None:
    table = syscalls.numbers(architecture)
    assert len(set(table.values())) == len(table) > 300


def test_calls_that_are_not_everywhere() -> None:
    assert "open" not in syscalls.numbers("aarch64")
    assert "renameat" not in syscalls.numbers("riscv64")
    assert "uselib" not in syscalls.numbers("x32")
