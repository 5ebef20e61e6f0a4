"""Another OCI runtime by its command line: crun, runc, or whatever is as them.

    <directory>/config.json     the spec
    <directory>/state/          the runtime's own, its --root
    <directory>/log             its errors, in JSON
    <directory>/pid             of the process that it made last
    <directory>/process.json    what it is to execute
    <directory>/console         socket that a terminal's master is sent to

A runtime's `create` and `exec --detach` leave their process behind; it is our child then, because
we are a subreaper. What they are given as standard streams is the container's, so errors come by
the log. While such a command runs, which takes some tens of milliseconds, nothing else is done.

Spec: runtime-spec runtime.md, "Operations"; the options are those of runc
"""

from __future__ import annotations

import _socket
import os
import select
import stat
import sys

from knarr.errors import CommandFailed, Failed, KnarrError
from knarr.linux import mount
from knarr.supervise import endpoints
from knarr.util import jsontext
from knarr.util.files import delete_file, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any
else:
    import _signal

VERSION = "1.0.2"  # of the specification that every runtime in use knows
CONSOLE = "console"
NOT_FOUND, NOT_EXECUTABLE = 127, 126
PATIENCE = 120.0  # seconds for a command of a runtime: hooks may take their time
_NOT_FOUND_WORDS = ("executable file not found", "no such file or directory")
_NOT_EXECUTABLE_WORDS = (
    "permission denied", "is a directory", "exec format error", "operation not permitted",
)  # fmt: skip


class Foreign:
    """One container of another runtime."""

    def __init__(self, program: str, directory: str, container_id: str) -> None:
        """Call `program`; what it needs lies in `directory`."""
        self.program = program
        self.directory = directory
        self.id = container_id

    def create(self, spec: dict[str, Any], stdio: tuple[int, ...]) -> tuple[int, int]:
        """Make the container, and return its first process and its terminal's master or -1.

        Raises: CommandFailed, Failed
        """
        os.makedirs(f"{self.directory}/state", 0o700, exist_ok=True)
        self._write("config.json", {**spec, "ociVersion": VERSION})
        return self._make(["create", "--bundle", self.directory], spec["process"], stdio)

    def start(self, spec: dict[str, Any]) -> None:
        """Run the program.

        Raises: CommandFailed, Failed
        """
        self._call(["start", self.id], (0, 0, 0), spec["process"])

    def execute(self, process: dict[str, Any], stdio: tuple[int, ...]) -> tuple[int, int]:
        """Run a further process; return its ID and its terminal's master or -1.

        Raises: CommandFailed, Failed
        """
        self._write("process.json", process)
        words = ["exec", "--process", f"{self.directory}/process.json", "--detach"]
        return self._make(words, process, stdio)

    def waits(self) -> bool:
        """Tell whether the container was created and never started.

        Raises: Failed
        """
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            self._call(["state", self.id], (0, writing, 0), {})
        finally:
            os.close(writing)
            with os.fdopen(reading, "rb") as file:
                text = file.read()
        state = jsontext.loads(text)
        return bool(state.get("status") == "created")

    def delete(self) -> None:
        """Forget the container, and kill what is left of it; harmless without one.

        Raises: Failed
        """
        if os.path.isdir(f"{self.directory}/state/{self.id}"):
            self._call(["delete", "--force", self.id], (0, 0, 0), {})

    def _make(
        self, words: list[str], process: dict[str, Any], stdio: tuple[int, ...]
    ) -> tuple[int, int]:
        """Call what leaves a process behind."""
        pid_path = f"{self.directory}/pid"
        delete_file(f"{self.directory}/pid")
        words = [*words, "--pid-file", pid_path]
        if not process.get("terminal"):
            null_fd = _open_null()
            try:
                given = tuple(null_fd if _is_null(each) else each for each in stdio)
                self._call([*words, self.id], given, process)
            finally:
                os.close(null_fd)
            return int(read_file(pid_path)), -1
        listener = endpoints.listen(self.directory, CONSOLE, endpoints.STREAM)
        directory_fd = os.open(self.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # An address has 108 bytes; by way of our descriptor every path fits.
            path = f"/proc/{os.getpid()}/fd/{directory_fd}/{CONSOLE}"
            self._call([*words, "--console-socket", path, self.id], (0, 0, 0), process)
            return int(read_file(pid_path)), _take_master(listener)
        finally:
            os.close(directory_fd)
            listener.close()
            delete_file(f"{self.directory}/{CONSOLE}")

    def _call(self, words: list[str], stdio: tuple[int, ...], process: dict[str, Any]) -> None:
        """Run the runtime with `words`.

        Raises: CommandFailed (the runtime cannot execute `process`), Failed
        """
        delete_file(f"{self.directory}/log")
        command = [self.program, "--root", f"{self.directory}/state"]
        command += ["--log", f"{self.directory}/log", "--log-format", "json", *words]
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(stdio)]
        try:
            pid = os.posix_spawn(
                self.program, command, os.environ, file_actions=actions,
                setsigmask=(), setsigdef=(_signal.SIGPIPE, _signal.SIGXFSZ),
            )  # fmt: skip
        except OSError as error:
            message = f"cannot run {self.program}: {(error.strerror or str(error)).lower()}"
            raise Failed(message) from error
        status = _wait(pid)
        if status:
            raise self._explain(words[0], status, process)

    def _explain(self, verb: str, status: int, process: dict[str, Any]) -> KnarrError:
        """Return the error for a command of the runtime that failed.

        The runtimes have no other way than words to say that a program cannot be executed.
        """
        said = _last_error(self._read("log"))
        name = os.path.basename(self.program)
        message = f"{name}: {said}" if said else f"{name} {verb} ended with status {status}"
        words, (program, *_) = said.lower(), (process.get("args") or [""])
        if program and (program.lower() in words or "executable" in words):
            if any(reason in words for reason in _NOT_FOUND_WORDS):
                return CommandFailed(message, status=NOT_FOUND)
            if any(reason in words for reason in _NOT_EXECUTABLE_WORDS):
                return CommandFailed(message, status=NOT_EXECUTABLE)
        return Failed(message)

    def _write(self, name: str, document: object) -> None:
        with open(f"{self.directory}/{name}", "wb", buffering=0) as file:
            file.write(jsontext.dumps(document).encode())

    def _read(self, name: str) -> str:
        try:
            return read_file(f"{self.directory}/{name}").decode(errors="replace")
        except FileNotFoundError:
            return ""


