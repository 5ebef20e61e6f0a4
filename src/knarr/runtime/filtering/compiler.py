"""The compiler for seccomp: from rules to a program for the kernel.

The program gets the number of a call, its architecture and its arguments, and returns an action.
The kernel runs it for every call of every process, so its speed matters more than its length:

    which architecture?     one comparison for each, the machine's own first
    which call?             a binary search through ranges of numbers with the same action:
                            Docker's profile, 340 names, needs seven comparisons at most
    which arguments?        only where rules have conditions: the first that holds decides

Rules for one call are read as libseccomp reads them, so that profiles mean here what they mean to
runc and crun. A rule without conditions beats those with; rules with the default action are left
out; several conditions on the same argument are alternatives. Names that an architecture does not
have are skipped. On x86 the calls behind `socketcall` and `ipc` follow the rules of the calls that
they stand for.

A profile cannot name calls that were invented after it. For numbers beyond all it knows, a refusal
is ENOSYS, which programs take for an older kernel and go on, not EPERM, with which they give up.

Spec: runtime-spec config-linux.md, "Seccomp"
Man: seccomp(2), seccomp_rule_add(3)
"""

from __future__ import annotations

import sys
from struct import pack

from knarr.errors import InvalidArgument
from knarr.linux import seccomp
from knarr.runtime.filtering import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    # A condition: argument's place, operator, value, second value.
    Condition = tuple[int, str, int, int]
    # What is done for a call: conditions with their actions in order, then the action otherwise.
    Leaf = tuple[tuple[tuple[tuple[Condition, ...], int], ...], int]
    # An instruction: code, jump if true, jump if false, value.
    Line = tuple[int, int, int, int]

# The spec's name: our table, AUDIT_ARCH_… of <linux/audit.h>, and whether arguments have 64 bits.
ARCHITECTURES = {
    "SCMP_ARCH_X86_64": ("x86_64", 0xC000003E, True),
    "SCMP_ARCH_X86": ("x86", 0x40000003, False),
    "SCMP_ARCH_X32": ("x32", 0xC000003E, False),
    "SCMP_ARCH_AARCH64": ("aarch64", 0xC00000B7, True),
    "SCMP_ARCH_ARM": ("arm", 0x40000028, False),
    "SCMP_ARCH_RISCV64": ("riscv64", 0xC00000F3, True),
    "SCMP_ARCH_LOONGARCH64": ("loongarch64", 0xC0000102, True),
    "SCMP_ARCH_PPC64LE": ("ppc64le", 0xC0000015, True),
    "SCMP_ARCH_S390X": ("s390x", 0x80000016, True),
}
# <linux/net.h> SYS_…, <linux/ipc.h>: calls of x86 that hide behind one number.
_SOCKETCALL = (
    "socket bind connect listen accept getsockname getpeername socketpair send recv sendto"
    " recvfrom shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg"
)
_IPC = {
    "semop": 1, "semget": 2, "semctl": 3, "semtimedop": 4, "msgsnd": 11, "msgrcv": 12,
    "msgget": 13, "msgctl": 14, "shmat": 21, "shmdt": 22, "shmget": 23, "shmctl": 24,
}  # fmt: skip
_ENOSYS = seccomp.SECCOMP_RET_ERRNO | 38
_REFUSALS = (
    seccomp.SECCOMP_RET_ERRNO,
    seccomp.SECCOMP_RET_TRAP,
    seccomp.SECCOMP_RET_KILL_THREAD,
    seccomp.SECCOMP_RET_KILL_PROCESS,
)

# <linux/bpf_common.h>
_LOAD = 0x20  # A = the word at k of struct seccomp_data
_AND = 0x54
_JUMP = 0x05
_JUMP_EQUAL = 0x15
_JUMP_GREATER = 0x25
_JUMP_NOT_LESS = 0x35
_RETURN = 0x06

# <linux/seccomp.h>, struct seccomp_data
_NUMBER = 0
_ARCHITECTURE = 4
_ARGUMENTS = 16
_LOW_HALF = 0 if sys.byteorder == "little" else 4

_FAIL = 255  # as a jump's distance: to the next alternative


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> Line:
    return code, if_true, if_false, value


class Rule:
    """One entry of `syscalls`: names, what is done, and on which conditions."""

    __slots__ = ("action", "alternatives", "names")

    def __init__(
        self, names: Sequence[str], action: int, alternatives: Sequence[tuple[Condition, ...]]
    ) -> None:
        """Do `action` for `names` if all conditions of one of `alternatives` hold."""
        self.names = names
        self.action = action
        self.alternatives = alternatives


