"""Execs: further processes in the container, each with streams of its own.

An exec is prepared, started once, and remembered for five minutes after its end (the last hundred
of them), since a client may ask for its exit code only after it saw the end of the output. Its
pipes have no names: it belongs to the client that waits for it, and ends as after a lost connection
(end of input, SIGPIPE) if the supervisor is killed. Without a client it has /dev/null instead, and
goes on. One that is to end with its client has a control group of its own (`family`), with which
all that it started ends, too.
"""

from __future__ import annotations

import os

from knarr.errors import CommandFailed, Conflict, NotFound, Unsupported
from knarr.linux import tty
from knarr.supervise.messages import EXEC_BYTES, EXEC_OWNER_DIGITS, STDERR, STDOUT
from knarr.supervise.stdio import give_away
from knarr.supervise.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from knarr.runtime.cgroups import Cgroup
    from knarr.supervise.family import Family
    from knarr.supervise.logs import Log
    from knarr.supervise.loop import Loop
    from knarr.supervise.messages import Order
    from knarr.supervise.peers import Peer

FAILED = 126  # Docker's exit code of an exec that could not be made
REMEMBERED = 300.0  # seconds after its end
REMEMBERED_COUNT = 100


class Session:
    """One exec. `about` is what whoever prepared it wants to be told again, and nobody else."""

    def __init__(
        self, exec_id: str, process: dict[str, Any], *, terminal: bool, stdin: bool
    ) -> None:
        self.id = exec_id
        self.process = process
        self.terminal = terminal
        self.stdin = stdin
        self.pid = 0
        self.exit_code: int | None = None
        self.streams: Streams | None = None
        self.master = -1
        self.about: dict[str, Any] = {}
        self.attended = False  # whether it ends with its client
        self.family: Family | None = None
        self.on_ended: Callable[[], None] | None = None  # of one that no client asked for

    @property
    def words(self) -> str:
        """Return its command in one line."""
        return " ".join(map(str, self.process.get("args", ())))

    @property
    def running(self) -> bool:
        return self.pid != 0 and self.exit_code is None

    def state(self) -> dict[str, Any]:
        """Return what a client may know."""
        return {
            "id": self.id,
            "process": self.process,
            "terminal": self.terminal,
            "stdin": self.stdin,
            "pid": self.pid,
            "running": self.running,
            "exit_code": self.exit_code,
            "about": self.about,
        }

    def end_input(self) -> None:
        """Let the process see the end of its input."""
        if self.streams and self.streams.input and not self.terminal:
            self.streams.input.finish()


