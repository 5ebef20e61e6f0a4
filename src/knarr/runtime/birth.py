"""How a process is born into namespaces: made with it, or entered for it by its parent.

Most namespaces are made by the clone3(2) that makes the process, or entered by the process itself.
Two kinds work otherwise: who enters a process ID or a time namespace stays where it is, and only
its children are born there. So the parent enters for its children, forks, and goes back; that it
can do so again and again is why nothing else is changed for it.

A user namespace that is joined owns the namespaces made after that, so it must be entered first,
and the parent cannot: it would not come back. There a process in between enters it, makes the
container's init as a child of its own parent (CLONE_PARENT), passes a descriptor of it, and ends.

With users of its own init has no powers over namespaces that others own, such as the network of
another container. So the parent enters those too, for it.

Man: pid_namespaces(7), time_namespaces(7), user_namespaces(7)
"""

from __future__ import annotations

import os

from knarr.errors import Failed
from knarr.linux import namespaces, process
from knarr.runtime import channel as talk

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from knarr.runtime.channel import Channel
    from knarr.runtime.plan import Namespaces

    Child = Callable[[Channel], NoReturn]
else:
    import _signal

_OWNED = ("network", "ipc", "uts", "cgroup")
_BORN = ("born",)
_AT_CLONE = ~(namespaces.CLONE_NEWCGROUP | namespaces.CLONE_NEWTIME)


class KilledAtBirth(Failed):
    """A child was killed before it said a word.

    Who is born into a cgroup by clone3(2) is killed if everybody in that cgroup was killed (by
    cgroup.kill) another number of times than in the caller's: so do Linux 6.14 and later close a
    race. There the child has to be born elsewhere and moved.
    """


class Newborn:
    """A child: its ID, its pidfd, and the parent's end of the channel to it."""

    __slots__ = ("channel", "pid", "pidfd")

    def __init__(self, pid: int, pidfd: int, channel: Channel) -> None:
        """Take over descriptor and channel."""
        self.pid = pid
        self.pidfd = pidfd
        self.channel = channel


class Cradle:
    """A context in which children of the caller are born into namespaces that it is not in."""

    __slots__ = ("_entered", "_kinds", "_pidfd", "_wanted")

    def __init__(
        self,
        wanted: Sequence[tuple[str, str]] = (),
        kinds: Sequence[str] = ("pid", "time"),
        *,
        pidfd: int = -1,
    ) -> None:
        """Enter the namespaces in `wanted`, of these `kinds`; or the `pid` one of a process."""
        self._wanted = wanted
        self._kinds = kinds
        self._pidfd = pidfd
        self._entered: list[tuple[int, int]] = []  # (flag, descriptor of the caller's own)

    def __enter__(self) -> None:
        """Enter them."""
        try:
            for name, path in self._wanted:
                if name in self._kinds:
                    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                    try:
                        self._enter(name, descriptor)
                    finally:
                        os.close(descriptor)
            if self._pidfd >= 0:
                self._enter("pid", self._pidfd)
        except BaseException:
            self.__exit__()
            raise

    def _enter(self, name: str, descriptor: int) -> None:
        self.remember(name)
        namespaces.setns(descriptor, namespaces.FLAGS[name])

    def remember(self, name: str) -> None:
        """Prepare to go back to the caller's own namespace of the kind `name`."""
        path = f"/proc/self/ns/{namespaces.FILES[name]}"
        own_fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._entered.append((namespaces.FLAGS[name], own_fd))

    def __exit__(self, *_: object) -> None:
        """Go back."""
        while self._entered:
            flag, own_fd = self._entered.pop()
            try:
                namespaces.setns(own_fd, flag)
            finally:
                os.close(own_fd)


def entered_for(names: Namespaces, name: str) -> bool:
    """Tell whether the parent enters the joined namespace of the kind `name` for its child."""
    return name in ("pid", "time") or (name in _OWNED and names.has("user"))


