"""A further process in a container that runs.

The new process is a child of the caller and a member of everything the container has: its cgroups,
its namespaces, its root. It gets into the process ID namespace by being born there: the caller
enters that namespace for its children (setns(2) changes nothing else), forks, and goes back. The
other namespaces the child enters itself, by a pidfd of the container's init, all at once.

The child then is where init was after the change of the root, with one difference: the container's
processes are there, and may be hostile. So nothing is read by name from inside until the identity
has been put on; see `init` for the order, and for why the process cannot be looked into.
"""

from __future__ import annotations

import os

from knarr.errors import Conflict, Failed
from knarr.linux import namespaces, process
from knarr.runtime import channel as talk
from knarr.runtime import plan_process
from knarr.runtime.document import Node
from knarr.runtime.init import Gate, Person, forget_the_host, give_up, open_terminal, run_program
from knarr.runtime.room import Room
from knarr.util.undo import Undo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

    from knarr.runtime.channel import Channel


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

    __slots__ = ("flags", "pid", "pidfd", "root_fd")

    def __init__(self, pid: int) -> None:
        """Open the process `pid`.

        Raises: Conflict
        """
        self.pid = pid
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
    process_spec: Mapping[str, Any],
    spec: Mapping[str, Any],
    *,
    stdio: tuple[int, ...] = (0, 1, 2),
    preserve_fds: int = 0,
    cache_dir: str = "",
) -> Running:
    """Run `process_spec` in the container of `spec`, whose init is `target_pid`.

    `process_spec` is an object like `process` in config.json. Returns when the program runs.

    Raises: InvalidArgument, Conflict, CommandFailed, PermissionDenied, Failed
    """
    node = Node(process_spec, "process")
    wanted = plan_process.Program(node)
    identity = plan_process.plan_identity(node)
    settling = plan_process.plan_settling(node, keyring="")
    person = Person(identity, wanted, stdio, preserve_fds)
    with Undo() as undo:
        target = Target(target_pid)
        undo.push("closing the container's descriptors", target.close)
        pid, pidfd, channel = _fork(target, person, settling)
        undo.push("killing the process", _kill, pidfd)
        undo.push("closing the channel", channel.close)
        master_fd = _accompany(channel)
        undo.keep()
        target.close()
    return Running(pid, pidfd, master_fd)


def _fork(target: Target, person: Person, settling: list[Any]) -> tuple[int, int, Channel]:
    ours, theirs = talk.open_channel()
    with _born_in(target):
        pid, pidfd = process.clone3(0)
        if not pid:
            ours.close()
            _become(target, person, settling, Gate(theirs))
    theirs.close()
    return pid, pidfd, ours


class _born_in:  # noqa: N801 - reads as words
    """Let children of the caller be born into the process ID namespace of a container."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._own_fd = -1

    def __enter__(self) -> None:
        if self._target.flags & namespaces.CLONE_NEWPID:
            self._own_fd = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
            namespaces.setns(self._target.pidfd, namespaces.CLONE_NEWPID)

    def __exit__(self, *_: object) -> None:
        if self._own_fd >= 0:
            namespaces.setns(self._own_fd, namespaces.CLONE_NEWPID)
            os.close(self._own_fd)


def _become(target: Target, person: Person, settling: list[Any], gate: Gate) -> NoReturn:
    """Be the new process: enter the container and run the program. Never returns."""
    doing = ["preparing"]
    try:
        forget_the_host()
        room = Room(gate.channel, "/")
        doing[0] = "joining the namespaces of the container"
        _enter(target)
        room.wait_until_placed()
        if person.program.terminal:
            doing[0] = "opening the terminal"
            open_terminal(person.program, room, console=False)
        for step in settling:
            doing[0] = step.doing()
            step.run(room)
        run_program(person, gate, room, doing)
    except BaseException as error:  # noqa: BLE001 - the top of this process
        give_up(gate, error, doing[0])


def _enter(target: Target) -> None:
    """Enter the namespaces, and the root of init where that is not the root of its mounts."""
    flags = target.flags & ~namespaces.CLONE_NEWPID
    if flags:
        namespaces.setns(target.pidfd, flags)
    root, theirs = os.stat("/"), os.fstat(target.root_fd)
    if (root.st_dev, root.st_ino) != (theirs.st_dev, theirs.st_ino):
        os.fchdir(target.root_fd)
        os.chroot(".")
    os.chdir("/")


def _accompany(channel: Channel) -> int:
    """Do the parent's part until the program runs; return the terminal's master or -1."""
    channel.send(talk.PLACED)
    master_fd = -1
    while True:
        message, descriptor = channel.receive()
        if message == talk.TERMINAL:
            master_fd = descriptor
        elif message == talk.READY:
            channel.send(talk.START)
            message, _ = channel.receive()
            if message:
                talk.raise_error(message)
            return master_fd
        elif not message:
            reason = "the process died before it was ready"
            raise Failed(reason)
        else:
            talk.raise_error(message)


def _kill(pidfd: int) -> None:
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