class Sessions:
    """All execs of a container."""

    def __init__(self, loop: Loop, order: Order, note: Callable[..., None]) -> None:
        """Run execs in the container of `order`; `note` notes events of the container."""
        self._loop = loop
        self._order = order
        self._note = note
        self._by_id: dict[str, Session] = {}
        self._by_pid: dict[int, Session] = {}
        self._ended_ids: list[str] = []

    def create(self, process: dict[str, Any], *, terminal: bool, stdin: bool) -> Session:
        """Prepare an exec.

        Its ID ends with the beginning of the container's: who has only the ID finds us by it.
        """
        exec_id = f"{os.urandom(EXEC_BYTES).hex()}{self._order.id[:EXEC_OWNER_DIGITS]}"
        session = Session(exec_id, process, terminal=terminal, stdin=stdin)
        self._by_id[session.id] = session
        return session

    def get(self, exec_id: str) -> Session:
        """Return an exec.

        Raises: NotFound
        """
        try:
            return self._by_id[exec_id]
        except KeyError:
            message = f"no such exec instance: {exec_id}"
            raise NotFound(message) from None

    def all(self) -> list[Session]:
        """Return all execs that are remembered."""
        return list(self._by_id.values())

    def start(
        self, session: Session, target_pid: int, peer: Peer | None, window: tuple[int, int] | None
    ) -> None:
        """Start a prepared exec in the container of `target_pid`, with `peer` attached to it.

        Raises: Conflict, CommandFailed (126, 127)
        """
        if session.pid or session.exit_code is not None:
            message = f"exec {session.id} has been started already"
            raise Conflict(message)
        outer = self._execute(session, target_pid, attached=peer is not None)
        session.streams = Streams(self._loop, patience=self._order.patience)
        if peer:
            session.streams.join(peer, (STDOUT, STDERR))
        if session.terminal:
            outer = (os.dup(session.master) if session.stdin else -1, os.dup(session.master), -1)
            self.resize(session, window)
        self._connect(session.streams, outer)

    def watch(
        self, session: Session, target_pid: int, output: Log, ended: Callable[[], None]
    ) -> None:
        """Start a prepared exec for the supervisor itself: `output` gets all it writes.

        `ended` is called after that, and the exec is forgotten at once.

        Raises: CommandFailed (126, 127), Conflict
        """
        try:
            outer = self._execute(session, target_pid, attached=True)
        except BaseException:
            self._forget(session.id)
            raise
        session.on_ended = ended
        session.streams = Streams(self._loop, patience=self._order.patience, log=output)
        self._connect(session.streams, outer)

    def _execute(self, session: Session, target_pid: int, *, attached: bool) -> tuple[int, ...]:
        """Make the process; return our ends of its pipes, if it is attached and has any."""
        inner, outer = self._open_pipes(session, attached=attached)
        try:
            if attached and inner:
                give_away(inner, session.process, self._order.spec)
            session.pid, session.master = self._make(session, target_pid, inner)
        except BaseException as error:
            for descriptor in outer:
                if descriptor >= 0:
                    os.close(descriptor)
            session.exit_code = error.status if isinstance(error, CommandFailed) else FAILED
            self._remember(session)
            raise
        finally:
            for descriptor in set(inner):
                os.close(descriptor)
        self._by_pid[session.pid] = session
        return outer

    def _make(self, session: Session, target_pid: int, stdio: tuple[int, ...]) -> tuple[int, int]:
        """Have the runtime make the process; return its ID, and its terminal's master or -1."""
        process = {**session.process, "terminal": session.terminal}
        if session.attended:
            return self._make_attended(session, target_pid, stdio)
        if self._order.runtime:
            from knarr.supervise.foreign.run import foreign_of  # noqa: PLC0415 - for few containers

            return foreign_of(self._order).execute(process, stdio)
        return self._make_here(process, target_pid, stdio)

    def _make_here(
        self,
        process: dict[str, Any],
        target_pid: int,
        stdio: tuple[int, ...],
        group: Cgroup | None = None,
    ) -> tuple[int, int]:
        from knarr.runtime.exec import (  # noqa: PLC0415 - most containers never need it
            Manner,
            execute,
        )

        manner = Manner(stdio, f"{self._order.run}/seccomp")
        manner.group = group
        running = execute(target_pid, process, self._order.spec, manner)
        os.close(running.pidfd)
        return running.pid, running.master_fd

    def _make_attended(
        self, session: Session, target_pid: int, stdio: tuple[int, ...]
    ) -> tuple[int, int]:
        """Make the process in a control group of its own.

        Raises: Unsupported, what the runtime raises
        """
        from knarr.supervise.family import Family  # noqa: PLC0415 - for few execs

        if self._order.runtime:
            message = f"what the runtime {self._order.runtime} executes cannot be ended as a whole"
            raise Unsupported(message, hint="Leave out --on-disconnect kill.")
        process = {**session.process, "terminal": session.terminal}
        session.family = Family(target_pid, session.id)
        try:
            return self._make_here(process, target_pid, stdio, session.family.group)
        except BaseException:
            session.family.forget()
            raise

    def _open_pipes(
        self, session: Session, *, attached: bool
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the process's three descriptors and ours, -1 where there is none."""
        if session.terminal:
            return (), ()
        inner, outer = [], []
        for number, wanted in enumerate((attached and session.stdin, attached, attached)):
            if not wanted:
                inner.append(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
                outer.append(-1)
                continue
            reading, writing = os.pipe2(os.O_CLOEXEC)
            theirs, ours = (reading, writing) if number == 0 else (writing, reading)
            inner.append(theirs)
            outer.append(ours)
        return tuple(inner), tuple(outer)

    @staticmethod
    def _connect(streams: Streams, outer: tuple[int, ...]) -> None:
        stdin, stdout, stderr = outer
        if stdout >= 0:
            streams.add_output(stdout, STDOUT)
        if stderr >= 0:
            streams.add_output(stderr, STDERR)
        if stdin >= 0:
            streams.set_input(stdin)

    def resize(self, session: Session, window: tuple[int, int] | None) -> None:
        """Set the size of an exec's terminal, if it has one."""
        if session.master >= 0 and window:
            tty.set_size(session.master, rows=window[0], columns=window[1])

    def signal(self, session: Session, number: int) -> None:
        """Send a signal to an exec's process, which cannot have been reaped by anybody else.

        Raises: Conflict
        """
        if not session.running:
            message = f"exec {session.id} is not running"
            raise Conflict(message)
        os.kill(session.pid, number)

    def on_exit(self, pid: int, exit_code: int) -> None:
        """Take note that a child ended, which may have been an exec's."""
        session = self._by_pid.pop(pid, None)
        if session is not None and session.family:
            session.family.forget()
            session.family = None
        if session is None or session.streams is None:
            return
        session.exit_code = exit_code
        if session.on_ended is None:  # before the client hears of it
            self._note("exec_die", execID=session.id, exitCode=str(exit_code))
        session.streams.finish(lambda: self._ended(session))

    def _ended(self, session: Session) -> None:
        assert session.streams is not None
        event = {"event": "exec-exited", "exec": session.id, "exit_code": session.exit_code}
        for peer in session.streams.peers:
            peer.send(event)
            session.streams.leave(peer)
        session.streams = None
        if session.master >= 0:
            os.close(session.master)
            session.master = -1
        if session.on_ended:
            self._by_id.pop(session.id, None)
            session.on_ended()
        else:
            self._remember(session)

    def _remember(self, session: Session) -> None:
        """Keep an exec that has ended for a while."""
        self._ended_ids.append(session.id)
        if len(self._ended_ids) > REMEMBERED_COUNT:
            self._forget(self._ended_ids[0])
        self._loop.later(REMEMBERED, lambda: self._forget(session.id))

    def _forget(self, exec_id: str) -> None:
        if self._by_id.pop(exec_id, None):
            self._ended_ids.remove(exec_id)

    def leave(self, peer: Peer) -> None:
        """Forget a client, and end the execs that end with it."""
        for session in self._by_pid.values():
            if not session.streams or peer not in session.streams.peers:
                continue
            session.streams.leave(peer)
            if session.family and session.attended:
                session.family.kill()
