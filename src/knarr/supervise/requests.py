"""What clients ask, turned into calls: every request of `messages`, its checks and its answer.

A request that is wrong in any way gets an error as its answer and changes nothing.
"""

from __future__ import annotations

from knarr.errors import CommandFailed, Conflict, Failed, InvalidArgument, KnarrError
from knarr.supervise.messages import STDERR, STDOUT, RestartPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from knarr.supervise.peers import Peer
    from knarr.supervise.sessions import Session
    from knarr.supervise.supervisor import Supervisor

    Message = dict[str, Any]

CONDITIONS = ("not-running", "next-exit", "removed")
_SIGNALS = range(1, 65)
_SIZES = range(1, 65536)


class Requests:
    """Handles what all clients of one supervisor send (`peers.Handler`)."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        # Whose input a client gives: an exec's, or with None the container's own.
        self._givers: dict[Peer, Session | None] = {}
        self._verbs: dict[str, Callable[[Peer, Message], Message | None]] = {
            "start": self._start,
            "attach": self._attach,
            "resize": self._resize,
            "wait": self._wait,
            "signal": self._signal,
            "stopping": self._stopping,
            "own": self._own,
            "state": self._state,
            "restarts": self._restarts,
            "limits": self._limits,
            "exec-create": self._exec_create,
            "exec-start": self._exec_start,
            "exec-keep": self._exec_keep,
            "exec-inspect": self._exec_inspect,
            "names": self._names,
            "rename": self._rename,
            "cleaned": self._cleaned,
        }

    # peers.Handler

    def on_message(self, peer: Peer, message: Message) -> None:
        try:
            verb = self._verbs[message["do"]]
            answer = verb(peer, message)
        except KnarrError as error:
            answer = describe(error)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            answer = describe(InvalidArgument(f"malformed request: {error!r}"))
        except OSError as error:
            answer = describe(Failed(str(error)))
        if answer is not None:
            peer.send({"n": message.get("n"), **answer})

    def on_input(self, peer: Peer, data: bytes) -> None:
        if peer not in self._givers:
            if not data:
                self._supervisor.ordering_ended(peer)
            return
        session = self._givers[peer]
        streams = session.streams if session else self._supervisor.streams
        if data:
            if streams:
                streams.give(peer, data)
        else:
            self._input_ended(session)

    def on_gone(self, peer: Peer) -> None:
        if peer in self._givers:
            self._input_ended(self._givers.pop(peer))
        self._supervisor.peer_gone(peer)

    def _input_ended(self, session: Session | None) -> None:
        if session:
            session.end_input()
        elif self._supervisor.order.stdin_once:
            self._supervisor.end_input()

    def gives_input(self, peer: Peer, session: Session | None = None) -> None:
        """Take the input of `peer` for an exec or for the container."""
        self._givers[peer] = session

    # requests

    def _start(self, peer: Peer, message: Message) -> Message | None:
        del message
        self._supervisor.start(peer)
        return None

    def _attach(self, peer: Peer, message: Message) -> Message:
        names = {"stdout": STDOUT, "stderr": STDERR}
        streams = tuple(stream for name, stream in names.items() if message.get(name))
        self._supervisor.attach(peer, streams)
        if message.get("stdin"):
            self.gives_input(peer)
        return {"ok": True, "terminal": self._supervisor.order.terminal}

    def _resize(self, peer: Peer, message: Message) -> Message:
        del peer
        rows, columns = _size(message["height"]), _size(message["width"])
        if message.get("exec"):
            sessions = self._supervisor.sessions
            sessions.resize(sessions.get(message["exec"]), (rows, columns))
        else:
            self._supervisor.resize(rows, columns)
            self._supervisor.note("resize", height=str(rows), width=str(columns))
        return {"ok": True}

    def _wait(self, peer: Peer, message: Message) -> Message | None:
        condition = message["condition"]
        if condition not in CONDITIONS:
            text = f'invalid condition: "{condition}"'
            raise InvalidArgument(text)
        return self._supervisor.wait(peer, message.get("n"), condition)

    def _signal(self, peer: Peer, message: Message) -> Message:
        del peer
        number = message["signal"]
        if type(number) is not int or number not in _SIGNALS:
            text = f"invalid signal: {number}"
            raise InvalidArgument(text)
        if message.get("exec"):
            sessions = self._supervisor.sessions
            sessions.signal(sessions.get(message["exec"]), number)
        else:
            self._supervisor.signal(number)
        return {"ok": True}

    def _stopping(self, peer: Peer, message: Message) -> Message:
        self._supervisor.stopping()
        return {"ok": True, "owner": bool(message.get("clean")) and self._supervisor.own(peer)}

    def _own(self, peer: Peer, message: Message) -> Message:
        del message
        return {"ok": True, "owner": self._supervisor.own(peer)}

    def _state(self, peer: Peer, message: Message) -> Message:
        del peer, message
        return {"ok": True, "task": self._supervisor.task.fields}

    def _restarts(self, peer: Peer, message: Message) -> Message:
        del peer
        name, maximum, *delays = message["policy"]
        lowest, highest, reset, factor = map(float, delays)
        self._supervisor.restarts.policy = RestartPolicy(
            str(name), int(maximum), lowest, highest, reset, factor
        )
        return {"ok": True}

    def _limits(self, peer: Peer, message: Message) -> Message:
        del peer
        resources = message["resources"]
        if not isinstance(resources, dict):
            text = "limits are an object of the runtime spec"
            raise InvalidArgument(text)
        self._supervisor.order.limit(resources)
        return {"ok": True}

    def _exec_create(self, peer: Peer, message: Message) -> Message:
        del peer
        self._supervisor.require_going()
        process = message["process"]
        if not isinstance(process, dict):
            text = "an exec needs a process"
            raise InvalidArgument(text)
        session = self._supervisor.sessions.create(
            process, terminal=bool(message.get("terminal")), stdin=bool(message.get("stdin"))
        )
        session.attended = bool(message.get("attended"))
        session.about = dict(message.get("about") or {})
        supervisor = self._supervisor
        supervisor.note(f"exec_create: {session.words}", execID=session.id)
        return {"ok": True, "exec": session.id}

    def _exec_start(self, peer: Peer, message: Message) -> Message:
        supervisor = self._supervisor
        supervisor.require_going()
        session = supervisor.sessions.get(message["exec"])
        window = message.get("window")
        size = (_size(window[0]), _size(window[1])) if window else None
        attached = bool(message.get("attach"))
        if attached and peer in self._givers:
            text = "this connection is attached already"
            raise Conflict(text)
        supervisor.note(f"exec_start: {session.words}", execID=session.id)
        supervisor.sessions.start(session, supervisor.pid, peer if attached else None, size)
        if attached:
            self.gives_input(peer, session)
        return {"ok": True, "pid": session.pid}

    def _exec_keep(self, peer: Peer, message: Message) -> Message:
        del peer
        self._supervisor.sessions.get(message["exec"]).attended = False
        return {"ok": True}

    def _exec_inspect(self, peer: Peer, message: Message) -> Message:
        del peer
        sessions = self._supervisor.sessions
        if message.get("exec"):
            return {"ok": True, "state": sessions.get(message["exec"]).state()}
        return {"ok": True, "states": [session.state() for session in sessions.all()]}

    def _names(self, peer: Peer, message: Message) -> Message:
        del peer, message
        udp, tcp = self._supervisor.serve_names()
        return {"ok": True, "udp": udp, "tcp": tcp}

    def _rename(self, peer: Peer, message: Message) -> Message:
        del peer
        self._supervisor.about["name"] = str(message["name"])
        return {"ok": True}

    def _cleaned(self, peer: Peer, message: Message) -> Message | None:
        self._supervisor.cleaned(peer, removed=bool(message.get("removed")))
        return None


def describe(error: KnarrError) -> dict[str, Any]:
    """Return `error` as the fields of an answer or of a `failed` event."""
    fields: dict[str, Any] = {"error": error.message, "kind": type(error).__name__}
    if error.hint:
        fields["hint"] = error.hint
    if isinstance(error, CommandFailed):
        fields["status"] = error.status
    notes = getattr(error, "__notes__", None)
    if notes:
        fields["notes"] = notes
    return fields


def _size(value: object) -> int:
    if type(value) is not int or value not in _SIZES:
        text = f"invalid size of a terminal: {value}"
        raise InvalidArgument(text)
    return value
