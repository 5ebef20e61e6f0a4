"""From a bundle to a container that waits to be started.

`create` forks a child into new namespaces and carries out the plan with it: the child mounts,
pivots and takes on its identity (`init`), the parent makes the cgroups, writes user mappings and
runs the hooks of the host's side. Both talk over one `channel`. When `create` returns, the
container exists in every respect but one: its program does not run yet. `Init.start` lets it, and
raises what kept it from running.

The parent must be single-threaded (see `linux.process`). It stays the parent of the container's
init, whose exit it waits for with its `pidfd`. If anything fails, the child is killed, the cgroups
are removed, and the error says what was being done; mounts need no clean-up, they are gone with
the child's namespace.
"""

from __future__ import annotations

import os

from knarr.errors import Failed
from knarr.linux import cgroup, namespaces, process
from knarr.runtime import channel as talk
from knarr.runtime.init import Gate, become
from knarr.runtime.plan import Surroundings, make_plan
from knarr.util.undo import Undo

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Mapping, Sequence
    from typing import Any

    from knarr.runtime.channel import Channel
    from knarr.runtime.plan import Plan
else:
    import _signal


class Request:
    """What a container is made from."""

    __slots__ = (
        "bundle_dir",
        "cache_dir",
        "id",
        "no_new_keyring",
        "no_pivot",
        "overlay",
        "preserve_fds",
        "root_path",
        "spec",
        "state_dir",
        "stdio",
    )

    def __init__(self, container_id: str, bundle_dir: str, spec: Mapping[str, Any]) -> None:
        """Make a container from `spec`; the other fields have defaults and may be set.

        overlay, root_path: options of the overlay that is the root, and the empty directory on
            which it is hung (in the container's namespace alone). Else the root is the spec's.
        stdio: what the program gets as 0, 1 and 2, unless the spec wants a terminal.
        preserve_fds: how many descriptors from 3 on the program gets as well.
        cache_dir: where compiled seccomp filters are kept; none are when empty.
        state_dir: where the FIFOs are by which another process starts the program; when empty
            only `Init.start` can.
        """
        self.id = container_id
        self.bundle_dir = bundle_dir
        self.spec = spec
        self.overlay: Sequence[tuple[str, str]] = ()
        self.root_path = ""
        self.stdio: tuple[int, ...] = (0, 1, 2)
        self.preserve_fds = 0
        self.cache_dir = ""
        self.state_dir = ""
        self.no_pivot = False
        self.no_new_keyring = False


class Init:
    """A created container, from its parent's side."""

    __slots__ = ("_channel", "master_fd", "pid", "pidfd")

    def __init__(self, pid: int, pidfd: int, channel: Channel, master_fd: int) -> None:
        """Take over the descriptors; `master_fd` is the terminal's or -1."""
        self.pid = pid
        self.pidfd = pidfd
        self.master_fd = master_fd
        self._channel = channel

    def start(self) -> None:
        """Run the program; returns when it runs.

        Raises: CommandFailed
        """
        self._channel.send(talk.START)
        message, _ = self._channel.receive()
        self._channel.close()
        if message:
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
            talk.raise_error(message)

    def abort(self) -> None:
        """Kill the container before or after its start, and wait for its end."""
        _kill(self.pidfd)
        self._channel.close()


def create(request: Request) -> Init:
    """Create a container that waits for `Init.start`.

    Raises: InvalidArgument, CommandFailed, PermissionDenied, NotFound, Unsupported, Failed
    """
    views = [(h, h.directory("/")) for h in cgroup.hierarchies()]
    around = Surroundings(
        request.bundle_dir,
        root_path=request.root_path,
        overlay=request.overlay,
        views=views,
        no_pivot=request.no_pivot,
        keyring="" if request.no_new_keyring else f"_ses.{request.id}",
    )
    plan = make_plan(request.spec, around)
    with Undo() as undo:
        pid, pidfd, channel = _fork(plan, request)
        undo.push("killing the container's init", _kill, pidfd)
        undo.push("closing the channel", channel.close)
        master_fd = _accompany(channel)
        undo.keep()
    return Init(pid, pidfd, channel, master_fd)


def _fork(plan: Plan, request: Request) -> tuple[int, int, Channel]:
    ours, theirs = talk.open_channel()
    flags = plan.namespaces.made & ~namespaces.CLONE_NEWCGROUP
    pid, pidfd = process.clone3(flags)
    if not pid:
        ours.close()
        become(plan, request.stdio, Gate(theirs), preserve=request.preserve_fds)
    theirs.close()
    return pid, pidfd, ours


def _accompany(channel: Channel) -> int:
    """Do the parent's part until the child is ready; return the terminal's master or -1."""
    channel.send(talk.PLACED)
    master_fd = -1
    while True:
        message, descriptor = channel.receive()
        if message == talk.MOUNTED:
            channel.send(talk.GO)
        elif message == talk.TERMINAL:
            master_fd = descriptor
        elif message == talk.READY:
            return master_fd
        elif not message:
            reason = "the container's init died before it was ready"
            raise Failed(reason)
        else:
            talk.raise_error(message)


def _kill(pidfd: int) -> None:
    try:
        _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
