"""Seccomp profiles: Docker's form, and what a container gets of it.

A profile in Docker's form has rules with conditions: for which architectures, with which
capabilities, from which kernel on. Resolving a profile leaves the rules that apply; the result is
the `seccomp` object of the runtime-spec, which has no conditions.

Spec: runtime-spec config-linux.md, "Seccomp"
Docker: the format of `--security-opt seccomp=FILE`
"""

from __future__ import annotations

from knarr.errors import InvalidArgument
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from knarr.oci.document import Fields
    from knarr.oci.runtime import Seccomp, SeccompArg, SeccompSyscall

# Go's name of an architecture: what profiles call it in conditions, and in lists.
_ARCHITECTURES = {
    "386": ("x86", "SCMP_ARCH_X86"),
    "amd64": ("amd64", "SCMP_ARCH_X86_64"),
    "arm": ("arm", "SCMP_ARCH_ARM"),
    "arm64": ("arm64", "SCMP_ARCH_AARCH64"),
    "loong64": ("loongarch64", "SCMP_ARCH_LOONGARCH64"),
    "mips64": ("mips64", "SCMP_ARCH_MIPS64"),
    "mips64le": ("mipsel64", "SCMP_ARCH_MIPSEL64"),
    "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE"),
    "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"),
    "s390x": ("s390x", "SCMP_ARCH_S390X"),
}
_OLDEST_KERNEL = (5, 15)


class Rule(Value):
    """An action for some calls, where the conditions hold. Empty conditions hold everywhere."""

    names: tuple[str, ...]
    action: str
    errno: int | None = None
    args: tuple[tuple[int, int, int, str], ...] = ()
    arches: tuple[str, ...] = ()
    caps: tuple[str, ...] = ()
    since: tuple[int, int] = (0, 0)
    not_arches: tuple[str, ...] = ()
    not_caps: tuple[str, ...] = ()
    not_since: tuple[int, int] = (0, 0)

    def applies(self, capabilities: Collection[str], native: str, kernel: tuple[int, int]) -> bool:
        """Tell whether the conditions hold.

        Docker: one excluded capability is enough to drop a rule, all included ones are needed.
        """
        if native in self.not_arches or any(cap in capabilities for cap in self.not_caps):
            return False
        if self.not_since != (0, 0) and kernel >= self.not_since:
            return False
        if self.arches and native not in self.arches:
            return False
        return kernel >= self.since and all(cap in capabilities for cap in self.caps)

    def encode(self) -> SeccompSyscall:
        """Return the rule without its conditions."""
        found: SeccompSyscall = {"names": list(self.names), "action": self.action}
        if self.errno is not None:
            found["errnoRet"] = self.errno
        if self.args:
            found["args"] = [_encode_arg(*arg) for arg in self.args]
        return found


class Profile(Value):
    """A profile in Docker's form. `fixed` are its fields that have no conditions."""

    default_action: str
    default_errno: int | None
    rules: tuple[Rule, ...]
    architectures: tuple[tuple[str, tuple[str, ...]], ...] = ()
    fixed: tuple[tuple[str, Any], ...] = ()


def seccomp_for(
    capabilities: Collection[str],
    architecture: str,
    kernel: tuple[int, int] = _OLDEST_KERNEL,
) -> Seccomp:
    """Return Docker's default profile for a process with `capabilities` in its bounding set.

    `architecture` is Go's name, as in image configs: `amd64`.
    """
    return resolve(default_profile(), capabilities, architecture, kernel)


def default_profile() -> Profile:
    """Return Docker's default profile."""
    from knarr.oci import seccomp_default as data  # noqa: PLC0415 - not for unconfined ones

    rules = [Rule(tuple(data.ALWAYS.split()), data.ALLOW)]
    rules += [_rule(names, limits) for names, limits in data.RULES]
    architectures = [(name, tuple(others.split())) for name, others in data.ARCHITECTURES.items()]
    return Profile(data.DEFAULT_ACTION, data.DEFAULT_ERRNO, tuple(rules), tuple(architectures))


