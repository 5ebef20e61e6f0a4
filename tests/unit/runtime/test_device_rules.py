"""Device rules, and the eBPF programs made of them, interpreted as the kernel would."""

from __future__ import annotations

from struct import iter_unpack

import pytest

from knarr.runtime.device_rules import ANY, Rule, compile_program, effective, plan_rules
from knarr.runtime.document import Node

MASK = (1 << 32) - 1


def decide(program: bytes, kind: str, major: int, minor: int, access: str) -> bool:
    """Return whether the program allows a use of a device."""
    bits = sum({"m": 1, "r": 2, "w": 4}[letter] for letter in access)
    context = {0: bits << 16 | {"b": 1, "c": 2}[kind], 4: major, 8: minor}
    registers = [0] * 11
    code = list(iter_unpack("<BBhi", program))
    at = 0
    while True:
        op, both, offset, value = code[at]
        dst, src = both & 15, both >> 4
        at += 1
        if op == 0x61:
            registers[dst] = context[offset]
        elif op == 0xBC:
            registers[dst] = registers[src] & MASK
        elif op == 0xB7:
            registers[dst] = value
        elif op == 0x54:
            registers[dst] &= value & MASK
        elif op == 0x74:
            registers[dst] >>= value
        elif op == 0x05:
            at += offset
        elif op == 0x95:
            return bool(registers[0])
        else:
            holds = {0x55: registers[dst] != value, 0x45: bool(registers[dst] & value)}[op]
            at += offset if holds else 0


def rules(*lines: str) -> list[Rule]:
    """Return rules written as `+ c 1:* rw` and `- a rwm`."""
    made = []
    for line in lines:
        sign, kind, *rest = line.split()
        numbers, access = rest if len(rest) == 2 else ("*:*", rest[0])
        major, minor = (ANY if n == "*" else int(n) for n in numbers.split(":"))
        made.append(Rule(allow=sign == "+", kind=kind, major=major, minor=minor, access=access))
    return made


@pytest.mark.parametrize(
    ("lines", "allowed", "denied"),
    [
        ((), [], ["c 1:3 r", "b 8:0 m"]),
        (("+ a rwm",), ["c 1:3 rwm", "b 8:0 w"], []),
        (("- a rwm", "+ c 1:3 rw"), ["c 1:3 r", "c 1:3 rw"], ["c 1:3 m", "c 1:3 rwm", "b 1:3 r"]),
        (("+ c 1:3 r", "+ c 1:3 w"), ["c 1:3 rw"], ["c 1:3 rwm"]),
        (("+ c *:* m",), ["c 5:6 m"], ["c 5:6 r", "c 5:6 rm"]),
        (("+ a rwm", "- c 1:3 w"), ["c 1:3 r", "c 1:4 w"], ["c 1:3 w", "c 1:3 rw"]),
        (("- c 1:3 w", "+ c 1:3 rw"), ["c 1:3 rw"], []),
        (("+ c 1:* rwm", "- a rwm"), [], ["c 1:3 r"]),
        (("+ c 1:* r", "- c 1:5 r", "+ c 1:5 r"), ["c 1:5 r"], ["c 1:5 w"]),
    ],
)
def test_the_last_rule_that_matches_decides(
    lines: tuple[str, ...], allowed: list[str], denied: list[str]
) -> None:
    program = compile_program(rules(*lines))
    for expected, uses in ((True, allowed), (False, denied)):
        for use in uses:
            kind, numbers, access = use.split()
            major, minor = map(int, numbers.split(":"))
            assert decide(program, kind, major, minor, access) is expected, use


def test_rules_before_one_about_everything_are_left_out() -> None:
    assert effective(rules("+ c 1:3 r", "- a rwm", "+ c 1:5 r")) == rules("- a rwm", "+ c 1:5 r")


def test_no_rules_mean_no_restriction() -> None:
    assert plan_rules([]) == []


def test_default_devices_follow_the_rules_of_the_spec() -> None:
    planned = plan_rules([Node({"allow": False, "access": "rwm"})])
    assert planned[0].line() == "a *:* rwm"
    program = compile_program(planned)
    assert decide(program, "c", 1, 3, "rw")
    assert decide(program, "c", 136, 9, "rw")
    assert decide(program, "b", 8, 0, "m")
    assert not decide(program, "b", 8, 0, "r")


def test_the_letter_that_is_none_is_read_with_caution() -> None:
    def access(*, allow: bool) -> str:
        entry = {"allow": allow, "type": "c", "major": 1, "minor": 11, "access": "ra"}
        return plan_rules([Node(entry)])[0].access

    assert access(allow=True) == "r"
    assert access(allow=False) == "rwm"
