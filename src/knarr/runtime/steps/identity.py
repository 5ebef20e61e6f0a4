"""Who the program is: limits, names, keys, capabilities, users, filters, in the order that works.

Each step takes something away that a later one might need, so that their order is the design:

    keyring, sysctls, host name                         need privileges over the machine
    no_new_privs                                        takes nothing from root
    bounding set, then groups and user                  KEEPCAPS: or the change empties the sets
    effective, permitted, inheritable, ambient          with CAP_SYS_ADMIN if a filter follows
    working directory                                   as the user, if root could not enter it
    (the program is looked up; ready; start)
    (limits are set by the parent, which may exceed what we may, or lower what we need)
    seccomp                                             without no_new_privs wants CAP_SYS_ADMIN
    capset, exec                                        the only calls under the filter

A filter thus never sees anything of ours but capset, execve and, when that fails, what is needed to
say so.

Spec: runtime-spec config.md, "POSIX process", "Linux Process", "User"
"""

from __future__ import annotations

import os

from knarr.linux import capabilities, interfaces, path, process
from knarr.runtime.steps.room import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.filtering.filters import Listener
    from knarr.runtime.steps.room import Room

CAP_SYS_ADMIN = 1 << 21


class SessionKeyring(Step):
    """A keyring of the container's own, so that it does not possess the keys of who started it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        """Join the session keyring `name`."""
        self.name = name

    def __str__(self) -> str:
        """Show the name."""
        return f"session keyring {self.name}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"joining the {self}"

    def run(self, _: Room) -> None:
        """Join it, where the kernel has keyrings and no filter hides them."""
        try:
            key = process.join_session_keyring(self.name)
            process.set_key_permissions(key, 0x3F3F0000)
        except OSError as error:
            if error.errno not in _NO_KEYRINGS:
                raise


_NO_KEYRINGS = (1, 38)  # EPERM and ENOSYS: what the filters of other engines answer


class Sysctl(Step):
    """A parameter of the kernel that belongs to a namespace of the container."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: str) -> None:
        """Set `name`, written with dots or slashes."""
        self.name = name
        self.value = value

    def __str__(self) -> str:
        """Show the assignment."""
        return f"sysctl {self.name} = {self.value}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"setting {self}"

    def run(self, room: Room) -> None:
        """Set it."""
        write_proc(room, f"sys/{sysctl_path(self.name)}", self.value)


class Loopback(Step):
    """The interface `lo` of a new network namespace, which is down at first."""

    __slots__ = ()

    def __str__(self) -> str:
        """Name it."""
        return "loopback interface"

    def doing(self) -> str:
        """Say what is being done."""
        return f"setting up the {self}"

    def run(self, _: Room) -> None:
        """Set it up."""
        interfaces.set_up("lo")


class HostName(Step):
    """The container's name for itself."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        """Call the container `name`."""
        self.name = name

    def __str__(self) -> str:
        """Show the name."""
        return f"hostname {self.name}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"setting the {self}"

    def run(self, _: Room) -> None:
        """Set it."""
        process.sethostname(self.name)


class DomainName(HostName):
    """The NIS domain that the container is in."""

    __slots__ = ()

    def __str__(self) -> str:
        """Show the name."""
        return f"domainname {self.name}"

    def run(self, _: Room) -> None:
        """Set it."""
        process.setdomainname(self.name)


class Personality(Step):
    """The kernel's idea of what uname(2) and addresses should look like."""

    __slots__ = ("domain", "name")

    def __init__(self, name: str) -> None:
        """Use the domain `name`."""
        self.name = name
        self.domain = {"LINUX": process.PER_LINUX, "LINUX32": process.PER_LINUX32}[name]

    def __str__(self) -> str:
        """Show the domain."""
        return f"personality {self.name}"

    def run(self, _: Room) -> None:
        """Set it."""
        process.personality(self.domain)


