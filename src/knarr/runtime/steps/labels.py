"""Labels of security modules: the AppArmor profile that the program runs under.

SELinux is not supported; a spec that asks for a label of it is refused, as is one that asks for a
profile of AppArmor where the kernel has none. To run without what was asked for would be worse.

Spec: runtime-spec config.md, "Linux Process" (apparmorProfile, selinuxLabel)
Man: apparmor(7)
"""

from __future__ import annotations

from knarr.errors import Unsupported
from knarr.linux import mount
from knarr.runtime.steps.identity import write_proc
from knarr.runtime.steps.room import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.document import Node
    from knarr.runtime.steps.room import Room

# <linux/magic.h>
PROC_SUPER_MAGIC = 0x9FA0

_ENABLED = "/sys/module/apparmor/parameters/enabled"


class Profile(Step):
    """The profile that takes effect with the program."""

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
        """Choose it; before Linux 5.8 AppArmor has no directory of its own.

        An exec finds what the container shows as /proc: were that a directory like any other, the
        program would run unconfined, and nobody would know (CVE-2019-16884).
        """
        if mount.filesystem_type(room.proc_fd) != PROC_SUPER_MAGIC:
            message = "/proc of the container is no proc: no AppArmor profile can be chosen"
            raise Unsupported(message)
        try:
            write_proc(room, "self/attr/apparmor/exec", f"exec {self.name}")
        except FileNotFoundError:
            write_proc(room, "self/attr/exec", f"exec {self.name}")


def refuse_unknown(process: Node, linux: Node) -> None:
    """Refuse labels of what this kernel does not have.

    Raises: Unsupported
    """
    if process.text("apparmorProfile") and not apparmor_is_enabled():
        message = "process.apparmorProfile: the kernel has no AppArmor"
        raise Unsupported(message)
    if process.text("selinuxLabel") or linux.text("mountLabel"):
        message = "process.selinuxLabel, linux.mountLabel: SELinux is not supported"
        raise Unsupported(message)


def apparmor_is_enabled() -> bool:
    """Tell whether the kernel confines by AppArmor."""
    try:
        with open(_ENABLED, "rb", buffering=0) as file:
            return file.read(1) == b"Y"
    except OSError:
        return False
