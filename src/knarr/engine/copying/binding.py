"""The mounts of a container that does not run, opened as its runtime would."""

from __future__ import annotations

from knarr.runtime.document import Node
from knarr.runtime.plan_rootfs import plan_mount
from knarr.runtime.steps.carried import borrow_shared
from knarr.runtime.steps.mounts import Bind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.oci.runtime import Mount

_MAPPING = ("idmap", "ridmap")


def open_bind(planned: Mount) -> int:
    """Return a detached mount of what is to be bound, with the owners stored; -1 if it is missing.

    What is shared by containers that run, and seen by none now, has no content.

    Raises: InvalidArgument, Failed
    """
    shared = planned.get("fileSystem", {}).get("shared")
    if shared:
        return borrow_shared(shared)
    plain = {key: value for key, value in planned.items() if not key.endswith("Mappings")}
    plain["options"] = [word for word in planned["options"] if word not in _MAPPING]
    step = plan_mount(Node(plain), "/")
    assert isinstance(step, Bind)
    try:
        return step.open()
    except FileNotFoundError:
        return -1
