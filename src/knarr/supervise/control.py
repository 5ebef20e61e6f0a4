"""The client's side: starting a supervisor, and talking to one that runs. Light to import.

    starting = spawn()                      early: its imports overlap with what the engine does
    starting.send_order(order, [port.fileno() for port in ports])
    pid = starting.wait_created()           namespaces are there: set up the network of `pid`
    starting.start()
    starting.wait_started()                 raises what the runtime raised
    client = starting.client()              attached as the order says, from the first byte on

    with connect(control_dir) as client: …

Nothing here needs a thread or a loop: a `Client` is a descriptor (`fileno`), `read` does one
recv(2) and returns what it held, `request` sends a question and waits for its answer while it keeps
what else arrives. `engine.attach` joins a client to a terminal.
"""

from __future__ import annotations

import _socket
import os
import sys

from knarr import errors
from knarr.supervise import endpoints, frames, spawning
from knarr.supervise.messages import CONTROL, STDIN
from knarr.util.files import read_file
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

    from knarr.supervise.messages import Order, RestartPolicy

RECEIVE_SIZE = 256 << 10
DESCRIPTORS_PER_MESSAGE = 250  # the kernel's SCM_MAX_FD is 253
SIGKILL = 9


class Exit(Value):
    """How a container's process, or that of an exec, ended. `error` says what is odd about it."""

    exit_code: int
    oom_killed: bool = False
    error: str = ""


def spawn() -> Starting:
    """Start a supervisor that waits for its order."""
    return Starting(*spawning.spawn())


def connect(control_dir: str, *, wake: bool = True) -> Client:
    """Connect to the supervisor of the container whose run directory is `control_dir`.

    One that somebody has stopped goes on, unless `wake` is false.

    Raises: Unavailable
    """
    try:
        client = Client(endpoints.connect(control_dir, "sock", endpoints.STREAM))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        message = f"no supervisor answers in {control_dir}"
        raise errors.Unavailable(message) from error
    if wake:
        client.wake()
    return client


