"""What is mounted for another OCI runtime, which wants a root file system that is there.

It is mounted in a mount namespace of the supervisor's own, from where the runtime takes it into the
container's; the host's namespace never sees it, and it ends with the supervisor and the container
whatever happens to either. The namespace is made with the first run, and follows what the host
mounts and unmounts.

What not every runtime can do is done here, too: layers and volumes with mapped owners, and mounts
that are another container's.
"""

from __future__ import annotations

import os
import stat

from knarr.errors import Failed
from knarr.linux import mount, namespaces, overlay
from knarr.runtime.document import Node
from knarr.runtime.plan_rootfs import parse_mappings, plan_mount
from knarr.runtime.steps.mounts import Bind
from knarr.supervise import places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.runtime.errands import Users
    from knarr.supervise.messages import Order

    Spec = dict[str, Any]


class ForeignRoot:
    """The mounts of one run."""

    moved = False  # this process into a mount namespace of its own

    def __init__(self, order: Order) -> None:
        self._order = order
        self._directory = f"{order.control_dir}/{places.FOREIGN}/mounts"
        self._mounted: list[str] = []

    def set_up(self, spec: Spec) -> Spec:
        """Mount what is needed; return the spec as it is to be told to the runtime.

        Raises: KnarrError
        """
        if not ForeignRoot.moved:
            namespaces.unshare(namespaces.CLONE_NEWNS)
            mount.mount(None, "/", None, mount.MS_REC | mount.MS_SLAVE, None)
            ForeignRoot.moved = True
        users = _users_of(spec)
        if users:
            _require_way(f"{self._order.control_dir}/{places.ROOTFS}")
        try:
            told = {**spec, "mounts": [self._prepared(each, users) for each in spec["mounts"]]}
            if self._order.rootfs is not None:
                path = f"{self._order.control_dir}/{places.ROOTFS}"
                self._attach(self._open_root(users), path)
                told["root"] = {**spec["root"], "path": path}
        except OSError as error:
            message = f"mounting the root for the runtime: {(error.strerror or str(error)).lower()}"
            raise Failed(message) from error
        finally:
            if users:
                users.close()
        return told

    def _open_root(self, users: Users | None) -> int:
        assert self._order.rootfs is not None
        if users is None:
            return overlay.open_mount(self._order.rootfs)
        from knarr.runtime.errands import mount_mapped  # noqa: PLC0415 - for few containers

        return mount_mapped(self._order.rootfs, users)

    def _prepared(self, entry: dict[str, Any], users: Users | None) -> dict[str, Any]:
        """Return a mount as it is, or of what was mounted here in its place."""
        options = entry.get("options") or []
        plain = entry.get("source", "").startswith("/") and {"bind", "rbind"} & set(options)
        if not plain and "fileSystem" not in entry:
            return entry
        step = plan_mount(Node(entry), self._order.bundle_dir, users)
        if not isinstance(step, Bind) or not step.early:
            return entry
        try:
            path = self._hang(step.prepare())
        except BaseException:
            step.settle(0)
            raise
        step.settle(os.getpid())
        done = ("idmap", "ridmap", f"subpath={step.options.subpath}")
        kept = [option for option in options if option not in done]
        spent = ("uidMappings", "gidMappings", "fileSystem")
        told = {key: value for key, value in entry.items() if key not in spent}
        return {**told, "source": path, "options": kept}

    def _hang(self, descriptor: int) -> str:
        """Hang a detached mount at a path of our own, and return that."""
        os.makedirs(self._directory, 0o711, exist_ok=True)
        path = f"{self._directory}/{len(self._mounted)}"
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.makedirs(path, exist_ok=True)
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._attach(descriptor, path)
        return path

    def _attach(self, mount_fd: int, path: str) -> None:
        """Hang a detached mount at a path; the descriptor is closed."""
        target_fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            mount.attach(mount_fd, target_fd)
        finally:
            os.close(target_fd)
            os.close(mount_fd)
        self._mounted.append(path)

    def tear_down(self) -> None:
        """Unmount everything, so that its directories can be removed."""
        while self._mounted:
            mount.umount2(self._mounted.pop(), mount.MNT_DETACH)


def _users_of(spec: Spec) -> Users | None:
    linux = Node(spec).node("linux")
    if "uidMappings" not in linux:
        return None
    from knarr.runtime.errands import Users as Mapping  # noqa: PLC0415 - for few containers

    return Mapping(parse_mappings(linux, "uidMappings"), parse_mappings(linux, "gidMappings"))


def _require_way(path: str) -> None:
    """Raise if users without privileges, as a container's root is one then, cannot get to `path`.

    Raises: Failed
    """
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & stat.S_IXOTH:
            message = f"the users of the container may not enter {path}"
            raise Failed(message, hint="Another runtime needs a way to its root: choose --run so.")
