"""From a bundle to a container that waits to be started.

`create` plans, then forks a child into new namespaces. From there both work at the same time: the
child mounts (`init`), the parent makes the cgroups, moves the child into them, and maps its users;
they meet where one needs the other (`channel`). When `create` returns, the container exists in
every respect but one: its program does not run yet. `Init.start` lets it, and raises what kept it
from running.

The parent must be single-threaded (see `linux.process`). It stays the parent of the container's
init, whose exit it waits for with its `pidfd`. If anything fails, the child is killed, the cgroups
are removed, and the error says what was being done; mounts need no clean-up, they are gone with
the child's namespace.
"""

from __future__ import annotations

import os

from knarr.linux import cgroup, namespaces
from knarr.runtime import accompany, birth, cgroups, plan_process
from knarr.runtime import channel as talk
from knarr.runtime.document import SPEC_VERSION, Node
from knarr.runtime.failures import failed
from knarr.runtime.gate import DoorGate, Gate, open_door, open_gate
from knarr.runtime.init import Person, become, give_up
from knarr.runtime.plan import Surroundings, make_plan
from knarr.util.trace import trace
from knarr.util.undo import Undo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

    from knarr.runtime.birth import Newborn
    from knarr.runtime.cgroups import Cgroup
    from knarr.runtime.channel import Channel, Note
    from knarr.runtime.plan import Plan
    from knarr.runtime.systemd.scopes import Holder
else:
    pass


