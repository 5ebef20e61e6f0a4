"""The rules of a seccomp filter, as the spec writes them, for the compiler.

Spec: runtime-spec config-linux.md, "Seccomp"
"""

from __future__ import annotations

from knarr.errors import InvalidArgument
from knarr.linux import seccomp
from knarr.runtime.filtering.compiler import ARCHITECTURES, Compiler, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.document import Node
    from knarr.runtime.filtering.compiler import Condition

ACTIONS = {
    "SCMP_ACT_KILL": seccomp.SECCOMP_RET_KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": seccomp.SECCOMP_RET_KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": seccomp.SECCOMP_RET_KILL_PROCESS,
    "SCMP_ACT_TRAP": seccomp.SECCOMP_RET_TRAP,
    "SCMP_ACT_ERRNO": seccomp.SECCOMP_RET_ERRNO,
    "SCMP_ACT_TRACE": seccomp.SECCOMP_RET_TRACE,
    "SCMP_ACT_ALLOW": seccomp.SECCOMP_RET_ALLOW,
    "SCMP_ACT_LOG": seccomp.SECCOMP_RET_LOG,
    "SCMP_ACT_NOTIFY": seccomp.SECCOMP_RET_USER_NOTIF,
}
OPERATORS = (
    "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
)  # fmt: skip

# Known to the spec, without tables here: accepted, since no process on our machines can be of them.
OTHER_ARCHITECTURES = frozenset(
    f"SCMP_ARCH_{name}"
    for name in (
        "MIPS", "MIPS64", "MIPS64N32", "MIPSEL", "MIPSEL64", "MIPSEL64N32", "PPC", "PPC64", "S390",
        "PARISC", "PARISC64", "M68K", "SH", "SHEB",
    )
)  # fmt: skip
# uname's machine: which of them its kernel runs, its own first.
_FAMILIES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "i686": ("SCMP_ARCH_X86",),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "armv7l": ("SCMP_ARCH_ARM",),
    "riscv64": ("SCMP_ARCH_RISCV64",),
    "loongarch64": ("SCMP_ARCH_LOONGARCH64",),
    "ppc64le": ("SCMP_ARCH_PPC64LE",),
    "s390x": ("SCMP_ARCH_S390X",),
}
_EPERM = 1


def compile_rules(node: Node, machine: str) -> bytes:
    """Return the program for the rules in `node` on a `machine`, a word of uname(2).

    Raises: InvalidArgument
    """
    default, rules = _plan(node)
    return Compiler(default, rules, _architectures(node, machine)).program()


def _plan(node: Node) -> tuple[int, list[Rule]]:
    node.choice("defaultAction", ACTIONS)
    if node.text("defaultAction") == "SCMP_ACT_NOTIFY":
        node.refuse(
            "defaultAction", "cannot be SCMP_ACT_NOTIFY: the listener would wait for itself"
        )
    default = _action(node, "defaultAction", "defaultErrnoRet")
    rules = []
    for entry in node.nodes("syscalls"):
        action = _action(entry, "action", "errnoRet")
        names = entry.texts("names")
        if entry.text("action") == "SCMP_ACT_NOTIFY" and "write" in names:
            entry.refuse("action", "SCMP_ACT_NOTIFY cannot be used for the write syscall")
        alternatives = _conditions(entry)
        if action != default:
            rules.append(Rule(names, action, alternatives))
    return default, rules


def _action(node: Node, key: str, errno_key: str) -> int:
    name = node.choice(key, ACTIONS)
    action = ACTIONS[name]
    if name in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"):
        return action | node.natural(errno_key, _EPERM, limit=0xFFFF)
    if node.natural(errno_key):
        node.refuse(errno_key, f"means nothing for {name}")
    return action


def _conditions(entry: Node) -> list[tuple[Condition, ...]]:
    """Return the alternatives of an entry, each a conjunction; one empty one if always."""
    conditions: list[Condition] = []
    for arg in entry.nodes("args"):
        operator = arg.choice("op", OPERATORS)
        values = (arg.natural(key, limit=(1 << 64) - 1) for key in ("value", "valueTwo"))
        value, second = values
        conditions.append((arg.natural("index", limit=5), operator, value, second))
    if len({condition[0] for condition in conditions}) < len(conditions):
        return [(condition,) for condition in conditions]
    return [tuple(conditions)]


def _architectures(node: Node, machine: str) -> list[str]:
    """Return those of the spec's architectures that this machine can run, its own always."""
    asked = node.texts("architectures")
    for name in asked:
        if name not in ARCHITECTURES and name not in OTHER_ARCHITECTURES:
            node.refuse("architectures", f'"{name}" is no architecture')
    family = _FAMILIES.get(machine)
    if family is None:
        message = f"seccomp: the system calls of {machine} are not known"
        raise InvalidArgument(message)
    return [name for at, name in enumerate(family) if not at or name in asked]
