"""Execs: prepared, started once, asked about; a supervisor remembers them (`engine.execs`)."""

from __future__ import annotations

from knarr.api.answers import Empty, Hijack, Json
from knarr.api.handlers.containers import find
from knarr.api.handlers.streams import content_type
from knarr.api.parse.reading import reading, window
from knarr.api.splice import Manner, Splice, multiplexed, raw
from knarr.engine import execs
from knarr.engine.attach import note_client
from knarr.engine.options.detachkeys import DEFAULT_DETACH_KEYS, parse_keys
from knarr.errors import Conflict, KnarrError
from knarr.oci.document import Fields
from knarr.supervise.messages import STDERR, STDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from knarr.api.answers import Answer
    from knarr.api.call import Call
    from knarr.api.takeover import Taken
    from knarr.engine.containers import Container

    Prepared = dict[str, Any]

STREAMS = {"stdout": STDOUT, "stderr": STDERR}


def create(call: Call) -> Answer:
    container = find(call)
    with reading():
        fields = Fields(call.json(), "body")
        keys = fields.text("DetachKeys") or fields.text("detachKeys")  # so docker-py writes it
        wanted = execs.ExecOptions(
            fields.texts("Cmd") or (),
            env=fields.texts("Env") or (),
            user=fields.text("User"),
            working_dir=fields.text("WorkingDir"),
            tty=fields.boolean("Tty"),
            stdin=fields.boolean("AttachStdin"),
            privileged=fields.boolean("Privileged"),
        )
        about = {
            "stdout": fields.boolean("AttachStdout"),
            "stderr": fields.boolean("AttachStderr"),
            "keys": keys,
            "user": wanted.user,
            "privileged": wanted.privileged,
        }
    if keys:
        parse_keys(keys)
    session = execs.prepare(container, wanted, about)
    session.client.close()
    return Json({"Id": session.id}, 201)


def inspect(call: Call) -> Answer:
    container, state = execs.find(call.engine, call.parameters["id"])
    return Json(_document(container, state))


def _document(container: Container, state: Prepared) -> dict[str, Any]:
    about = state["about"]
    first, *rest = state["process"]["args"]
    process = {"tty": state["terminal"], "entrypoint": first, "arguments": rest}
    process["privileged"] = bool(about.get("privileged"))
    if about.get("user"):
        process["user"] = about["user"]
    return {
        "ID": state["id"],
        "Running": state["running"],
        "ExitCode": state["exit_code"],
        "ProcessConfig": process,
        "OpenStdin": state["stdin"],
        "OpenStderr": about.get("stderr", False),
        "OpenStdout": about.get("stdout", False),
        "CanRemove": False,
        "ContainerID": container.id,
        "DetachKeys": about.get("keys", ""),
        "Pid": state["pid"],
    }


def start(call: Call) -> Answer:
    container, state = execs.find(call.engine, call.parameters["id"])
    with reading():
        fields = Fields(call.json(), "body")
        detach, tty = fields.boolean("Detach"), fields.boolean("Tty")
        size = window(fields.object.get("ConsoleSize"))
    if state["pid"] or state["exit_code"] is not None:
        message = f"exec command {state['id']} has already run"
        raise Conflict(message)
    execs.require_going(container)
    if detach:
        with execs.reach(container) as client:
            client.exec_start(state["id"], attach=False, window=size)
        return Empty(200)
    wrap = raw if tty else multiplexed
    return Hijack(
        lambda taken: _serve(container, state, taken, size, wrap=wrap),
        content_type(call, tty=tty),
    )


def _serve(
    container: Container,
    state: Prepared,
    taken: Taken,
    size: tuple[int, int] | None,
    *,
    wrap: Callable[[int, bytes], bytes],
) -> None:
    """Start the process and join the client to it.

    Docker: what cannot be executed says so in the stream, and has its exit code; the form of the
    stream is as the start asks for, whether or not there is a terminal
    """
    tty, about = state["terminal"], state["about"]
    with execs.reach(container) as client:
        try:
            client.exec_start(state["id"], attach=True, window=size)
        except KnarrError as error:
            taken.socket.sendall(wrap(STDOUT, f"{error.message}\r\n".encode()))
            return
        keys = parse_keys(about.get("keys") or DEFAULT_DETACH_KEYS) if tty else b""
        streams = tuple(stream for name, stream in STREAMS.items() if about.get(name))
        manner = Manner(wrap=wrap, streams=streams, stdin=state["stdin"], detach_keys=keys)
        splice = Splice(taken, client, manner)
        splice.run()
    if splice.detached:
        note_client(container, "exec_detach", execID=state["id"])


def resize(call: Call) -> Answer:
    container, state = execs.find(call.engine, call.parameters["id"])
    height, width = call.number("h"), call.number("w")
    if height and width:
        with execs.reach(container) as client:
            client.resize(height, width, state["id"])
    return Empty(200)