class Request:
    """What a container is made from."""

    __slots__ = (
        "bundle_dir",
        "cache_dir",
        "debug",
        "group",
        "id",
        "no_new_keyring",
        "no_pivot",
        "note",
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
        group: the container's cgroup, where it was located already.
        state_dir: where the socket is by which another process starts the program; when empty
            only `Init.start` can.
        note: takes warnings and, with debug, what is done step by step.
        """
        self.id = container_id
        self.bundle_dir = bundle_dir
        self.spec = spec
        self.overlay: Sequence[tuple[str, str]] = ()
        self.root_path = ""
        self.stdio: tuple[int, ...] = (0, 1, 2)
        self.preserve_fds = 0
        self.cache_dir = ""
        self.group: Cgroup | None = None
        self.state_dir = ""
        self.no_pivot = False
        self.no_new_keyring = False
        self.note: Note = talk.ignore
        self.debug = False

    def state(self, status: str, pid: int = 0) -> dict[str, Any]:
        """Return the container's state as hooks are told it.

        Spec: runtime-spec runtime.md, "State"
        """
        state = {
            "ociVersion": SPEC_VERSION,
            "id": self.id,
            "status": status,
            "bundle": self.bundle_dir,
            "annotations": dict(self.spec.get("annotations") or {}),
        }
        return {**state, "pid": pid} if pid else state


class Init:
    """A created container, from its parent's side."""

    __slots__ = ("_channel", "_plan", "_request", "group", "master_fd", "pid", "pidfd")

    def __init__(self, request: Request, plan: Plan, group: Cgroup, child: Newborn) -> None:
        """Take over the child; `master_fd` is the terminal's once there is one, else -1."""
        self.pid = child.pid
        self.pidfd = child.pidfd
        self.group = group
        self.master_fd = -1
        self._channel = child.channel
        self._request = request
        self._plan = plan

    def start(self) -> None:
        """Run the program; returns when it runs.

        Raises: CommandFailed, Failed
        """
        plan, request = self._plan, self._request
        state = request.state("running", self.pid) if plan.hooks or plan.identity.listener else {}
        listener = plan.identity.listener
        open_gate(self._channel, self.pid, listener=listener, state=state)
        for hook in plan.hooks.get("poststart", ()):
            hook.run(state)

    def detach(self) -> None:
        """Let go of an init whose start is left to another process."""
        self._channel.close()

    def abort(self) -> None:
        """Kill all processes of the container, wait for its init, and remove its cgroups."""
        self._channel.close()
        birth.kill(self.pidfd)
        from knarr.runtime import members  # noqa: PLC0415 - containers seldom fail

        members.kill(self.group)
        members.delete(self.group)


def create(request: Request) -> Init:
    """Create a container that waits for `Init.start`.

    Raises: InvalidArgument, CommandFailed, PermissionDenied, NotFound, Unsupported, Conflict,
    Failed
    """
    linux = Node(request.spec).node("linux")
    plan_process.refuse_labels(Node(request.spec).node("process"), linux)
    group = request.group or cgroups.locate(linux.text("cgroupsPath"), request.id)
    plan = plan_container(request, group)
    if "seccomp" in linux:
        from knarr.runtime.filtering import filters  # noqa: PLC0415 - not without filters

        filters.give(plan.identity, linux.node("seccomp"), cache_dir=request.cache_dir)
    _announce(request, plan)
    try:
        return _bring_up(request, plan, group, born_inside=True)
    except birth.KilledAtBirth:
        return _bring_up(request, plan, group, born_inside=False)


def _bring_up(request: Request, plan: Plan, group: Cgroup, *, born_inside: bool) -> Init:
    """Make the container; its init is `born_inside` its v2 cgroup, or moved there."""
    made: list[str] = []
    with Undo() as undo:
        undo.push("removing the cgroups", _remove, made)
        holder = None
        if group.unit:
            holder = _start_unit(request, plan, group, made)
            undo.push("ending what holds the unit", holder.end)
        elif group.unified is not None:
            cgroups.make([group.unified], plan.controllers(), made)
        if group.unified is not None:
            born_inside = born_inside and group.unified.directory in made
        undo.push("letting others share mounts", _settle, plan, 0)
        child = _fork(request, plan, group, born_inside=born_inside)
        undo.push("ending the container's init", birth.kill, child.pidfd)
        undo.push("closing the channel", child.channel.close)
        init = Init(request, plan, group, child)
        trace("runtime.create:forked")
        if group.unified is not None and not born_inside:
            cgroups.put([group.unified], child.pid)
        if holder is not None:
            holder.end()
        accompany.place(plan, group, child, made)
        init.master_fd = accompany.accompany(request, plan, child)
        _settle(plan, child.pid)
        undo.keep()
    return init


def _settle(plan: Plan, pid: int) -> None:
    """Let steps do what follows when a container is ready, or `pid` is 0: when it has failed."""
    for step in plan.mounting:
        step.settle(pid)


def _start_unit(request: Request, plan: Plan, group: Cgroup, made: list[str]) -> Holder:
    """Let systemd make the cgroup; a process of ours keeps it until init is inside."""
    from knarr.runtime.systemd import scopes  # noqa: PLC0415 - only where systemd is asked for

    annotations = dict(Node(request.spec).items("annotations"))
    holder = scopes.start(group, request.id, plan.writes, annotations)
    assert group.unified is not None
    made.append(group.unified.directory)
    try:
        cgroups.enable(group.unified, plan.controllers())
    except BaseException:
        holder.end()
        raise
    return holder


def _announce(request: Request, plan: Plan) -> None:
    """Note what the plan cannot do, and with debug all that it will."""
    for text in plan.warnings:
        request.note("warning", text)
    if request.debug:
        made = namespaces.names(plan.namespaces.made)
        request.note("debug", f"nsexec container setup: new namespaces {' '.join(made) or 'none'}")
        for line in plan.lines():
            request.note("debug", f"plan: {line}")


def plan_container(request: Request, group: Cgroup) -> Plan:
    """Return the plan for a request, with what is a fact of this machine.

    Raises: InvalidArgument, Unsupported
    """
    views = [
        (cgroup.Hierarchy(place.version, place.controllers, place.root, "/"), place.directory)
        for place in group.places
    ]
    around = Surroundings(
        request.bundle_dir,
        root_path=request.root_path,
        overlay=request.overlay,
        views=views,
        versions=group.versions(),
        no_pivot=request.no_pivot,
        keyring="" if request.no_new_keyring else f"_ses.{request.id}",
    )
    return make_plan(request.spec, around)


def _fork(request: Request, plan: Plan, group: Cgroup, *, born_inside: bool) -> Newborn:
    """Make the child, in its v2 cgroup if there is one and it is to be `born_inside`."""
    person = Person(plan.identity, plan.program, request.stdio, request.preserve_fds)
    if not plan.namespaces.has("user"):
        person.limits = plan.limits
    if plan.hooks:
        person.hooks = plan.hooks
        person.state = request.state("creating")
    person.debug = request.debug
    door = open_door(request.state_dir) if request.state_dir else None
    enterable = cgroups.Cgroup([]) if accompany.joins_users(plan) else group

    def child(channel: Channel) -> NoReturn:
        doing = ["preparing"]
        gate = Gate(channel)
        try:
            if door is not None:
                gate = DoorGate(channel, door)
            become(plan, person, gate, enterable, doing)
        except BaseException as error:  # noqa: BLE001 - the top of this process
            give_up(gate, error, doing[0])

    prepared: list[int] = []
    try:
        _prepare(plan, prepared)
        unified = group.unified
        if unified is None or not born_inside:
            return birth.bear(plan.namespaces, child)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        prepared.append(os.open(unified.directory, flags))
        return birth.bear(plan.namespaces, child, cgroup_fd=prepared[-1])
    finally:
        for descriptor in prepared:
            os.close(descriptor)
        if door is not None:
            door.close()


def _prepare(plan: Plan, prepared: list[int]) -> None:
    """Open what steps need and init may not; append the descriptors."""
    every = plan.namespaces.has("user")
    for step in plan.mounting:
        if step.late or not (every or step.early):
            continue
        try:
            descriptor = step.prepare()
        except OSError as error:
            raise failed(step.doing(), error) from error
        finally:
            if step.users:
                step.users.close()
        if descriptor >= 0:
            prepared.append(descriptor)


def _remove(directories: list[str]) -> None:
    from knarr.runtime import members  # noqa: PLC0415 - containers seldom fail

    for directory in directories:
        members.remove_tree(directory)
