"""A further process in a container that runs.

The new process is a child of the caller and a member of everything the container has: its cgroups,
its namespaces, its root. It gets into the process ID namespace by being born there: the caller
enters that namespace for its children (setns(2) changes nothing else), forks, and goes back. The
other namespaces the child enters itself, by a pidfd of the container's init, all at once.

Where processes inside may trace others (CAP_SYS_PTRACE), the child is born the other way round:
a process between enters everything, and only its child is seen inside. Otherwise they would find
one that still has the host's mounts, and all capabilities over them.

The child then is where init was after the change of the root, with one difference: the container's
processes are there, and may be hostile. So nothing is read by name from inside until the identity
has been put on; see `init` for the order, and for why the process cannot be looked into.
"""

from __future__ import annotations

import errno
import os

from knarr.errors import Conflict, Failed
from knarr.linux import namespaces, tty
from knarr.runtime import birth, cgroups, plan_process, shield
from knarr.runtime import channel as talk
from knarr.runtime.document import SPEC_VERSION, Node
from knarr.runtime.failures import failed
from knarr.runtime.gate import Gate, open_gate
from knarr.runtime.init import (
    Person,
    become_root,
    forget_the_host,
    give_up,
    open_terminal,
    run_program,
)
from knarr.runtime.steps import outside
from knarr.runtime.steps.room import Room
from knarr.runtime.steps.scheduling import Affinity
from knarr.util.undo import Undo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    from knarr.runtime.birth import Newborn
    from knarr.runtime.cgroups import Cgroup
    from knarr.runtime.channel import Channel, Note
else:
    pass


class Manner:
    """How a process is executed, apart from what it is: all of it optional.

    stdio: what the program gets as 0, 1 and 2, unless it wants a terminal.
    preserve_fds: how many descriptors from 3 on it gets as well.
    cache_dir: where compiled seccomp filters are kept; none are when empty.
    group: the cgroups it becomes a member of, if not those in which the container's init is.
    follow_init: whether it goes where init went when `group` takes no processes any more.
    state: the container's, for the agent of a seccomp filter.
    keep_line_feeds: whether its terminal leaves line feeds as they are.
    note: takes warnings and, with debug, what is done.
    """

    __slots__ = (
        "cache_dir",
        "debug",
        "follow_init",
        "group",
        "keep_line_feeds",
        "note",
        "preserve_fds",
        "state",
        "stdio",
    )

    def __init__(self, stdio: tuple[int, ...] = (0, 1, 2), cache_dir: str = "") -> None:
        """Begin with what most executions want; the other fields may be set."""
        self.stdio = stdio
        self.cache_dir = cache_dir
        self.preserve_fds = 0
        self.group: Cgroup | None = None
        self.follow_init = True
        self.state: Mapping[str, Any] | None = None
        self.keep_line_feeds = False
        self.note: Note = talk.ignore
        self.debug = False


class Running:
    """A process that was executed in a container."""

    __slots__ = ("master_fd", "pid", "pidfd")

    def __init__(self, pid: int, pidfd: int, master_fd: int) -> None:
        """Take over the descriptors; `master_fd` is the terminal's or -1."""
        self.pid = pid
        self.pidfd = pidfd
        self.master_fd = master_fd


class Target:
    """The container to enter: descriptors of its init, opened before anything else."""

    __slots__ = ("flags", "pid", "pidfd", "root_fd", "traceable")

    def __init__(self, pid: int, *, traceable: bool) -> None:
        """Open the process `pid`; `traceable` says what `shield.lets_trace` says of its container.

        Raises: Conflict
        """
        self.pid = pid
        self.traceable = traceable
        try:
            self.pidfd = os.pidfd_open(pid)
            flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
            self.root_fd = os.open(f"/proc/{pid}/root", flags)
            self.flags = _other_namespaces(pid)
        except (ProcessLookupError, FileNotFoundError) as error:
            message = "the container is not running"
            raise Conflict(message) from error

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self.pidfd)
        os.close(self.root_fd)


