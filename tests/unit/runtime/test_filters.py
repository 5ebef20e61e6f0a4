"""The seccomp compiler, by running its programs on a machine made for it.

The programs are interpreted here, instruction by instruction as the kernel would, and their answers
compared with what the rules say when they are read the slow way, one after the other.
"""

from __future__ import annotations

from struct import iter_unpack, pack
from typing import TYPE_CHECKING, Any

import pytest

from knarr.errors import InvalidArgument
from knarr.linux import seccomp
from knarr.oci.seccomp import seccomp_for
from knarr.runtime.document import Node
from knarr.runtime.filtering import syscalls
from knarr.runtime.filtering.filters import compile_filter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

X86_64, X86, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7
ALLOW = seccomp.SECCOMP_RET_ALLOW
KILL = seccomp.SECCOMP_RET_KILL_PROCESS


def errno(number: int) -> int:
    return seccomp.SECCOMP_RET_ERRNO | number


def run(program: bytes, number: int, *args: int, arch: int = X86_64) -> int:
    """Return what the program answers to a call."""
    values = [*args, *[0] * (6 - len(args))]
    data = pack("<IIQ6Q", number & 0xFFFFFFFF, arch, 0, *(v & (1 << 64) - 1 for v in values))
    code = list(iter_unpack("<HBBI", program))
    at = accumulator = steps = 0
    while True:
        steps += 1
        assert steps < 4096
        op, if_true, if_false, value = code[at]
        at += 1
        if op == 0x20:
            accumulator = int.from_bytes(data[value : value + 4], "little")
        elif op == 0x54:
            accumulator &= value
        elif op == 0x05:
            at += value
        elif op == 0x06:
            return int(value)
        else:
            tests = {0x15: accumulator == value, 0x25: accumulator > value}
            tests[0x35] = accumulator >= value
            at += if_true if tests[op] else if_false


def compiled(spec: dict[str, Any], machine: str = "x86_64") -> bytes:
    return compile_filter(Node(spec), machine=machine)[0]


def profile(*entries: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **more: Any) -> bytes:
    return compiled({"defaultAction": default, "syscalls": list(entries), **more})


def arg(operator: str, value: int, second: int = 0, index: int = 0) -> dict[str, Any]:
    return {"index": index, "op": f"SCMP_CMP_{operator}", "value": value, "valueTwo": second}


N = syscalls.numbers("x86_64")
BIG = 0x1_0000_0005
MOST = (1 << 64) - 1


@pytest.mark.parametrize(
    ("operator", "value", "second", "holds", "fails"),
    [
        ("EQ", 5, 0, [5], [4, 6, BIG, MOST]),
        ("EQ", BIG, 0, [BIG], [5, BIG + 1, BIG + (1 << 32)]),
        ("NE", BIG, 0, [5, BIG - 1, BIG + (1 << 32)], [BIG]),
        ("GT", BIG, 0, [BIG + 1, 0x2_0000_0000, MOST], [0, 6, BIG, BIG - 1]),
        ("GE", BIG, 0, [BIG, BIG + 1, 0x2_0000_0000], [0, 6, BIG - 1]),
        ("LT", BIG, 0, [0, 6, BIG - 1], [BIG, BIG + 1, 0x2_0000_0000, MOST]),
        ("LE", BIG, 0, [0, 6, BIG], [BIG + 1, 0x2_0000_0000]),
        ("MASKED_EQ", 0xF0, 0x20, [0x20, 0x2F, 0x120], [0x30, 0x0]),
        ("MASKED_EQ", 0xF_0000_0000, 0x1_0000_0000, [BIG, 0x1_FFFF_FFFF], [0x2_0000_0000, 5]),
    ],
)
def test_operators_compare_all_64_bits(
    operator: str, value: int, second: int, holds: list[int], fails: list[int]
) -> None:
    entry = {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [arg(operator, value, second)]}
    program = profile(entry)
    for given in holds:
        assert run(program, N["kill"], given) == errno(1), hex(given)
    for given in fails:
        assert run(program, N["kill"], given) == ALLOW, hex(given)


