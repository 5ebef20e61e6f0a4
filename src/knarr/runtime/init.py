"""Process 1 of a container, from the fork to the exec.

Runs in a child of a single-threaded interpreter (see `linux.process` for what that rests on), which
inherits every module it needs and from then on can load none: `sys.path` and its kin are emptied
first. After the change of the root the names of the standard library lead into the container, and
an import would run its code with our privileges.

**Whose program is it?** Until exec, the process is our interpreter: `/proc/<pid>/exe` leads to a
file of the host, and a container that gets hold of it could overwrite it and so run code as root
the next time (CVE-2019-5736). Three things stand against that.

1. The process is not dumpable from the first moment to exec, so its /proc directory belongs to the
   host's root and cannot be opened without CAP_SYS_PTRACE over the host's user namespace.
2. A program is not executed through a magic link, nor is one as interpreter of a script
   (`program.refuse_magic_links`): `/proc/self/exe` never becomes the program by itself.
3. What is left are containers with CAP_SYS_PTRACE looking at an exec into them, and races between
   the check of a script and its execution by someone already inside. For these the interpreter
   itself is executed from a read-only mount that hangs nowhere (`shield`): whoever opens its `exe`
   gets a file that cannot be opened for writing, because the mount belongs to the link.

**What is inherited?** All descriptors but stdio and those to be preserved are closed before the
working directory is entered: a path such as /proc/self/fd/7 then leads nowhere (CVE-2024-21626),
and the working directory is asked for its own path, which must exist inside the root.

**Who waits?** The program, behind a `gate`, until somebody opens it.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import sys

from knarr.errors import CommandFailed, PermissionDenied, Unsupported
from knarr.linux import mount, namespaces, process, tty
from knarr.runtime import birth, program
from knarr.runtime import channel as talk
from knarr.runtime.steps import outside
from knarr.runtime.steps.room import Room
from knarr.runtime.steps.rootfs import show_console

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from knarr.runtime.cgroups import Cgroup
    from knarr.runtime.gate import Gate
    from knarr.runtime.hooks import Hook
    from knarr.runtime.plan import Plan
    from knarr.runtime.plan_process import Program
    from knarr.runtime.steps.identity import Identity
    from knarr.runtime.steps.outside import OutsideStep
    from knarr.runtime.steps.room import Step

    Stdio = tuple[int, ...]
else:
    import _signal


class Person:
    """What becomes of the process in the end: who, running what, with which descriptors."""

    __slots__ = (
        "after_joining",
        "before_joining",
        "debug",
        "habits",
        "hooks",
        "identity",
        "limits",
        "preserve",
        "program",
        "state",
        "stdio",
    )

    def __init__(self, identity: Identity, wanted: Program, stdio: Stdio, preserve: int) -> None:
        """Run `wanted` as `identity`, with `stdio` as 0, 1 and 2 if it wants no terminal.

        `preserve` descriptors from 3 on stay open as well.
        """
        self.identity = identity
        self.program = wanted
        self.stdio = stdio
        self.preserve = preserve
        self.limits: Sequence[OutsideStep] = ()
        self.before_joining: Sequence[OutsideStep] = ()  # the cgroups, for an exec
        self.after_joining: Sequence[OutsideStep] = ()
        self.habits: Sequence[Step] = ()
        self.debug = False  # whether each step is noted
        self.hooks: dict[str, list[Hook]] = {}
        self.state: dict[str, Any] = {}  # what hooks are told

    def run_hooks(self, moment: str, doing: list[str], environment: Sequence[str] = ()) -> None:
        """Run the hooks of a moment, in `environment` where they have none of their own."""
        doing[0] = f"running the {moment} hooks"
        for hook in self.hooks.get(moment, ()):
            hook.run(self.state, environment)


def become(plan: Plan, person: Person, gate: Gate, group: Cgroup, doing: list[str]) -> NoReturn:
    """Be the container's init: carry out the plan and run the program.

    `doing` is kept up to date with what is being done, for the error if there is one.
    """
    forget_the_host()
    # Where the caller was told to stay is not the container's business; its own cpuset is.
    os.sched_setaffinity(0, range(os.sysconf("SC_NPROCESSORS_CONF")))
    room = Room(gate.channel, plan.root_path, group)
    room.debug = person.debug
    room.note("child process in init()")
    if person.state:
        person.state["pid"] = room.own_pid()
    _enter_namespaces(plan, room, doing)
    _run_steps(plan.mounting, room, doing)
    doing[0] = "joining the cgroups"
    room.enter_cgroups()
    gate.channel.send(talk.MOUNTED)
    gate.channel.wait_for(talk.GO)
    person.run_hooks("createContainer", doing)
    pivot, *entering = plan.entering
    _run_steps([pivot], room, doing)
    if plan.program.terminal:
        doing[0] = "opening the terminal"
        open_terminal(plan.program, room, console=True)
    _run_steps(entering, room, doing)
    _run_steps(plan.settling, room, doing)
    run_program(person, gate, room, doing)


def give_up(gate: Gate, error: BaseException, doing: str) -> NoReturn:
    """Tell the parent why this process ends before it became the program, and end."""
    try:
        gate.report(talk.describe(error, doing))
    finally:
        os._exit(error.status if isinstance(error, CommandFailed) else 1)


def forget_the_host() -> None:
    """Cut off what a copy of the parent has and init must not use."""
    sys.path[:] = []
    sys.meta_path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
    gc.disable()  # what it would touch of the parent's memory, it would copy
    process.prctl(process.PR_SET_DUMPABLE, 0)
    os.setsid()
    os.umask(0)
    for number in (
        _signal.SIGPIPE,
        _signal.SIGXFSZ,
    ):  # Python ignores them, and exec would hand that on
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _enter_namespaces(plan: Plan, room: Room, doing: list[str]) -> None:
    """Join what is to be joined; what is new was made with this process."""
    if plan.namespaces.made & namespaces.CLONE_NEWUSER:
        doing[0] = "becoming root of the user namespace"
        room.channel.wait_for(talk.MAPPED)
        room.enter_cgroups()
        become_root()
    for name, path in plan.namespaces.joined:
        if name != "user" and not birth.entered_for(plan.namespaces, name):
            doing[0] = f"joining the {name} namespace {path}"
            join_namespace(name, path)


def become_root() -> None:
    """Be root of the user namespace that this process is in."""
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    process.prctl(process.PR_SET_DUMPABLE, 0)


def join_namespace(name: str, path: str) -> None:
    """Enter the namespace of the kind `name` that the file `path` is."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespaces.setns(descriptor, namespaces.FLAGS[name])
    finally:
        os.close(descriptor)