def _other_namespaces(pid: int) -> int:
    """Return the flags of the namespaces in which the process is and the caller is not."""
    flags = 0
    for name, file in namespaces.FILES.items():
        try:
            theirs, ours = (os.stat(f"/proc/{who}/ns/{file}") for who in (pid, "self"))
        except FileNotFoundError:
            if not os.path.exists(f"/proc/{pid}/ns"):
                raise
            continue  # a kernel without this kind
        if theirs.st_ino != ours.st_ino:
            flags |= namespaces.FLAGS[name]
    return flags


def execute(
    target_pid: int,
    process: Mapping[str, Any],
    spec: Mapping[str, Any],
    manner: Manner,
) -> Running:
    """Run `process`, an object as in config.json, in the container of `spec` and `target_pid`.

    Returns when the program runs.

    Raises: InvalidArgument, Conflict, CommandFailed, PermissionDenied, Failed
    """
    node = Node(process, "process")
    wanted = plan_process.Program(node)
    identity = plan_process.plan_identity(node)
    linux = Node(spec).node("linux")
    plan_process.refuse_labels(node, linux)
    if "seccomp" in linux:
        from knarr.runtime.filtering import filters  # noqa: PLC0415 - not without filters

        filters.give(identity, linux.node("seccomp"), cache_dir=manner.cache_dir)
    person = Person(identity, wanted, manner.stdio, manner.preserve_fds)
    person.limits = plan_process.plan_limits(node)
    person.habits = plan_process.plan_habits(linux, node)
    person.debug = manner.debug
    affinity = Affinity(node.node("execCPUAffinity"))
    person.before_joining = [*affinity.initial, *plan_process.plan_oom_score(node)]
    person.after_joining = affinity.final
    for warning in plan_process.capability_warnings(node.node("capabilities")):
        manner.note("warning", warning)
    if manner.debug:
        manner.note("debug", f"nsexec container setup: joining the namespaces of {target_pid}")
        for step in affinity.initial:
            manner.note("debug", f"nsexec: {step}")
    traceable = shield.lets_trace(spec)
    try:
        target = Target(target_pid, traceable=traceable)
        return _bring_in(target, person, manner, born_inside=True)
    except birth.KilledAtBirth:
        target = Target(target_pid, traceable=traceable)
        return _bring_in(target, person, manner, born_inside=False)


def _bring_in(target: Target, person: Person, manner: Manner, *, born_inside: bool) -> Running:
    """Make the process; it is `born_inside` the container's v2 cgroup, or moved there."""
    with Undo() as undo:
        undo.push("closing the container's descriptors", target.close)
        group = manner.group or cgroups.of_process(target.pid)
        refuge = target.pid if manner.follow_init else 0
        child = _fork(target, person, group, born_inside=born_inside, refuge=refuge)
        undo.push("closing the process's descriptor", os.close, child.pidfd)
        undo.push("ending the process", birth.kill, child.pidfd)
        undo.push("closing the channel", child.channel.close)
        if not born_inside and group.unified is not None:
            cgroups.put([group.unified], child.pid)
        child.channel.send(talk.PLACED)
        master_fd = _accompany(child, undo, manner.note)
        if manner.keep_line_feeds and master_fd >= 0:
            tty.keep_line_feeds(master_fd)
        told = manner.state or {"ociVersion": SPEC_VERSION, "status": "running", "pid": target.pid}
        open_gate(child.channel, child.pid, listener=person.identity.listener, state=told)
        undo.keep()
        target.close()
    return Running(child.pid, child.pidfd, master_fd)


