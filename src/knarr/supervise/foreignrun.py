"""One run of a container by another OCI runtime: what differs from `runs.Run`.

Other runtimes want a root file system that is there. It is mounted in a mount namespace of the
supervisor's own, from where the runtime takes it into the container's; the host's namespace never
sees it, and it ends with the supervisor and the container whatever happens to either. The namespace
is made with the first such run, and follows what the host mounts and unmounts.

A created container of another runtime does not end with its supervisor. Recovery finds it by its
control group; one that was to be started a moment later is found at the adoption, and ended.
"""

from __future__ import annotations

import os

from knarr.errors import Conflict, Failed
from knarr.linux import mount, namespaces, overlay
from knarr.runtime import cgroups, members
from knarr.supervise import places, stdio
from knarr.supervise.foreign import Foreign
from knarr.supervise.runs import Run
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from knarr.supervise.loop import Loop
    from knarr.supervise.messages import Order
    from knarr.supervise.streams import Streams

ORDERING = 3  # a supervisor's first connection, which is inherited by nobody


class _Root:
    """What this process has done for the roots of its container: facts of the process."""

    namespace = False
    mounted = False


def foreign_of(order: Order) -> Foreign:
    """Return the container of `order`, of which the runtime may or may not know."""
    return Foreign(order.runtime, f"{order.control_dir}/{places.FOREIGN}", order.id)


class ForeignRun(Run):
    """A container's process, made by the runtime that the order names."""

    def __init__(self, loop: Loop, order: Order, streams: Streams) -> None:
        super().__init__(loop, order, streams)
        self._foreign = foreign_of(order)
        self._made = False  # by us, so that it is ours to take back

    def create(self, spec: dict[str, Any]) -> None:
        """Make the container's process, which then waits in its namespaces.

        Raises: KnarrError
        """
        order = self._order
        _keep_ordering()
        self._made = True
        self._group = cgroups.locate(spec["linux"].get("cgroupsPath", ""), order.id)
        root_path = _mount_root(order)
        ends = stdio.Ends()
        if not order.terminal:
            ends = stdio.open_fifos(order.control_dir, stdin=order.stdin)
        try:
            self.pid, master_fd = self._foreign.create(spec, root_path, tuple(ends.inner))
            self.pidfd = os.pidfd_open(self.pid)
        except BaseException:
            ends.close()
            raise
        finally:
            ends.close_inner()
        trace("supervise:created")
        if order.terminal:
            self._use_master(master_fd)
        else:
            self._use_ends(ends)

    def start(self) -> None:
        """Let the process become the program.

        Raises: CommandFailed (126, 127), Failed
        """
        self._foreign.start(self._order.spec)

    def abort(self) -> None:
        """End the process before it became the program, and close everything."""
        if self._made and self._group is not None:
            try:
                self._foreign.delete()
            except Failed:  # what led here is what is told; the groups go in any case
                pass
            members.kill(self._group)
            self._reap()
            super().remove_groups()
            _unmount_root(self._order)
        super().abort()

    def _reap(self) -> None:
        if self.pid:
            try:
                os.waitpid(self.pid, 0)
            except ChildProcessError:
                pass

    def adopt(self, on_exit: Callable[[int, str], None]) -> None:
        """Look after the process that the order names.

        Raises: Conflict (it has ended, or never was started)
        """
        if self._foreign.waits():
            self._foreign.delete()
            message = "the container had not been started yet"
            raise Conflict(message)
        super().adopt(on_exit)

    def remove_groups(self) -> None:
        """Have the runtime forget the container, and remove the control groups.

        Raises: Conflict (a process hangs in the kernel), Failed
        """
        try:
            self._foreign.delete()
        finally:
            super().remove_groups()
            _unmount_root(self._order)


def _keep_ordering() -> None:
    """Let nobody inherit the connection that the order came by."""
    try:
        os.set_inheritable(ORDERING, False)  # noqa: FBT003 - the standard library's signature
    except OSError:  # who ordered has left
        pass


def _mount_root(order: Order) -> str:
    """Mount the container's root where this process and its children alone see it."""
    if order.rootfs is None:
        path: str = order.spec["root"]["path"]
        return path
    if not _Root.namespace:
        namespaces.unshare(namespaces.CLONE_NEWNS)
        mount.mount(None, "/", None, mount.MS_REC | mount.MS_SLAVE, None)
        _Root.namespace = True
    path = f"{order.control_dir}/{places.ROOTFS}"
    try:
        overlay.mount_at(order.rootfs, path)
    except OSError as error:
        message = f"mounting the overlay of the root: {(error.strerror or str(error)).lower()}"
        raise Failed(message) from error
    _Root.mounted = True
    return path


def _unmount_root(order: Order) -> None:
    """Let go of the root, so that its directory can be removed."""
    if _Root.mounted:
        mount.umount2(f"{order.control_dir}/{places.ROOTFS}", mount.MNT_DETACH)
        _Root.mounted = False
