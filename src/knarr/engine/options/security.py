"""What widens or narrows a container's rights: `--cap-add`, `--cap-drop`, `--security-opt`."""

from __future__ import annotations

import os

from knarr.engine.options.values import Security
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

# In the order of their numbers, as the kernel's documents list them.
CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
    "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip

SWITCHES = {"no-new-privileges": "no_new_privileges", "writable-cgroups": "writable_cgroups"}
PATHS = {"mask": "masked", "unmask": "shown"}

# Docker: oci/caps/defaults of moby
DEFAULT_CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
)  # fmt: skip


def bounding_mask(security: Security) -> int:
    """Return which capabilities this process could hand on, if `security` asks for all.

    Docker: "all" means all that there are to be had; one that is asked for by name must be there
    """
    if not security.privileged and "ALL" not in map(str.upper, security.cap_add):
        return -1
    with open("/proc/self/status", "rb", buffering=0) as file:
        lines = file.read().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith(b"CapBnd:"))


def heat_paths() -> tuple[str, ...]:
    """Return what on this host tells how warm each processor is, and so what others compute.

    Docker: masked since 28.2, with /proc/interrupts
    """
    processors = "/sys/devices/system/cpu"
    if not os.path.exists(f"{processors}/cpu0/thermal_throttle"):
        return ()
    names = [name for name in os.listdir(processors) if name[:3] == "cpu" and name[3:].isdecimal()]
    return tuple(f"{processors}/{name}/thermal_throttle" for name in sorted(names))


def capabilities(security: Security, *, mask: int = -1) -> tuple[str, ...]:
    """Return the capabilities of a container, in Docker's order; of "all" those in `mask`.

    Raises: InvalidArgument
    """
    add = normalised(security.cap_add, "CapAdd")
    drop = normalised(security.cap_drop, "CapDrop")
    everything = [name for number, name in enumerate(CAPABILITIES) if mask >> number & 1]
    if security.privileged:
        return tuple(everything)
    if "ALL" in add:
        return tuple(name for name in everything if name not in drop)
    base = () if "ALL" in drop else DEFAULT_CAPABILITIES
    kept = [name for name in base if name not in drop]
    return tuple(kept + [name for name in dict.fromkeys(add) if name not in kept])


def normalised(names: Iterable[str], field: str) -> list[str]:
    found = []
    for text in names:
        name = text.upper()
        if name != "ALL":
            name = name if name.startswith("CAP_") else f"CAP_{name}"
            if name not in CAPABILITIES:
                message = f'invalid {field}: unknown capability: "{name}"'
                raise InvalidArgument(message)
        found.append(name)
    return found


def parse_security(texts: Iterable[str], read: Callable[[str], bytes]) -> Security:
    """Return what several `--security-opt` ask for; `read` returns the content of a file.

    Raises: InvalidArgument
    """
    fields: dict[str, Any] = {"texts": tuple(texts)}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals and name not in SWITCHES:
            name, equals, value = text.partition(":")  # the form of old, still accepted
        if name in SWITCHES:
            fields[SWITCHES[name]] = _switched(text, value) if equals else True
        elif name == "seccomp" and value:
            fields["seccomp"] = _profile(value, read)
        elif name == "systempaths" and value == "unconfined":
            fields["unmasked"] = True
        elif name in PATHS and value:
            fields |= _paths(name, value, fields)
        elif name not in ("apparmor", "label") or not value:
            message = f'invalid --security-opt: "{text}"'
            raise InvalidArgument(message)
    return Security(**fields)


def _switched(text: str, value: str) -> bool:
    from knarr.util.booleans import find_boolean  # noqa: PLC0415 - rare

    found = find_boolean(value)
    if found is None:
        message = f'invalid --security-opt: "{text}"'
        raise InvalidArgument(message)
    return found


def _paths(name: str, value: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `mask=/a:/b` and `unmask=/a:/b`, or `unmask=ALL`.

    Podman: patterns of paths may be unmasked

    Raises: InvalidArgument
    """
    field = PATHS[name]
    if name == "unmask" and value.upper() == "ALL":
        return {"unmasked": True}
    paths = tuple(value.split(":"))
    if not all(path.startswith("/") for path in paths):
        message = f'invalid --security-opt: "{name}={value}"'
        raise InvalidArgument(message, hint="Write absolute paths, with colons between them.")
    return {field: (*fields.get(field, ()), *paths)}


def _profile(value: str, read: Callable[[str], bytes]) -> str:
    if value in ("unconfined", "builtin"):
        return value if value == "unconfined" else ""
    from knarr.util import jsontext  # noqa: PLC0415 - rare

    try:
        text = read(value).decode()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"opening seccomp profile ({value}) failed: open {value}: {reason}"
        raise InvalidArgument(message) from None
    try:
        document = jsontext.loads(text)
    except ValueError as error:
        message = f"compacting json for seccomp profile ({value}) failed: {error}"
        raise InvalidArgument(message) from None
    if not isinstance(document, dict):
        message = f"seccomp profile ({value}) is not a JSON object"
        raise InvalidArgument(message)
    return jsontext.dumps(document)