def _fork(
    target: Target, person: Person, group: Cgroup, *, born_inside: bool, refuge: int
) -> Newborn:
    """Make the process, in the container's v2 cgroup if there is one and it is `born_inside`.

    A cgroup that takes no processes is left for that of the process `refuge`, unless that is 0.
    """
    doing = ["preparing"]

    def enter() -> None:
        forget_the_host()
        outside.do_all(person.before_joining, 0)
        if target.flags & namespaces.CLONE_NEWUSER:
            outside.do_all(person.limits, 0)
            person.limits = ()
        doing[0] = "joining the cgroups of the container"
        cgroups.enter(group)
        outside.do_all(person.after_joining, 0)
        doing[0] = "joining the namespaces of the container"
        _enter(target)

    def child(channel: Channel) -> NoReturn:
        gate = Gate(channel)
        try:
            if target.traceable:  # all was entered before its birth
                os.setsid()
            channel.wait_for(talk.PLACED)
            if not target.traceable:
                enter()
            _become(person, gate, doing)
        except BaseException as error:  # noqa: BLE001 - the top of this process
            give_up(gate, error, doing[0])

    def bear(cgroup_fd: int) -> Newborn:
        if target.traceable:
            return birth.bear_through(enter, child, doing, cgroup_fd=cgroup_fd)
        inside = target.flags & namespaces.CLONE_NEWPID
        with birth.Cradle(pidfd=target.pidfd if inside else -1):
            return birth.fork(child, cgroup_fd=cgroup_fd)

    return _bear(group, refuge, bear) if born_inside else bear(-1)


def _bear(group: Cgroup, refuge: int, bear: Callable[[int], Newborn]) -> Newborn:
    """Make the process in the v2 cgroup, or with `refuge` if that became a branch, or is gone."""
    unified = group.unified
    if unified is None:
        return bear(-1)
    try:
        return _bear_in(unified.directory, bear)
    except OSError as error:
        own = cgroups.of_process(refuge).unified if refuge else None
        if error.errno not in (errno.EBUSY, errno.ENOENT) or own is None:
            doing = f"adding pid of the new process to cgroups {unified.directory}"
            raise failed(doing, error) from error
        return _bear_in(own.directory, bear)


def _bear_in(directory: str, bear: Callable[[int], Newborn]) -> Newborn:
    cgroup_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return bear(cgroup_fd)
    finally:
        os.close(cgroup_fd)


def _become(person: Person, gate: Gate, doing: list[str]) -> NoReturn:
    """Be the new process, which is inside by now: run the program."""
    room = Room(gate.channel, "/")
    room.debug = person.debug
    room.note("child process in init()")
    if person.program.terminal:
        doing[0] = "opening the terminal"
        open_terminal(person.program, room, console=False)
    run_program(person, gate, room, doing)


def _enter(target: Target) -> None:
    """Enter the namespaces, and the root of init where that is not the root of its mounts.

    The parent has entered that of process IDs for its child, unless the child is yet to be born.
    """
    flags = target.flags if target.traceable else target.flags & ~namespaces.CLONE_NEWPID
    if flags:
        namespaces.setns(target.pidfd, flags)
    if flags & namespaces.CLONE_NEWUSER:
        become_root()
    root, theirs = os.stat("/"), os.fstat(target.root_fd)
    if (root.st_dev, root.st_ino) != (theirs.st_dev, theirs.st_ino):
        os.fchdir(target.root_fd)
        os.chroot(".")
    os.chdir("/")


def _accompany(child: Newborn, undo: Undo, note: Note) -> int:
    """Do the parent's part until the program is found; return the terminal's master or -1."""
    master_fd = -1
    while True:
        message, descriptor = child.channel.receive_noting(note)
        if message == talk.TERMINAL:
            master_fd = descriptor
            undo.push("closing the terminal", os.close, master_fd)
        elif message == talk.READY:
            return master_fd
        elif message:
            talk.raise_error(message)
        else:
            reason = "the process died before it was ready: is the container still running?"
            raise birth.KilledAtBirth(reason) if birth.was_killed(child) else Failed(reason)