class Compiler:
    """Makes one program of rules for several architectures."""

    def __init__(self, default: int, rules: Sequence[Rule], architectures: Sequence[str]) -> None:
        """Compile `rules`, with the action `default` for what they do not name."""
        self._default = default
        self._rules = rules
        self._names = list(architectures)

    def program(self) -> bytes:
        """Return the program.

        Raises: InvalidArgument
        """
        code = [_line(_LOAD, _ARCHITECTURE)]
        for name in self._names:
            if name == "SCMP_ARCH_X32":
                continue  # a part of x86_64
            section = [_line(_LOAD, _NUMBER), *self._search(self._ranges(name))]
            code += _unless_equal(ARCHITECTURES[name][1], section)
        code.append(_line(_RETURN, seccomp.SECCOMP_RET_KILL_PROCESS))
        if len(code) > seccomp.MAX_INSTRUCTIONS:
            message = f"seccomp: the rules make {len(code)} instructions, the kernel takes 4096"
            raise InvalidArgument(message)
        return b"".join(pack("=HBBI", *line) for line in code)

    def _ranges(self, name: str) -> list[tuple[int, Leaf, bool]]:
        """Return where ranges of calls with the same leaf begin, the leaf, and its word size."""
        wide = ARCHITECTURES[name][2]
        ranges = self._numbered(name, 0)
        if name == "SCMP_ARCH_X86_64":
            if "SCMP_ARCH_X32" in self._names:
                ranges += self._numbered("SCMP_ARCH_X32", syscalls.X32_BIT)
            else:
                ranges.append((syscalls.X32_BIT, ((), seccomp.SECCOMP_RET_KILL_PROCESS)))
            ranges.append((0xFFFFFFFF, ((), self._default)))  # "no call", set by a tracer
        merged: list[tuple[int, Leaf, bool]] = []
        for start, leaf in ranges:
            if not merged or merged[-1][1] != leaf:
                merged.append((start, leaf, wide and start < syscalls.X32_BIT))
        return merged

    def _numbered(self, name: str, base: int) -> list[tuple[int, Leaf]]:
        leaves = self._leaves(name)
        default: Leaf = ((), self._default)
        ranges: list[tuple[int, Leaf]] = [(base, default)]
        for number in sorted(leaves):
            if ranges[-1][0] == base + number:
                ranges.pop()
            ranges += [(base + number, leaves[number]), (base + number + 1, default)]
        if leaves and self._default & 0xFFFF0000 in _REFUSALS and self._default != _ENOSYS:
            ranges[-1] = (ranges[-1][0], ((), _ENOSYS))
        return ranges

    def _leaves(self, name: str) -> dict[int, Leaf]:
        """Return what is done for each call that a rule names."""
        table = syscalls.numbers(ARCHITECTURES[name][0])
        always: dict[int, int] = {}
        sometimes: dict[int, list[tuple[tuple[Condition, ...], int]]] = {}
        for rule in self._rules:
            for call in rule.names:
                for number, alternatives in _calls(table, call, rule, x86=name == "SCMP_ARCH_X86"):
                    if () in alternatives:
                        always.setdefault(number, rule.action)
                        continue
                    entries = sometimes.setdefault(number, [])
                    entries += [(conditions, rule.action) for conditions in alternatives]
        leaves: dict[int, Leaf] = {
            number: (tuple(entries), self._default) for number, entries in sometimes.items()
        }
        leaves.update({number: ((), action) for number, action in always.items()})
        return leaves

    def _search(self, ranges: list[tuple[int, Leaf, bool]]) -> list[Line]:
        """Return the code that finds the range in which the number is."""
        if len(ranges) == 1:
            _, leaf, wide = ranges[0]
            return _compile_leaf(leaf, wide=wide)
        middle = len(ranges) // 2
        low, high = self._search(ranges[:middle]), self._search(ranges[middle:])
        start = ranges[middle][0]
        if len(low) < 256:
            return [_line(_JUMP_NOT_LESS, start, len(low), 0), *low, *high]
        far = [_line(_JUMP_NOT_LESS, start, 0, 1), _line(_JUMP, len(low))]
        return [*far, *low, *high]