class Starting:
    """A supervisor on its way, and the connection that steers it.

    Closing it before `start` takes back everything that the supervisor did.
    """

    def __init__(self, connection: _socket.socket, pid: int, *, child: bool = False) -> None:
        self._client = Client(connection)
        self._intermediate = pid
        self._child = child  # the process is the supervisor
        self._ordered: Order | None = None
        self._started = False

    def send_order(self, order: Order, descriptors: Sequence[int] = ()) -> None:
        """Say what to run. The supervisor keeps copies of `descriptors` while it lives."""
        self._ordered = order
        if self._child:
            self._intermediate = 0  # from now on it lives as long as it has to
        data = order.encode()
        try:
            self._send_bytes(frames.header(CONTROL, len(data)) + data, descriptors)
        except ConnectionError:  # it was killed: who waits for its answer will be told
            pass

    def _send_bytes(self, data: bytes, descriptors: Sequence[int]) -> None:
        connection = self._client.connection
        for first in range(0, len(descriptors), DESCRIPTORS_PER_MESSAGE):
            batch = descriptors[first : first + DESCRIPTORS_PER_MESSAGE]
            rights = b"".join(number.to_bytes(4, sys.byteorder) for number in batch)
            connection.sendmsg([data[:1]], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
            data = data[1:]
        connection.sendall(data)

    def wait_created(self) -> int:
        """Wait until the container's process waits in its namespaces; return its process ID.

        Raises: KnarrError (what went wrong in the supervisor or in the runtime)
        """
        pid: int = self._expect("created")["pid"]
        return pid

    def serve_names(self) -> tuple[int, int]:
        """Have the supervisor answer the container's questions for names; see `Client`."""
        return self._client.serve_names()

    def start(self) -> None:
        """Let the container's process become the program."""
        try:
            self._client.send({"do": "start"})
        except ConnectionError:  # as above
            pass

    def wait_started(self) -> None:
        """Wait until the program runs.

        Raises: CommandFailed (126 or 127: it cannot be executed), other KnarrErrors
        """
        self._expect("started")
        self._started = True

    def client(self) -> Client:
        """Return the connection as that of a client, attached as the order said."""
        return self._client

    def abort(self) -> None:
        """Give up, and return when the supervisor took back what it did.

        After `wait_started` this only closes the connection; harmless more than once.
        """
        if self._intermediate and not self._ordered:
            os.kill(self._intermediate, SIGKILL)  # ours until it is waited for
        elif self._client.fileno() >= 0 and not self._started:
            try:
                self._client.connection.shutdown(_socket.SHUT_WR)
            except OSError:  # it has ended
                pass
            self._client.drain()
        self._client.close()
        self._reap()

    def _expect(self, event: str) -> dict[str, Any]:
        self._reap()
        message = self._client.next_event(event, "failed")
        if message is None:
            self._client.close()
            raise self._died(event)
        if message["event"] == "failed":
            self._client.drain()
            raise to_error(message)
        return message

    def _died(self, event: str) -> errors.KnarrError:
        assert self._ordered is not None
        hint = _last_words(f"{self._ordered.bundle_dir}/supervisor.log")
        return errors.Failed(f"the supervisor ended before the container was {event}", hint=hint)

    def _reap(self) -> None:
        """Wait for the process that was started: it forked the supervisor and ended at once."""
        if self._intermediate:
            os.waitpid(self._intermediate, 0)
            self._intermediate = 0


def _last_words(path: str) -> str:
    """Return what a supervisor said at its end, and where the rest is, if it stays."""
    try:
        lines = read_file(path).decode("utf-8", "replace").split("\n")
    except FileNotFoundError:
        return ""
    last = next((line for line in reversed(lines) if line.strip()), "")
    return f"Its last words, in {path}: {last}"


class Client:
    """A connection to a supervisor."""

    def __init__(self, connection: _socket.socket) -> None:
        """Take over `connection`."""
        self.connection = connection
        self._reader = frames.FrameReader()
        self._waiting: list[tuple[int, Any]] = []  # arrived while an answer was waited for
        self._number = 0

    def fileno(self) -> int:
        """Return the descriptor, for poll(2)."""
        return self.connection.fileno()

    def close(self) -> None:
        """Leave. An owner that leaves before `cleaned` hands the clean-up to the supervisor."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # what passes

    def wake(self) -> None:
        """Let the supervisor go on, if somebody has stopped it: it could not answer."""
        endpoints.wake(self.connection)

    @property
    def waiting(self) -> bool:
        """Tell whether `read` has something that arrived during a `request`."""
        return bool(self._waiting)

    def read(self) -> list[tuple[int, Any]] | None:
        """Receive once; return (stream, bytes) and (CONTROL, object) pairs, None at the end."""
        if self._waiting:
            arrived, self._waiting = self._waiting, []
            return arrived
        return self._receive()

    def drain(self) -> None:
        """Wait for the end of the connection, and close it."""
        while self._receive() is not None:
            pass
        self.close()

    def send(self, message: dict[str, Any]) -> None:
        """Send a control message."""
        self.connection.sendall(frames.control(message))

    def send_stdin(self, data: bytes) -> None:
        """Send input; none means that no more will come."""
        self.connection.sendall(frames.frame(STDIN, data))

    def request(self, do: str, **fields: object) -> dict[str, Any]:
        """Ask for something and wait for the answer.

        Raises: KnarrError (what the supervisor answered), Unavailable (it ended)
        """
        self._number += 1
        number = self._number
        try:
            self.send({"do": do, "n": number, **fields})
        except ConnectionError:  # it has left; what it said before may be an answer all the same
            pass
        answer = self._await(lambda message: message.get("n") == number)
        if answer is None:
            text = "the supervisor ended"
            raise errors.Unavailable(text)
        if "error" in answer:
            raise to_error(answer)
        return answer

    def next_event(self, *names: str) -> dict[str, Any] | None:
        """Wait for one of the events `names`, None if the connection ends before."""
        return self._await(lambda message: message.get("event") in names)

    def _await(self, wanted: Any) -> dict[str, Any] | None:
        while True:
            for position, (stream, message) in enumerate(self._waiting):
                if stream == CONTROL and wanted(message):
                    del self._waiting[position]
                    found: dict[str, Any] = message
                    return found
            # Only what is new has to be looked at next time, but the list is short.
            arrived = self._receive()
            if arrived is None:
                return None
            self._waiting += arrived

    def _receive(self) -> list[tuple[int, Any]] | None:
        try:
            data = self.connection.recv(RECEIVE_SIZE)
        except ConnectionResetError:
            data = b""
        return list(self._reader.feed(data)) if data else None

    # requests

    def attach(self, *, stdin: bool = False, stdout: bool = True, stderr: bool = True) -> None:
        """Get the output from now on, and with `stdin` give input.

        Raises: Conflict (the container has ended)
        """
        self.request("attach", stdin=stdin, stdout=stdout, stderr=stderr)

    def resize(self, height: int, width: int, exec_id: str | None = None) -> None:
        """Set the size of the terminal; harmless without one."""
        self.request("resize", height=height, width=width, exec=exec_id)

    def wait(self, condition: str = "not-running") -> Exit:
        """Wait until the container is `not-running`, has its `next-exit`, or is `removed`."""
        return to_exit(self.request("wait", condition=condition))

    def signal(self, number: int, exec_id: str | None = None) -> None:
        """Send a signal to the container's first process, or to that of an exec.

        Raises: Conflict (it has ended)
        """
        self.request("signal", signal=number, exec=exec_id)

    def stopping(self, *, clean: bool = False) -> bool:
        """Say that the next exit is wanted: the restart policy is not asked.

        With `clean` offer to clean up after it; return whether that is wanted. Then `cleaned` has
        to follow the exit.
        """
        return bool(self.request("stopping", clean=clean)["owner"])

    def own(self) -> bool:
        """Offer to clean up after the exit; return whether that is wanted. Then see `cleaned`."""
        return bool(self.request("own")["owner"])

    def set_restart_policy(self, policy: RestartPolicy) -> None:
        """Replace the restart policy."""
        fields = [policy.name, policy.maximum_retries, policy.minimum_delay, policy.maximum_delay]
        self.request("restarts", policy=[*fields, policy.reset_after, policy.factor])

    def set_limits(self, resources: Mapping[str, Any]) -> None:
        """Give later runs other limits, an object like the spec's `linux.resources`."""
        self.request("limits", resources=dict(resources))

    def serve_names(self) -> tuple[int, int]:
        """Have the supervisor listen for questions for names, inside the container's network.

        Return the ports for datagrams and for streams; the same ones when it does so already.

        Raises: Conflict (no process, whose network that would be), Failed
        """
        answer = self.request("names")
        return answer["udp"], answer["tcp"]

    def state(self) -> dict[str, Any]:
        """Return the task as the supervisor knows it: the contents of task.json."""
        state: dict[str, Any] = self.request("state")["task"]
        return state

    def exec_create(
        self,
        process: dict[str, Any],
        *,
        terminal: bool,
        stdin: bool,
        attended: bool = False,
        about: Mapping[str, Any] | None = None,
    ) -> str:
        """Prepare a further process (`process` of the runtime spec); return the exec's ID.

        One that is `attended` ends with the connection that it is attached to, and with it all
        that it started. `exec_inspect` says again what it is `about`.
        """
        manner = {"terminal": terminal, "stdin": stdin, "attended": attended}
        answer = self.request("exec-create", process=process, about=about, **manner)
        exec_id: str = answer["exec"]
        return exec_id

    def exec_keep(self, exec_id: str) -> None:
        """Let an attended exec go on without us.

        Raises: NotFound
        """
        self.request("exec-keep", exec=exec_id)

    def exec_start(
        self, exec_id: str, *, attach: bool, window: tuple[int, int] | None = None
    ) -> int:
        """Start a prepared process, with `attach` on this connection; return its process ID.

        Raises: CommandFailed (126, 127), Conflict (started already, or the container is paused)
        """
        answer = self.request("exec-start", exec=exec_id, attach=attach, window=window)
        pid: int = answer["pid"]
        return pid

    def exec_inspect(self, exec_id: str) -> dict[str, Any]:
        """Return what is known of an exec: id, running, exit_code, pid, process, terminal, about.

        Raises: NotFound
        """
        found: dict[str, Any] = self.request("exec-inspect", exec=exec_id)["state"]
        return found

    def cleaned(self, *, removed: bool = False) -> None:
        """Say, as the owner, that nothing is left to clean up; the supervisor may end.

        Harmless if it did not wait so long, and had somebody else clean up.
        """
        try:
            self.send({"do": "cleaned", "removed": removed})
        except BrokenPipeError:
            pass


def to_exit(message: dict[str, Any]) -> Exit:
    """Return the exit that an answer or an event tells of."""
    code, killed = message["exit_code"], message.get("oom_killed", False)
    return Exit(code, killed, message.get("error_text", ""))


def to_error(message: dict[str, Any]) -> errors.KnarrError:
    """Return the error that an answer or a `failed` event tells of, as the class it was."""
    kind = getattr(errors, message.get("kind", ""), errors.Failed)
    text, hint = message["error"], message.get("hint", "")
    if kind is errors.CommandFailed:
        return errors.CommandFailed(text, status=message["status"], hint=hint)
    error: errors.KnarrError = kind(text, hint=hint)
    return error