def test_all_conditions_on_different_arguments_must_hold() -> None:
    conditions = [arg("EQ", 1), arg("EQ", 2, index=5)]
    program = profile({"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": conditions})
    assert run(program, N["kill"], 1, 0, 0, 0, 0, 2) == errno(1)
    assert run(program, N["kill"], 1) == ALLOW
    assert run(program, N["kill"], 0, 0, 0, 0, 0, 2) == ALLOW


def test_conditions_on_one_argument_are_alternatives() -> None:
    conditions = [arg("EQ", 1), arg("EQ", 2)]
    program = profile({"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": conditions})
    assert [run(program, N["kill"], n) for n in (1, 2, 3)] == [errno(1), errno(1), ALLOW]


def test_rule_without_conditions_beats_those_with() -> None:
    program = profile(
        {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [arg("EQ", 1)]},
        {"names": ["kill"], "action": "SCMP_ACT_KILL_PROCESS"},
    )
    assert run(program, N["kill"], 1) == KILL


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("SCMP_ACT_KILL", seccomp.SECCOMP_RET_KILL_THREAD),
        ("SCMP_ACT_KILL_THREAD", seccomp.SECCOMP_RET_KILL_THREAD),
        ("SCMP_ACT_KILL_PROCESS", KILL),
        ("SCMP_ACT_TRAP", seccomp.SECCOMP_RET_TRAP),
        ("SCMP_ACT_ERRNO", errno(1)),
        ("SCMP_ACT_TRACE", seccomp.SECCOMP_RET_TRACE | 1),
        ("SCMP_ACT_LOG", seccomp.SECCOMP_RET_LOG),
        ("SCMP_ACT_NOTIFY", seccomp.SECCOMP_RET_USER_NOTIF),
    ],
)
def test_actions(action: str, answer: int) -> None:
    program = profile({"names": ["kill"], "action": action}, listenerPath="/agent")
    assert run(program, N["kill"]) == answer
    assert run(program, N["read"]) == ALLOW