def _calls(
    table: dict[str, int], call: str, rule: Rule, *, x86: bool
) -> list[tuple[int, Sequence[tuple[Condition, ...]]]]:
    """Return the numbers behind a name, and on which conditions the rule is about each."""
    found: list[tuple[int, Sequence[tuple[Condition, ...]]]] = []
    if call in table:
        found.append((table[call], rule.alternatives))
    if x86 and () in rule.alternatives:
        words = _SOCKETCALL.split()
        if call in words:
            condition: Condition = (0, "SCMP_CMP_EQ", words.index(call) + 1, 0)
            found.append((table["socketcall"], [(condition,)]))
        elif call in _IPC:
            condition = (0, "SCMP_CMP_EQ", _IPC[call], 0)
            found.append((table["ipc"], [(condition,)]))
    return found


def _unless_equal(value: int, section: list[Line]) -> list[Line]:
    """Return code that runs `section` if A is `value`, and goes behind it otherwise."""
    return [_line(_JUMP_EQUAL, value, 1, 0), _line(_JUMP, len(section)), *section]


def _compile_leaf(leaf: Leaf, *, wide: bool) -> list[Line]:
    entries, otherwise = leaf
    code: list[Line] = []
    for conditions, action in entries:
        block: list[Line] = []
        for condition in conditions:
            block += _compile_condition(condition, wide=wide)
        block.append(_line(_RETURN, action))
        code += _aim(block)
    return [*code, _line(_RETURN, otherwise)]


def _aim(block: list[Line]) -> list[Line]:
    """Let the jumps to _FAIL lead behind the block."""
    aimed = []
    for at, (code, if_true, if_false, value) in enumerate(block):
        behind = len(block) - at - 1
        if_true = behind if if_true == _FAIL else if_true
        if_false = behind if if_false == _FAIL else if_false
        aimed.append((code, if_true, if_false, value))
    return aimed


def _compile_condition(condition: Condition, *, wide: bool) -> list[Line]:
    """Return code that falls through if the condition holds and jumps to _FAIL if not.

    The machine works with 32 bits: the upper half decides unless it is equal.
    """
    index, operator, value, second = condition
    low_at = _ARGUMENTS + 8 * index + _LOW_HALF
    high_at = _ARGUMENTS + 8 * index + 4 - _LOW_HALF
    mask = (1 << 64) - 1
    if operator == "SCMP_CMP_MASKED_EQ":
        mask, value = value, second
    lower = _compare(operator, low_at, value & 0xFFFFFFFF, mask & 0xFFFFFFFF)
    if not wide:
        return lower
    high, high_mask = value >> 32, mask >> 32
    load = [_line(_LOAD, high_at)]
    if high_mask != 0xFFFFFFFF:
        load.append(_line(_AND, high_mask))
    skip = len(lower)
    if operator in ("SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"):
        return [*load, _line(_JUMP_EQUAL, high, 0, _FAIL), *lower]
    if operator == "SCMP_CMP_NE":
        return [*load, _line(_JUMP_EQUAL, high, 0, skip), *lower]
    if operator in ("SCMP_CMP_GT", "SCMP_CMP_GE"):
        decided = [_line(_JUMP_GREATER, high, skip + 1, 0), _line(_JUMP_EQUAL, high, 0, _FAIL)]
    else:
        decided = [_line(_JUMP_GREATER, high, _FAIL, 0), _line(_JUMP_EQUAL, high, 0, skip)]
    return [*load, *decided, *lower]


def _compare(operator: str, at: int, value: int, mask: int) -> list[Line]:
    """Return code that compares the word at `at`: on if it holds, to _FAIL if not."""
    load = [_line(_LOAD, at)]
    if mask != 0xFFFFFFFF:
        load.append(_line(_AND, mask))
    tests = {
        "SCMP_CMP_EQ": _line(_JUMP_EQUAL, value, 0, _FAIL),
        "SCMP_CMP_MASKED_EQ": _line(_JUMP_EQUAL, value, 0, _FAIL),
        "SCMP_CMP_NE": _line(_JUMP_EQUAL, value, _FAIL, 0),
        "SCMP_CMP_GT": _line(_JUMP_GREATER, value, 0, _FAIL),
        "SCMP_CMP_GE": _line(_JUMP_NOT_LESS, value, 0, _FAIL),
        "SCMP_CMP_LT": _line(_JUMP_NOT_LESS, value, _FAIL, 0),
        "SCMP_CMP_LE": _line(_JUMP_GREATER, value, _FAIL, 0),
    }
    return [*load, tests[operator]]