def _rule(names: str, limits: dict[str, Any]) -> Rule:
    fields: dict[str, Any] = {"action": "SCMP_ACT_ALLOW", **limits}
    for key in ("arches", "caps", "not_arches", "not_caps"):
        if key in fields:
            fields[key] = tuple(fields[key].split())
    return Rule(tuple(names.split()), **fields)


def resolve(
    profile: Profile,
    capabilities: Collection[str],
    architecture: str,
    kernel: tuple[int, int] = _OLDEST_KERNEL,
) -> Seccomp:
    """Return what of `profile` applies, as the runtime-spec writes it."""
    native, scmp = _ARCHITECTURES.get(architecture, (architecture, ""))
    found: Seccomp = {"defaultAction": profile.default_action}
    if profile.default_errno is not None:
        found["defaultErrnoRet"] = profile.default_errno
    for name, others in profile.architectures:
        if name == scmp:
            found["architectures"] = [name, *others]
    for key, value in profile.fixed:
        found[key] = value  # type: ignore[literal-required]
    found["syscalls"] = [
        rule.encode() for rule in profile.rules if rule.applies(capabilities, native, kernel)
    ]
    return found


def decode_profile(raw: bytes) -> Profile | None:
    """Return the profile that a user wrote, None if it says that nothing is confined.

    Raises: InvalidArgument, Corrupt
    """
    from knarr.oci import document  # noqa: PLC0415 - the default profile needs no JSON

    fields = document.load(raw, "seccomp profile")
    action = fields.text("defaultAction")
    if not action and not fields.object.get("syscalls"):
        return None
    architectures = fields.texts("architectures") or ()
    mapped = fields.children("archMap")
    if architectures and mapped:
        message = "both 'architectures' and 'archMap' are specified in the seccomp profile"
        raise InvalidArgument(message, hint="Use either 'architectures' or 'archMap'.")
    fixed = {key: fields.object[key] for key in _FIXED if fields.object.get(key) is not None}
    return Profile(
        action,
        fields.integer("defaultErrnoRet") if "defaultErrnoRet" in fields.object else None,
        tuple([_decode_rule(child) for child in fields.children("syscalls")]),
        tuple([(m.text("architecture"), m.texts("subArchitectures") or ()) for m in mapped]),
        tuple(fixed.items()),
    )


_FIXED = ("architectures", "flags", "listenerPath", "listenerMetadata")


def _decode_rule(fields: Fields) -> Rule:
    from knarr.oci.document import Fields  # noqa: PLC0415 - see decode_profile

    name, names = fields.text("name"), fields.texts("names") or ()
    if name and names:
        message = "both 'name' and 'names' are specified in the seccomp profile"
        raise InvalidArgument(message, hint="Use either 'name' or 'names'.")
    includes = fields.child("includes") or Fields({}, "")
    excludes = fields.child("excludes") or Fields({}, "")
    return Rule(
        names or (name,),
        fields.text("action"),
        fields.integer("errnoRet") if fields.object.get("errnoRet") is not None else None,
        tuple(
            [
                (a.integer("index"), _unsigned(a, "value"), _unsigned(a, "valueTwo"), a.text("op"))
                for a in fields.children("args")
            ]
        ),
        includes.texts("arches") or (),
        includes.texts("caps") or (),
        _kernel(includes),
        excludes.texts("arches") or (),
        excludes.texts("caps") or (),
        _kernel(excludes),
    )


def _unsigned(fields: Fields, key: str) -> int:
    # Arguments of system calls have all 64 bits.
    value = fields.object.get(key) or 0
    if type(value) is not int or not 0 <= value < 1 << 64:
        fields.refuse(key, "a number of 64 bits")
    return value


def _kernel(fields: Fields) -> tuple[int, int]:
    text = fields.text("minKernel")
    if not text:
        return (0, 0)
    major, dot, minor = text.partition(".")
    if not (dot and major.isdecimal() and minor.isdecimal()):
        fields.refuse("minKernel", "a kernel version as 4.8")
    return (int(major), int(minor))


def _encode_arg(index: int, value: int, value_two: int, operator: str) -> SeccompArg:
    found: SeccompArg = {"index": index, "value": value, "op": operator}
    if value_two:
        found["valueTwo"] = value_two
    return found