def bear(names: Namespaces, child: Child, *, cgroup_fd: int = -1) -> Newborn:
    """Make a process in the namespaces `names`, which runs `child`; return it.

    With `cgroup_fd`, a directory of cgroup v2, it is born in that cgroup.
    """
    flags = names.made & _AT_CLONE
    cradle = Cradle(names.joined, [name for name, _ in names.joined if entered_for(names, name)])
    with cradle:
        if names.made & namespaces.CLONE_NEWTIME:
            _make_time(cradle, names)
        joined = [path for name, path in names.joined if name == "user"]
        if not joined:
            return fork(child, flags, cgroup_fd=cgroup_fd)
        doing = [f"joining the user namespace {joined[0]}"]
        return bear_through(
            lambda: _join_users(joined[0]), child, doing, flags=flags, cgroup_fd=cgroup_fd
        )


def _join_users(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    namespaces.setns(descriptor, namespaces.CLONE_NEWUSER)
    os.close(descriptor)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def was_killed(newborn: Newborn) -> bool:
    """Tell whether a child that hung up was killed; it stays to be reaped."""
    ended = os.waitid(os.P_PIDFD, newborn.pidfd, os.WEXITED | os.WNOWAIT)
    return ended is not None and ended.si_status == _signal.SIGKILL


def kill(pidfd: int) -> None:
    """End a child, and wait for its end."""
    try:
        _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except (ProcessLookupError, ChildProcessError):
        pass


def fork(child: Child, flags: int = 0, *, cgroup_fd: int = -1) -> Newborn:
    """Make a process with clone3(2) that runs `child` with its end of a channel."""
    ours, theirs = talk.open_channel()
    if cgroup_fd >= 0:
        flags |= process.CLONE_INTO_CGROUP
    pid, pidfd = process.clone3(flags, cgroup_fd=cgroup_fd)
    if not pid:
        try:
            ours.close()
            child(theirs)
        finally:
            os._exit(1)
    theirs.close()
    return Newborn(pid, pidfd, ours)


def _make_time(cradle: Cradle, names: Namespaces) -> None:
    """Make a time namespace for children, with the offsets of its clocks.

    Man: time_namespaces(7)
    """
    cradle.remember("time")
    namespaces.unshare(namespaces.CLONE_NEWTIME)
    for clock, seconds, nanoseconds in names.time_offsets:
        with open("/proc/self/timens_offsets", "wb", buffering=0) as file:
            file.write(f"{clock} {seconds} {nanoseconds}\n".encode())


def bear_through(
    enter: Callable[[], None],
    child: Child,
    doing: list[str],
    *,
    flags: int = 0,
    cgroup_fd: int = -1,
) -> Newborn:
    """Make a process by way of one that does `enter` first, which its parent could not take back.

    Nobody in the namespaces that are entered sees a process that has not entered all of them: the
    one between is in its parent's process ID namespace. `doing` is what an error says.

    Raises: KnarrError, KilledAtBirth
    """
    ours, theirs = talk.open_channel()

    def between(inner: Channel) -> NoReturn:
        try:
            enter()
            pid, pidfd = process.clone3(flags | process.CLONE_PARENT)
            if not pid:
                inner.close()
                child(theirs)
            inner.send(_BORN, pidfd)
        except BaseException as error:  # noqa: BLE001 - the top of this process
            inner.send(talk.describe(error, doing[0]))
        finally:
            os._exit(0)

    middle = fork(between, cgroup_fd=cgroup_fd)
    theirs.close()
    message, pidfd = middle.channel.receive()
    middle.channel.close()
    killed = was_killed(middle)
    os.waitid(os.P_PIDFD, middle.pidfd, os.WEXITED)
    os.close(middle.pidfd)
    if message != _BORN:
        ours.close()
        if message:
            talk.raise_error(message)
        reason = f"{doing[0]}: the process for it was killed"
        raise KilledAtBirth(reason) if killed else Failed(reason)
    return Newborn(_number_of(pidfd), pidfd, ours)


def _number_of(pidfd: int) -> int:
    """Return the ID of a process as the caller numbers it; it is another one in a joined namespace.

    Man: pidfd_open(2), "/proc/[pid]/fdinfo"
    """
    with open(f"/proc/self/fdinfo/{pidfd}", "rb", buffering=0) as file:
        lines = file.read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(b"Pid:"))