def _open_null() -> int:
    """Return /dev/null, opened where its owner cannot be changed.

    crun gives the streams of a container to its user, also if one of them is the host's /dev/null.
    """
    mount_fd = mount.open_tree(mount.AT_FDCWD, os.devnull, mount.OPEN_TREE_CLONE)
    try:
        read_only = mount.MOUNT_ATTR_RDONLY
        mount.mount_setattr(mount_fd, "", mount.AT_EMPTY_PATH, attr_set=read_only)
        return os.open(f"/proc/self/fd/{mount_fd}", os.O_RDWR | os.O_CLOEXEC)
    finally:
        os.close(mount_fd)


def _is_null(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)


def _wait(pid: int) -> int:
    """Return the exit status of a child, which is killed when it takes for ever."""
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if not poll.poll(PATIENCE * 1000):
        os.kill(pid, _signal.SIGKILL)
    os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _take_master(listener: _socket.socket) -> int:
    """Return the terminal's master, which was sent to `listener` before.

    Raises: Failed
    """
    listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    try:
        connection = _socket.socket(fileno=endpoints.accept(listener))
    except OSError as error:
        message = "the runtime sent no terminal"
        raise Failed(message) from error
    _, rights, _, _ = connection.recvmsg(4096, _socket.CMSG_LEN(4), _socket.MSG_CMSG_CLOEXEC)
    connection.close()
    if not rights:
        message = "the runtime sent no terminal"
        raise Failed(message)
    return int.from_bytes(rights[0][2][:4], sys.byteorder)


def _last_error(log: str) -> str:
    """Return the last error of a log in JSON, one object a line; as it is if it is none."""
    for line in reversed(log.splitlines()):
        try:
            entry = jsontext.loads(line)
        except ValueError:
            return line
        if entry.get("level") in ("error", "fatal"):
            return str(entry.get("msg", ""))
    return ""
