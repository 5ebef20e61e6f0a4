"""One run of a container: its process with what belongs to it, from create to its exit.

A supervisor makes one for each start, or adopts one that runs already. It hides how they differ:

|               | started here                        | adopted                                |
|---------------|-------------------------------------|----------------------------------------|
| process       | our child                           | somebody else's, by its pidfd          |
| exit status   | wait(2)                             | PIDFD_GET_INFO, or /proc for a zombie  |
| stdout …      | FIFOs made and opened               | opened by name                         |
| terminal      | from the runtime                    | from the keeper                        |
"""

from __future__ import annotations

import os
import time

from knarr.errors import Conflict
from knarr.linux import pidfd as pidfds
from knarr.linux import tty
from knarr.linux.namespaces import FILES
from knarr.runtime import cgroups, members
from knarr.runtime.create import Request, create
from knarr.runtime.steps.mounts import foreign_mount
from knarr.supervise import keeper, places, stdio
from knarr.supervise.loop import READ
from knarr.supervise.messages import STDOUT, UNKNOWN_STATUS
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Mapping
    from typing import Any

    from knarr.runtime.cgroups import Cgroup
    from knarr.runtime.create import Init
    from knarr.supervise.loop import Loop
    from knarr.supervise.messages import Order
    from knarr.supervise.streams import Streams
else:
    import _signal

SIGKILL = 9
NETWORK = "network"
UNSEEN = "its supervisor was killed, and the kernel did not keep the exit status"


def make_run(loop: Loop, order: Order, streams: Streams) -> Run:
    """Return a run by our own runtime, or by the one that the order names."""
    if not order.runtime:
        return Run(loop, order, streams)
    from knarr.supervise.foreign.run import ForeignRun  # noqa: PLC0415 - for few containers

    return ForeignRun(loop, order, streams)