def test_error_number_is_the_rules_own() -> None:
    program = profile({"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77})
    assert run(program, N["kill"]) == errno(77)


def test_calls_newer_than_the_profile_do_not_exist() -> None:
    entry = {"names": ["read", "kill"], "action": "SCMP_ACT_ALLOW"}
    program = profile(entry, default="SCMP_ACT_ERRNO")
    assert run(program, N["open"]) == errno(1)
    assert run(program, N["kill"] + 1) == errno(38)
    assert run(profile(entry), N["kill"] + 1) == ALLOW


def test_unknown_names_are_skipped() -> None:
    program = profile({"names": ["nosuchcall", "kill"], "action": "SCMP_ACT_ERRNO"})
    assert run(program, N["kill"]) == errno(1)


def test_foreign_architectures_are_killed() -> None:
    entry = {"names": ["kill"], "action": "SCMP_ACT_ERRNO"}
    alone = profile(entry)
    assert run(alone, 37, arch=X86) == KILL
    assert run(alone, N["kill"] | syscalls.X32_BIT) == KILL
    assert run(alone, N["read"], arch=AARCH64) == KILL
    both = profile(entry, architectures=["SCMP_ARCH_X86", "SCMP_ARCH_X32"])
    assert run(both, syscalls.numbers("x86")["kill"], arch=X86) == errno(1)
    assert run(both, N["kill"] | syscalls.X32_BIT) == errno(1)
    assert run(both, N["read"] | syscalls.X32_BIT) == ALLOW
    assert run(both, 0xFFFFFFFF) == ALLOW  # what a tracer sets to skip a call


def test_multiplexed_calls_of_x86_follow_the_calls_behind_them() -> None:
    entry = {"names": ["socket", "shmget"], "action": "SCMP_ACT_ERRNO"}
    program = profile(entry, architectures=["SCMP_ARCH_X86"])
    table = syscalls.numbers("x86")
    assert run(program, table["socketcall"], 1, arch=X86) == errno(1)
    assert run(program, table["socketcall"], 2, arch=X86) == ALLOW
    assert run(program, table["ipc"], 23, arch=X86) == errno(1)


ARCHES = {"x86_64": ("amd64", X86_64), "aarch64": ("arm64", AARCH64)}


@pytest.mark.parametrize("machine", ARCHES)
def test_dockers_profile_is_what_its_rules_say(machine: str) -> None:
    """Every number, with arguments that make conditions hold and fail."""
    architecture, arch = ARCHES[machine]
    spec: Any = seccomp_for(["CAP_CHOWN"], architecture, (6, 1))
    program = compiled(spec, machine)
    table = syscalls.numbers(machine)
    named = {name for entry in spec["syscalls"] for name in entry["names"]}
    last = max(table[name] for name in named if name in table)
    for name, number in table.items():
        for first in (0, 1, 8, 40, 0x7E020000, 0x20008, 0xFFFFFFFF):
            expected = slowly(spec, name, first)
            if expected is None:
                expected = errno(38 if number > last else spec["defaultErrnoRet"])
            assert run(program, number, first, arch=arch) == expected, (name, first)


def slowly(spec: Any, name: str, first: int) -> int | None:
    """Return what the first rule that is about a call says."""
    ops: dict[str, Callable[[int, int, int], bool]] = {
        "SCMP_CMP_EQ": lambda a, v, _: a == v,
        "SCMP_CMP_NE": lambda a, v, _: a != v,
        "SCMP_CMP_LT": lambda a, v, _: a < v,
        "SCMP_CMP_GT": lambda a, v, _: a > v,
        "SCMP_CMP_MASKED_EQ": lambda a, v, s: a & v == s,
    }
    for entry in sorted(spec["syscalls"], key=lambda entry: bool(entry.get("args"))):
        if name not in entry["names"]:
            continue
        given = [first, 0, 0, 0, 0, 0]
        if all(
            ops[c["op"]](given[c["index"]], c["value"], c.get("valueTwo", 0))
            for c in entry.get("args", ())
        ):
            if entry["action"] == "SCMP_ACT_ALLOW":
                return ALLOW
            return errno(entry.get("errnoRet", 1))
    return None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"defaultAction": "SCMP_ACT_X"}, "seccomp.defaultAction"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "cannot be SCMP_ACT_NOTIFY"),
        ({"architectures": ["SCMP_ARCH_Z80"]}, '"SCMP_ARCH_Z80" is no architecture'),
        ({"flags": ["SECCOMP_FILTER_FLAG_X"]}, "is none of"),
        ({"syscalls": [{"names": ["x"], "action": "ALLOW"}]}, "syscalls[0].action"),
        (
            {"syscalls": [{"names": ["x"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1}]},
            "means nothing for SCMP_ACT_ALLOW",
        ),
        (
            {"syscalls": [{"names": ["x"], "action": "SCMP_ACT_LOG", "args": [{"op": "EQ"}]}]},
            "args[0].op",
        ),
    ],
)
def test_impossible_rules_are_refused(change: dict[str, Any], words: str) -> None:
    spec = {"defaultAction": "SCMP_ACT_ALLOW", **change}
    with pytest.raises(InvalidArgument) as caught:
        compile_filter(Node(spec, "seccomp"))
    assert words in caught.value.message


def test_compiled_programs_are_kept(tmp_path: Path) -> None:
    spec = {"defaultAction": "SCMP_ACT_ALLOW"}
    first = compile_filter(Node(spec), cache_dir=str(tmp_path / "cache"))
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.read_bytes() == first[0]
    kept.write_bytes(b"\x06\0\0\0\0\0\xff\x7f")  # another program with the same name: it is used
    assert compile_filter(Node(spec), cache_dir=str(tmp_path / "cache"))[0] == kept.read_bytes()
    other = {"defaultAction": "SCMP_ACT_LOG"}
    compile_filter(Node(other), cache_dir=str(tmp_path / "cache"))
    assert len(list((tmp_path / "cache").iterdir())) == 2