def _run_steps(steps: Sequence[Step], room: Room, doing: list[str]) -> None:
    for step in steps:
        doing[0] = step.doing()
        room.note(str(step))
        step.run(room)


def open_terminal(program: Program, room: Room, *, console: bool) -> None:
    """Open a terminal of the container's own devpts, and send its master to the parent."""
    from_fd = room.devpts_fd
    if from_fd < 0:
        from_fd = os.open("/dev/pts", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        if mount.filesystem_type(from_fd) != mount.DEVPTS_SUPER_MAGIC:
            message = "/dev/pts is not mounted in the container: it can have no terminal"
            raise Unsupported(message)
    master_fd, terminal_fd = tty.open_pair(from_fd)
    if program.rows and program.columns:
        tty.set_size(master_fd, rows=program.rows, columns=program.columns)
    room.channel.send(talk.TERMINAL, master_fd)
    os.close(master_fd)
    if console:
        show_console(room, terminal_fd)
    tty.make_controlling(terminal_fd)
    room.terminal_fd = terminal_fd


def run_program(person: Person, gate: Gate, room: Room, doing: list[str]) -> NoReturn:
    """Put on the identity, find the program, wait, and become it."""
    identity, wanted = person.identity, person.program
    _run_steps(person.habits, room, doing)
    doing[0] = "setting up stdio"
    take_stdio(person, room)
    gate.move(3 + person.preserve)
    room.close_all(3 + person.preserve, gate.keep())
    if identity.no_new_privileges:
        process.prctl(process.PR_SET_NO_NEW_PRIVS, 1)
    entered = try_to_enter(wanted.cwd)
    outside.do_all(person.limits, 0)
    doing[0] = "changing to the user and its capabilities"
    identity.assume()
    process.prctl(process.PR_SET_DUMPABLE, 0)
    enter(wanted.cwd, again=not entered)
    file = program.find(wanted.arguments[0], wanted.variable("PATH"))
    environment = program.with_home(wanted.environment, identity.uid)
    prepared = process.Program(file, wanted.arguments, environment)
    if identity.filter:
        room.note(f"seccomp filter flags: {identity.filter_flags}")
    room.note("setns_init: about to exec")
    room.note("init: closing the pipe to signal completion")
    doing[0] = "waiting to be started"
    gate.wait()
    doing[0] = "loading the seccomp filter"
    _seal(identity, gate)
    # These are programs of the container: what binds it binds them.
    person.run_hooks("startContainer", doing, environment)
    try:
        prepared.execute()
    except OSError as error:
        raise program.explain(file, error, filtered=bool(identity.filter)) from None
    raise AssertionError


def _seal(identity: Identity, gate: Gate) -> None:
    """Load the filter, and wait until its listener is in good hands if it has one."""
    if identity.listener is None:
        identity.seal()
        return
    from knarr.runtime.filtering.listeners import Taken  # noqa: PLC0415 - loaded with the filter

    taken = Taken()
    gate.report((talk.LISTENER, str(_next_descriptor())), taken.descriptor)
    identity.seal()
    taken.wait()


def _next_descriptor() -> int:
    """Return the number that the next file to be opened will have."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def take_stdio(person: Person, room: Room) -> None:
    """Put the terminal, or what was given, at 0, 1 and 2, and let the user own it."""
    given = person.stdio if room.terminal_fd < 0 else (room.terminal_fd,) * 3
    # Out of the way first: one of them may be where another one has to go.
    lowest = 10 + person.preserve
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest) for descriptor in given]
    for number, descriptor in enumerate(high):
        os.dup2(descriptor, number)
        os.close(descriptor)
        _own(number, person.identity.uid, room)
    for number in range(3, 3 + person.preserve):
        os.set_inheritable(number, True)  # noqa: FBT003 - the standard library's signature


def _own(descriptor: int, uid: int, room: Room) -> None:
    """Give a standard stream to the user, who may want to open it again as /dev/stdout."""
    status = os.fstat(descriptor)
    if status.st_uid == uid or status.st_rdev == os.fstat(room.null.mount_fd).st_rdev:
        return
    try:
        os.fchown(descriptor, uid, status.st_gid)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EINVAL, errno.EROFS):
            raise


def try_to_enter(directory: str) -> bool:
    """Enter the working directory while still root; False if that must be tried as the user.

    Docker: root's privileges count for entering, as they did since its first versions
    """
    try:
        os.chdir(directory)
    except PermissionError:
        return False
    except OSError as error:
        raise _no_entry(directory, error) from None
    return True


def enter(directory: str, *, again: bool) -> None:
    """Be in the working directory, and know that it is inside the root."""
    try:
        if again:
            os.chdir(directory)
        os.getcwd()
    except FileNotFoundError as error:
        if again:
            raise _no_entry(directory, error) from None
        message = f'the working directory "{directory}" is outside the root of the container'
        raise PermissionDenied(message) from None
    except OSError as error:
        raise _no_entry(directory, error) from None


def _no_entry(directory: str, error: OSError) -> CommandFailed:
    reason = (error.strerror or "").lower()
    message = f'chdir to cwd ("{directory}") set in config.json failed: {reason}'
    missing = error.errno == errno.ENOENT
    return CommandFailed(message, status=program.NOT_FOUND if missing else program.NOT_EXECUTABLE)