class Run:
    """A container's process."""

    def __init__(self, loop: Loop, order: Order, streams: Streams) -> None:
        self.pid = 0
        self.pidfd = -1
        self.streams = streams
        self._loop = loop
        self._order = order
        self._init: Init | None = None
        self._master = -1
        self._keeper = 0
        self._group: Cgroup | None = None

    # started here

    def create(self, spec: dict[str, Any]) -> None:
        """Make the container's process, which then waits in its namespaces.

        Raises: KnarrError
        """
        order = self._order
        request = Request(order.id, order.bundle_dir, spec)
        if order.rootfs is not None:
            request.overlay = order.rootfs
            request.root_path = f"{order.control_dir}/{places.ROOTFS}"
        request.cache_dir = f"{order.run}/seccomp"
        request.group = cgroups.find(spec["linux"].get("cgroupsPath", ""), order.id)
        ends = stdio.Ends()
        if not order.terminal:
            ends = stdio.open_fifos(order.control_dir, stdin=order.stdin)
            request.stdio = tuple(ends.inner)  # a copy: the list is emptied
            stdio.give_away(ends.inner, spec["process"], spec)
        try:
            self._init = create(request)
        except BaseException:
            ends.close()
            raise
        finally:
            ends.close_inner()
        self.pid, self.pidfd = self._init.pid, self._init.pidfd
        self._group = self._init.group
        trace("supervise:created")
        if order.terminal:
            self._use_master(self._init.master_fd)
        else:
            self._use_ends(ends)

    def start(self) -> None:
        """Let the process become the program.

        Raises: CommandFailed (126, 127)
        """
        assert self._init is not None
        self._init.start()
        self._init = None

    def abort(self) -> None:
        """End the process before it became the program, and close everything."""
        if self._init:
            self._init.abort()
            self._group = None
        self.close()

    # adopted

    def adopt(self, on_exit: Callable[[int, str], None]) -> None:
        """Look after the process that the order names; `on_exit` gets a wait status and a remark.

        Raises: Conflict (it has ended)
        """
        adoption = self._order.adopt
        assert adoption is not None
        self.pid = adoption.pid
        try:
            self.pidfd = os.pidfd_open(adoption.pid)
        except ProcessLookupError as error:
            message = "the container has ended meanwhile"
            raise Conflict(message) from error
        linux = self._order.spec["linux"]
        self._group = cgroups.find(linux.get("cgroupsPath", ""), self._order.id)
        kept = keeper.fetch(self._order.control_dir)
        if self._order.terminal:
            if kept:
                self._use_master(kept[0])
        else:
            self._use_ends(stdio.reopen_fifos(self._order.control_dir))
            if kept:
                os.close(kept[0])
        self._keeper = kept[1] if kept else 0
        self._loop.watch(self.pidfd, READ, lambda _: self._adopted_exit(on_exit))

    def _adopted_exit(self, on_exit: Callable[[int, str], None]) -> None:
        self._loop.forget(self.pidfd)
        status = pidfds.zombie_status(self.pid)
        if status is None:
            status = pidfds.wait_status(self.pidfd)
        if status is None:
            on_exit(UNKNOWN_STATUS << 8, UNSEEN)
        else:
            on_exit(status, "")

    # both

    def _use_ends(self, ends: stdio.Ends) -> None:
        for stream, descriptor in ends.outputs.items():
            self.streams.add_output(descriptor, stream)
        if ends.input >= 0:
            self.streams.set_input(ends.input)
            self._keep(ends.input)

    def _use_master(self, master: int) -> None:
        self._master = master
        if self._order.window:
            rows, columns = self._order.window
            tty.set_size(master, rows=rows, columns=columns)
        self.streams.add_output(os.dup(master), STDOUT)
        self.streams.set_input(os.dup(master))
        self._keep(master)

    def _keep(self, descriptor: int) -> None:
        if not self._order.adopt:  # whose keeper lives already
            self._keeper = keeper.start(self._order.control_dir, descriptor, self.pidfd)

    def end_input(self) -> None:
        """Let the process see the end of its input once it has taken what waits."""
        if self.streams.input and not self._order.terminal:
            stdio.end_input(self._order.control_dir)
            if self._keeper:
                keeper.stop(self._keeper)
                self._keeper = 0
            self.streams.input.finish()

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the terminal, if there is one."""
        if self._master >= 0:
            tty.set_size(self._master, rows=rows, columns=columns)

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        try:
            _signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError as error:
            message = "the container has ended"
            raise Conflict(message) from error

    def limit_time(self, since_ns: int) -> None:
        """Kill the process once it has had the time that the order gives it, from `since_ns` on."""
        if self._order.timeout:
            passed = (time.time_ns() - since_ns) / 1e9
            self._loop.later(max(0.0, self._order.timeout - passed), self._expire)

    def _expire(self) -> None:
        if self.pidfd >= 0:
            try:
                self.signal(SIGKILL)
            except Conflict:  # it has ended meanwhile
                pass

    def finish(self, ended: Callable[[], None]) -> None:
        """Deliver what the process left, then close everything and call `ended`."""

        def finished() -> None:
            self.close()
            ended()

        self.streams.finish(finished)

    @property
    def paused(self) -> bool:
        """Tell whether the processes are stopped."""
        return self._group is not None and members.is_frozen(self._group)

    @property
    def oom_killed(self) -> bool:
        """Tell whether the kernel killed any of the processes for lack of memory."""
        return self._group is not None and members.oom_kills(self._group) > 0

    def kill_others(self) -> None:
        """End what the end of the first process did not: all the rest without a PID namespace."""
        namespaces = self._order.spec["linux"]["namespaces"]
        if self._group is not None and all(entry["type"] != "pid" for entry in namespaces):
            members.kill(self._group)

    def remove_groups(self) -> None:
        """Remove the control groups.

        Raises: Conflict (a process hangs in the kernel)
        """
        if self._group is not None:
            if self._group.unit:
                from knarr.runtime.systemd import scopes  # noqa: PLC0415 - where systemd is asked

                scopes.stop(self._group)
            members.delete(self._group)
            self._group = None

    def close(self) -> None:
        """Close all descriptors."""
        self.streams.close()
        for descriptor in (self.pidfd, self._master):
            if descriptor >= 0:
                self._loop.forget(descriptor)
                os.close(descriptor)
        self.pidfd = self._master = -1


class Kept:
    """The namespaces that outlive a run, held open for as long as the supervisor lives.

    They are the network's, whose interfaces are made once, and joined ones. Those are named in the
    spec by a process of another container, which may have ended by the next run; its number may be
    another process's by then.
    """

    __slots__ = ("_joined", "network")

    def __init__(self) -> None:
        self.network = -1
        self._joined: dict[str, int] = {}

    def keep(self, pid: int, spec: Mapping[str, Any]) -> None:
        """Hold those of the first run's process; nothing to do for later ones."""
        if self.network >= 0:
            return
        self.network = _open_namespace(pid, NETWORK)
        for entry in spec["linux"]["namespaces"]:
            if entry.get("path") and entry["type"] != NETWORK:
                self._joined[entry["type"]] = _open_namespace(pid, entry["type"])

    def spec_for_restart(self, first: Mapping[str, Any]) -> dict[str, Any]:
        """Return the spec with these namespaces instead of new or vanished ones.

        Raises: Conflict (whose mount is shared has ended)
        """
        spec = dict(first)
        kept = {**self._joined, NETWORK: self.network}
        namespaces = [
            {**entry, "path": f"/proc/{os.getpid()}/fd/{kept[entry['type']]}"}
            if entry["type"] in kept
            else entry
            for entry in spec["linux"]["namespaces"]
        ]
        spec["linux"] = {**spec["linux"], "namespaces": namespaces}
        for mount in spec["mounts"]:
            foreign = foreign_mount(mount.get("source", ""))
            if foreign and not self._is_in("ipc", foreign[0]):
                message = f"the container that shares {foreign[1]} has ended"
                raise Conflict(message)
        return spec

    def _is_in(self, kind: str, pid: int) -> bool:
        """Tell whether the process `pid` is in the joined namespace of a kind."""
        try:
            found = os.stat(f"/proc/{pid}/ns/{FILES[kind]}")
        except FileNotFoundError:
            return False
        return kind in self._joined and os.path.samestat(found, os.fstat(self._joined[kind]))


def _open_namespace(pid: int, kind: str) -> int:
    return os.open(f"/proc/{pid}/ns/{FILES[kind]}", os.O_RDONLY | os.O_CLOEXEC)
