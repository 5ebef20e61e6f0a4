"""Mount options as mount(8) and the runtime-spec write them, sorted into what the kernel takes.

An option is of one of four kinds: an attribute of the mount itself (`ro`, `nosuid`), the same for
all mounts below it (`rro`), a flag of the file system (`sync`), or its propagation (`rslave`).
What is in no table is a parameter of the file system (`size=64k`) and goes to it as it is.

Spec: runtime-spec config.md, "Linux mount options"
Man: mount(8), mount_setattr(2)
"""

from __future__ import annotations

import os

from knarr.linux.mount import (
    AT_RECURSIVE,
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_RELATIME,
    MOUNT_ATTR_STRICTATIME,
    MS_PRIVATE,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# Option: (bits to set, bits to clear). Times are a choice, not a bit: the whole field is cleared.
ATTRIBUTES = {
    "ro": (MOUNT_ATTR_RDONLY, 0),
    "rw": (0, MOUNT_ATTR_RDONLY),
    "nosuid": (MOUNT_ATTR_NOSUID, 0),
    "suid": (0, MOUNT_ATTR_NOSUID),
    "nodev": (MOUNT_ATTR_NODEV, 0),
    "dev": (0, MOUNT_ATTR_NODEV),
    "noexec": (MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, MOUNT_ATTR_NOEXEC),
    "noatime": (MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME),
    "atime": (0, MOUNT_ATTR__ATIME),
    "relatime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
    "norelatime": (0, MOUNT_ATTR__ATIME),
    "strictatime": (MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME),
    "nostrictatime": (0, MOUNT_ATTR__ATIME),
    "nodiratime": (MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, MOUNT_ATTR_NOSYMFOLLOW),
    "defaults": (0, 0),
}
PROPAGATION = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE,
    "shared": MS_SHARED,
    "rshared": MS_SHARED,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE,
}
SUPERBLOCK = {
    "sync": "sync",
    "async": "async",
    "dirsync": "dirsync",
    "lazytime": "lazytime",
    "nolazytime": "nolazytime",
    "mand": "mand",
    "nomand": "nomand",
}
_TIMES = frozenset(("noatime", "relatime", "strictatime", "nodiratime"))

# Accepted and without meaning here: what mount(8) keeps for itself, and what the kernel dropped.
IGNORED = frozenset(("silent", "loud", "iversion", "noiversion", "acl", "noacl"))


def clean(path: str) -> str:
    """Return a path inside the container, absolute and without `.`, `..` and doubled slashes."""
    return os.path.normpath("/" + path.lstrip("/"))


class MountOptions:
    """What a list of options says. `bind` is 0, 1 or AT_RECURSIVE."""

    __slots__ = (
        "bind",
        "clear",
        "copy_up",
        "idmap",
        "parameters",
        "propagation",
        "recursive_clear",
        "recursive_set",
        "remount",
        "set",
        "subpath",
        "words",
    )

    def __init__(self) -> None:
        """Start with what no options mean."""
        self.bind = 0
        self.remount = False
        self.copy_up = False
        self.idmap = ""
        self.subpath = ""
        self.set = self.clear = 0
        self.recursive_set = self.recursive_clear = 0
        self.propagation: list[tuple[int, int]] = []  # (MS_…, AT_RECURSIVE or 0)
        self.parameters: list[tuple[str, str | None]] = []
        self.words: list[str] = []

    def names_times(self) -> bool:
        """Tell whether an option says how times of access are kept."""
        return not _TIMES.isdisjoint(self.words)

    def __str__(self) -> str:
        """Show the options as they were given, without those that say what is mounted."""
        return ",".join(self.words)


def parse_options(options: Iterable[str]) -> MountOptions:
    """Sort `options`; of two that contradict each other the last counts."""
    parsed = MountOptions()
    for option in options:
        if option in ("bind", "rbind"):
            parsed.bind = AT_RECURSIVE if option == "rbind" else parsed.bind or 1
            continue
        parsed.words.append(option)
        if option in ATTRIBUTES:
            parsed.set, parsed.clear = _combine(parsed.set, parsed.clear, option)
        elif option[:1] == "r" and option[1:] in ATTRIBUTES:
            parsed.recursive_set, parsed.recursive_clear = _combine(
                parsed.recursive_set, parsed.recursive_clear, option[1:]
            )
        elif option in PROPAGATION:
            recursive = AT_RECURSIVE if option[0] == "r" else 0
            parsed.propagation.append((PROPAGATION[option], recursive))
        else:
            _other(parsed, option)
    return parsed


def _combine(bits: int, cleared: int, option: str) -> tuple[int, int]:
    add, remove = ATTRIBUTES[option]
    return bits & ~remove | add, cleared & ~add | remove


def _other(parsed: MountOptions, option: str) -> None:
    if option == "remount":
        parsed.remount = True
    elif option == "tmpcopyup":
        parsed.copy_up = True
    elif option in ("idmap", "ridmap"):
        parsed.idmap = option
    elif option.startswith("subpath="):
        parsed.subpath = option.removeprefix("subpath=")
    elif option in SUPERBLOCK:
        parsed.parameters.append((SUPERBLOCK[option], None))
    elif option not in IGNORED:
        key, equals, value = option.partition("=")
        parsed.parameters.append((key, value if equals else None))
