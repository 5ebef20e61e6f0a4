"""Labels of security modules: what confines the program, and what its file systems are marked with.

AppArmor has a name of a profile for the program. SELinux has a context for the program, which is
also that of the keys it makes, and one for file systems that are made for the container: as they
are new or shared by nobody, the kernel takes it as an option of the mount for all files in them.

A spec that asks for a label of a module that the kernel does not have is refused: to run without
what was asked for would be worse.

Spec: runtime-spec config.md, "Linux Process" (apparmorProfile, selinuxLabel); config-linux.md,
    "Mount Label"
Man: apparmor(7), selinux(8), mount(8) "context="
"""

from __future__ import annotations

import os

from knarr.errors import Unsupported
from knarr.linux import mount, path
from knarr.runtime.steps.identity import write_proc
from knarr.runtime.steps.mounts import FileSystem
from knarr.runtime.steps.room import Step
from knarr.runtime.steps.rootfs import OverlayRoot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.document import Node
    from knarr.runtime.steps.room import Room

# <linux/magic.h>
PROC_SUPER_MAGIC = 0x9FA0

_APPARMOR = "/sys/module/apparmor/parameters/enabled"
_SELINUX = "/sys/fs/selinux/enforce"
_OWN_CONTEXT = "/proc/self/attr/current"
# Views of the kernel, whose files have labels by the policy. The kernel shares one instance of
# mqueue in an IPC namespace with itself, so that it takes a label only afterwards.
_LABELLED_BY_POLICY = frozenset((
    "binfmt_misc", "bpf", "cgroup", "cgroup2", "debugfs", "mqueue", "proc", "securityfs",
    "selinuxfs", "sysfs", "tracefs",
))  # fmt: skip
_XATTR = "security.selinux"


class Profile(Step):
    """The profile of AppArmor that takes effect with the program."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        """Confine by the profile `name`, which the kernel must have loaded."""
        self.name = name

    def __str__(self) -> str:
        """Show the name."""
        return f"AppArmor profile {self.name}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"choosing the {self}"

    def run(self, room: Room) -> None:
        """Choose it; before Linux 5.8 AppArmor has no directory of its own."""
        _check_proc(room, "AppArmor profile")
        try:
            write_proc(room, "self/attr/apparmor/exec", f"exec {self.name}")
        except FileNotFoundError:
            write_proc(room, "self/attr/exec", f"exec {self.name}")


class Context(Step):
    """The context of SELinux that the program gets, and the keys that it makes."""

    __slots__ = ("label",)

    def __init__(self, label: str) -> None:
        """Confine by `label`, which must be valid in the policy that the kernel has loaded."""
        self.label = label

    def __str__(self) -> str:
        """Show the label."""
        return f"SELinux context {self.label}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"choosing the {self}"

    def run(self, room: Room) -> None:
        """Choose it."""
        _check_proc(room, "SELinux context")
        write_proc(room, "self/attr/exec", self.label)
        write_proc(room, "self/attr/keycreate", self.label)


class QueueLabel(Step):
    """The context of a file system of message queues, given to its directory."""

    __slots__ = ("label", "target")

    def __init__(self, target: str, label: str) -> None:
        """Mark what is mounted at `target` with `label`."""
        self.target = target
        self.label = label

    def __str__(self) -> str:
        """Show the label."""
        return f"SELinux context {self.label} of {self.target}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"setting the {self}"

    def run(self, room: Room) -> None:
        """Set it."""
        directory = path.open_in_root(room.root_fd, self.target, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.setxattr(directory, _XATTR, self.label.encode())
        finally:
            os.close(directory)


def _check_proc(room: Room, what: str) -> None:
    """Refuse to write into anything but the kernel's view of processes.

    An exec finds what the container shows as /proc: were that a directory like any other, the
    program would run unconfined, and nobody would know (CVE-2019-16884).

    Raises: Unsupported
    """
    if mount.filesystem_type(room.proc_fd) != PROC_SUPER_MAGIC:
        message = f"/proc of the container is no proc: no {what} can be chosen"
        raise Unsupported(message)


def label_mounts(steps: list[Step], label: str) -> list[Step]:
    """Give `label` to every file system that `steps` make; return what is to be done after them."""
    after: list[Step] = []
    for step in steps:
        if isinstance(step, OverlayRoot):
            step.options = [*step.options, ("context", label)]
        elif isinstance(step, FileSystem):
            if step.fstype not in _LABELLED_BY_POLICY:
                step.options.parameters.append(("context", label))
            elif step.fstype == "mqueue":
                after.append(QueueLabel(step.target, label))
    return after


def plan_labels(process: Node) -> list[Step]:
    """Return the steps that choose what confines the program."""
    steps: list[Step] = []
    if process.text("apparmorProfile"):
        steps.append(Profile(process.text("apparmorProfile")))
    if process.text("selinuxLabel"):
        steps.append(Context(process.text("selinuxLabel")))
    return steps


def refuse_unknown(process: Node, linux: Node) -> None:
    """Refuse labels of what this kernel does not have.

    Raises: Unsupported
    """
    if process.text("apparmorProfile") and not apparmor_is_enabled():
        message = "process.apparmorProfile: the kernel has no AppArmor"
        raise Unsupported(message)
    for key, node in (("process.selinuxLabel", process), ("linux.mountLabel", linux)):
        if node.text(key.rpartition(".")[2]) and not selinux_is_enabled():
            message = f"{key}: the kernel has no SELinux, or no policy is loaded"
            raise Unsupported(message)


def apparmor_is_enabled() -> bool:
    """Tell whether the kernel confines by AppArmor."""
    return _read(_APPARMOR)[:1] == b"Y"


def selinux_is_enabled() -> bool:
    """Tell whether the kernel labels by SELinux: before a policy is loaded all is `kernel`."""
    return bool(_read(_SELINUX)) and _read(_OWN_CONTEXT).rstrip(b"\0\n") != b"kernel"


def _read(name: str) -> bytes:
    """Return the beginning of a file of the kernel's; nothing if there is no such file."""
    try:
        with open(name, "rb", buffering=0) as file:
            return file.read(256)
    except OSError:
        return b""
