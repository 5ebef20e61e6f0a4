"""One run of a container by another OCI runtime: what differs from `runs.Run`.

What the runtime needs is mounted for it (`root`).

A created container of another runtime does not end with its supervisor. Recovery finds it by its
control group; one that was to be started a moment later is found at the adoption, and ended.
"""

from __future__ import annotations

import os

from knarr.errors import Conflict, Failed
from knarr.runtime import cgroups, members
from knarr.supervise import places, stdio
from knarr.supervise.foreign.program import Foreign
from knarr.supervise.foreign.root import ForeignRoot
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


def foreign_of(order: Order) -> Foreign:
    """Return the container of `order`, of which the runtime may or may not know."""
    return Foreign(order.runtime, f"{order.control_dir}/{places.FOREIGN}", order.id)


class ForeignRun(Run):
    """A container's process, made by the runtime that the order names."""

    def __init__(self, loop: Loop, order: Order, streams: Streams) -> None:
        super().__init__(loop, order, streams)
        self._foreign = foreign_of(order)
        self._root = ForeignRoot(order)
        self._made = False  # by us, so that it is ours to take back

    def create(self, spec: dict[str, Any]) -> None:
        """Make the container's process, which then waits in its namespaces.

        Raises: KnarrError
        """
        order = self._order
        _keep_ordering()
        self._made = True
        self._group = cgroups.locate(spec["linux"].get("cgroupsPath", ""), order.id)
        told = self._root.set_up(spec)
        ends = stdio.Ends()
        if not order.terminal:
            ends = stdio.open_fifos(order.control_dir, stdin=order.stdin)
            stdio.give_away(ends.inner, spec["process"], spec)
        try:
            self.pid, master_fd = self._foreign.create(told, tuple(ends.inner))
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
            self._root.tear_down()
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
            self._root.tear_down()


def _keep_ordering() -> None:
    """Let nobody inherit the connection that the order came by."""
    try:
        os.set_inheritable(ORDERING, False)  # noqa: FBT003 - the standard library's signature
    except OSError:  # who ordered has left
        pass
