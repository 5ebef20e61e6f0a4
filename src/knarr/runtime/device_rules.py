"""Which devices a container may use: the spec's rules, for both ways in which kernels enforce them.

A list of rules is read from the beginning; of those that match, the last one counts. cgroup v1
takes the rules one by one as lines. cgroup v2 has no files for this but runs a small eBPF program
for each use of a device: `compile_program` makes it, with our own assembler, from the same rules.

The program sees three numbers: type and access in one, major, minor. Access is a set of bits; for
each of them the last rule decides that matches. So the program goes through the rules from the
last to the first and keeps what is still undecided:

    if type, major or minor are not the rule's: next rule
    a rule that denies:     if it is about an undecided bit: return 0
    a rule that allows:     its bits are decided; if none is left: return 1

and at the end it returns 0, which means no.

Spec: runtime-spec config-linux.md, "Allowed Device list"
Man: bpf(2), cgroups(7)
"""

from __future__ import annotations

import os
from struct import pack

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.runtime.cgroups import Cgroup
    from knarr.runtime.document import Node

ANY = -1

# <linux/bpf.h>
BPF_DEVCG_ACC = {"m": 1, "r": 2, "w": 4}
BPF_DEVCG_DEV = {"b": 1, "c": 2}


class Rule(Value):
    """Whether devices that match may be used."""

    allow: bool
    kind: str  # a, b or c
    major: int
    minor: int
    access: str  # of r, w, m

    def line(self) -> str:
        """Return the rule as cgroup v1 takes it."""
        numbers = (str(n) if n != ANY else "*" for n in (self.major, self.minor))
        return f"{self.kind} {':'.join(numbers)} {self.access}"


# What every container can use, after all that its spec says: nodes of any kind may be made (the
# kernel asks again when they are opened), and the default devices can be used, with terminals and,
# since programs rely on it in runc, /dev/net/tun (a network interface takes CAP_NET_ADMIN anyway).
DEFAULT_RULES = (
    Rule(allow=True, kind="c", major=ANY, minor=ANY, access="m"),
    Rule(allow=True, kind="b", major=ANY, minor=ANY, access="m"),
    Rule(allow=True, kind="c", major=1, minor=3, access="rwm"),
    Rule(allow=True, kind="c", major=1, minor=8, access="rwm"),
    Rule(allow=True, kind="c", major=1, minor=7, access="rwm"),
    Rule(allow=True, kind="c", major=5, minor=0, access="rwm"),
    Rule(allow=True, kind="c", major=1, minor=5, access="rwm"),
    Rule(allow=True, kind="c", major=1, minor=9, access="rwm"),
    Rule(allow=True, kind="c", major=136, minor=ANY, access="rwm"),
    Rule(allow=True, kind="c", major=5, minor=2, access="rwm"),
    Rule(allow=True, kind="c", major=10, minor=200, access="rwm"),
)


def plan_rules(nodes: Iterable[Node]) -> list[Rule]:
    """Return the rules of a spec's `resources.devices`, with the default ones at the end.

    Without any rule the result is empty: nothing is enforced, as in the reference runtimes.

    Raises: InvalidArgument
    """
    rules = [_plan_rule(node) for node in nodes]
    return [*rules, *DEFAULT_RULES] if rules else []


def _plan_rule(node: Node) -> Rule:
    kind = node.choice("type", ("", "a", "b", "c", "u")) or "a"
    access = node.text("access", "rwm") or "rwm"
    if set(access) - set("rwma"):
        node.refuse("access", f'"{access}" has letters other than r, w and m')
    if "a" in access:  # no letter of the spec's, but accepted by runc: read with caution
        access = access.replace("a", "") if node.boolean("allow") else "rwm"
    numbers = [node.integer(key) for key in ("major", "minor")]
    major, minor = (ANY if number is None or number < 0 else number for number in numbers)
    if kind == "a" and (major != ANY or minor != ANY):
        node.refuse("type", "must be b or c for a device with numbers")
    return Rule(node.boolean("allow"), "c" if kind == "u" else kind, major, minor, access)


def effective(rules: list[Rule]) -> list[Rule]:
    """Return the rules without those that a later rule about everything makes void."""
    for at in range(len(rules) - 1, -1, -1):
        rule = rules[at]
        if rule.kind == "a" and set(rule.access) == set("rwm"):
            return rules[at:]
    return rules


# <linux/bpf_common.h>, <linux/bpf.h>: the few instructions that are needed
_LOAD_WORD = 0x61  # dst = *(u32 *)(src + offset)
_MOV32 = 0xBC  # dst = (u32) src
_MOV64_VALUE = 0xB7
_AND32_VALUE = 0x54
_RSH32_VALUE = 0x74
_JUMP_UNEQUAL = 0x55
_JUMP_IF_ANY = 0x45  # if dst & value
_JUMP = 0x05
_EXIT = 0x95

_TYPE, _ACCESS, _MAJOR, _MINOR = 2, 3, 4, 5  # registers; 0 is the answer, 1 the context


def _instruction(code: int, dst: int = 0, src: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return pack("<BBhi", code, src << 4 | dst, offset, value)


def compile_program(rules: list[Rule]) -> bytes:
    """Return the eBPF program (BPF_PROG_TYPE_CGROUP_DEVICE) for the rules."""
    code = [
        # r1 points to struct bpf_cgroup_dev_ctx { u32 access_type, major, minor }
        _instruction(_LOAD_WORD, _TYPE, 1, 0),  # access << 16 | type
        _instruction(_MOV32, _ACCESS, _TYPE),
        _instruction(_AND32_VALUE, _TYPE, value=0xFFFF),
        _instruction(_RSH32_VALUE, _ACCESS, value=16),
        _instruction(_LOAD_WORD, _MAJOR, 1, 4),
        _instruction(_LOAD_WORD, _MINOR, 1, 8),
    ]
    for rule in reversed(effective(rules)):
        code += _compile_rule(rule)
    return b"".join(code + _answer(0))


def _answer(value: int) -> list[bytes]:
    return [_instruction(_MOV64_VALUE, 0, value=value), _instruction(_EXIT)]


def _compile_rule(rule: Rule) -> list[bytes]:
    """Return the tests of a rule, each of which jumps behind it, and what it decides."""
    mask = sum(BPF_DEVCG_ACC[letter] for letter in set(rule.access))
    if rule.allow:
        decision = [
            _instruction(_AND32_VALUE, _ACCESS, value=~mask),
            _instruction(_JUMP_UNEQUAL, _ACCESS, offset=2),
            *_answer(1),
        ]
    else:
        decision = [
            _instruction(_JUMP_IF_ANY, _ACCESS, offset=1, value=mask),
            _instruction(_JUMP, offset=2),
            *_answer(0),
        ]
    expected = [(_TYPE, BPF_DEVCG_DEV.get(rule.kind, ANY)), (_MAJOR, rule.major)]
    expected.append((_MINOR, rule.minor))
    tests = [(register, value) for register, value in expected if value != ANY]
    behind = len(tests) + len(decision)
    return [
        _instruction(_JUMP_UNEQUAL, register, offset=behind - at - 1, value=value)
        for at, (register, value) in enumerate(tests)
    ] + decision


def restrict(group: Cgroup, rules: list[Rule]) -> None:
    """Let v2 enforce device rules; with v1's controller, files do."""
    place = group.unified
    if place is None or not rules or group.versions().get("devices") == 1:
        return
    from knarr.linux import bpf  # noqa: PLC0415 - not with v1

    descriptor = os.open(place.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        bpf.attach_device_program(descriptor, compile_program(rules))
    finally:
        os.close(descriptor)