class Capabilities:
    """The five sets."""

    __slots__ = ("ambient", "bounding", "effective", "inheritable", "permitted")

    def __init__(self, sets: dict[str, int]) -> None:
        """Take each set from `sets`, none where it has none."""
        self.bounding = sets.get("bounding", 0)
        self.effective = sets.get("effective", 0)
        self.permitted = sets.get("permitted", 0)
        self.inheritable = sets.get("inheritable", 0)
        self.ambient = sets.get("ambient", 0)

    def lines(self) -> list[str]:
        """Return the sets, for a plan."""
        return [
            f"{name} {' '.join(capabilities.names(getattr(self, name))) or 'none'}"
            for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
        ]

    def apply(self, *, keep: int = 0) -> None:
        """Set all but the bounding set; `keep` stays permitted and effective as well."""
        capabilities.capset(self.effective | keep, self.permitted | keep, self.inheritable)
        capabilities.clear_ambient()
        capabilities.raise_ambient(self.ambient & self.permitted & self.inheritable)


class Identity:
    """The user, groups and powers that the program runs with, and the filter on its calls."""

    __slots__ = (
        "capabilities",
        "filter",
        "filter_flags",
        "gid",
        "groups",
        "listener",
        "no_new_privileges",
        "uid",
        "umask",
    )

    def __init__(self) -> None:
        """Be root without powers until told otherwise."""
        self.uid = 0
        self.gid = 0
        self.groups: list[int] = []
        self.umask = 0o022
        self.capabilities = Capabilities({})
        self.no_new_privileges = False
        self.filter = b""
        self.filter_flags = 0
        self.listener: Listener | None = None

    def assume(self) -> None:
        """Become the user; what the filter still needs is kept until `seal`."""
        capabilities.drop_bounding(self.capabilities.bounding)
        process.prctl(process.PR_SET_KEEPCAPS, 1)
        os.setgroups(self.groups)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        process.prctl(process.PR_SET_KEEPCAPS, 0)
        os.umask(self.umask)
        keep = CAP_SYS_ADMIN if self.filter and not self.no_new_privileges else 0
        self.capabilities.apply(keep=keep)

    def seal(self) -> int:
        """Load the filter and give up what only that needed; return its listener or 0."""
        if not self.filter:
            return 0
        from knarr.linux import seccomp  # noqa: PLC0415 - loaded with the compiler of filters

        listener = seccomp.set_filter(self.filter, self.filter_flags)
        if not self.no_new_privileges:
            wanted = self.capabilities
            capabilities.capset(wanted.effective, wanted.permitted, wanted.inheritable)
        return listener

    def lines(self) -> list[str]:
        """Return what the identity is, for a plan."""
        groups = " ".join(map(str, self.groups)) or "none"
        lines = [f"user {self.uid}:{self.gid} groups {groups} umask {self.umask:04o}"]
        lines += [f"capabilities {line}" for line in self.capabilities.lines()]
        if self.filter:
            lines.append(f"seccomp {len(self.filter) // 8} instructions")
        if self.listener:
            lines.append(f"seccomp listener {self.listener.path}")
        return lines


def sysctl_path(name: str) -> str:
    """Return where below /proc/sys a parameter is.

    `net.ipv4.ip_forward` and `net/ipv4/ip_forward` are the same; where the first separator is a
    slash, dots belong to the names: `net/ipv4/conf/eth0.1/forwarding`.

    Man: sysctl(8)
    """
    dot, slash = name.find("."), name.find("/")
    if dot >= 0 and (slash < 0 or dot < slash):
        return name.translate({ord("."): "/", ord("/"): "."})
    return name


def write_proc(room: Room, name: str, value: str) -> None:
    """Write to a file of the host's proc, opened before the container's could be reached.

    A container may show anything at /proc; what is written for it must not end up there
    (CVE-2019-16884, CVE-2025-52881). `self` is the only link that may be on the way.
    """
    if name.startswith("self/"):
        name = f"{os.readlink('self', dir_fd=room.proc_fd)}/{name.removeprefix('self/')}"
    rules = path.RESOLVE_NO_XDEV
    descriptor = path.open_plain(room.proc_fd, name, os.O_WRONLY, resolve=rules)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)
