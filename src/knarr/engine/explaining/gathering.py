"""Gathering what is known of a container: its record, its task, events, log, kernel and files.

Each source is asked once, and only where it can matter: files if a program could not be run, the
kernel's log if memory ran out, sockets if it runs. Nothing is changed.
"""

from __future__ import annotations

import os
import re
import time

from knarr.engine.container import tasks
from knarr.engine.container.starting import find_identity
from knarr.engine.container.users import Identity
from knarr.engine.explaining import programs, sockets
from knarr.engine.explaining.facts import Bind, Facts, Port, Program
from knarr.engine.explaining.history import read_history
from knarr.engine.explaining.tree import Tree
from knarr.engine.logs import LogOptions
from knarr.errors import KnarrError
from knarr.oci.descriptor import host_platform
from knarr.store.layers import LayerRecords
from knarr.store.ports import PortRecords
from knarr.supervise import task
from knarr.supervise.runs import UNSEEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine

_LINES = 20
_RECENT, _RECENT_EVENTS = 60.0, 5000  # of an end so many seconds ago, that many events may tell
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PORT = re.compile(r"(?:bind for|host port for) (?P<ip>\S+):(?P<port>\d+)\b", re.IGNORECASE)
_TOOL = re.compile(
    r'exec: "(?P<a>[^"]+)": executable file not found'
    r"|(?:^|[\s:])(?P<b>[\w./+-]+): (?:command )?not found\s*$",
    re.MULTILINE,
)


def gather(container: Container) -> Facts:
    """Return the facts about a container."""
    engine, state = container.engine, container.state
    identity = _identity(container)
    facts = _recorded(container, identity)
    if state.pid and state.status in tasks.ACTIVE:
        return facts.replace(**_network(engine, container.id, state.pid))
    tail = _RECENT_EVENTS if facts.ended_ago < _RECENT else None
    history = read_history(engine.paths.root, container.id, state.finished_ns, tail=tail)
    facts = facts.replace(**history)
    facts = facts.replace(binds=_binds(container), holder=_holder(engine, facts.error))
    if facts.ended:
        facts = facts.replace(full=_full(container, facts.binds))
    if state.oom_killed:
        from knarr.engine.explaining.kernel import shortage_of  # noqa: PLC0415 - seldom

        facts = facts.replace(shortage=shortage_of(container.id))
    if facts.unexecuted or facts.unexecuted_late:
        facts = facts.replace(program=_program(container, identity))
    return facts


def _recorded(container: Container, identity: Identity | None) -> Facts:
    """Return what its record, its task and its log say of a container."""
    options, state = container.options, container.state
    directory = container.engine.paths.container(container.id)
    fields = task.read(directory) or dict(task.FIELDS)
    failed = state.status == tasks.CREATED and bool(state.error)
    error = state.error if failed or state.error not in (tasks.UNSEEN, UNSEEN) else ""
    lost = state.error in (tasks.UNSEEN, UNSEEN)
    now = time.time_ns()
    ended_ns = now if state.active and state.pid else state.finished_ns
    facts = Facts(
        container.name,
        container.id,
        state.status,
        state.exit_code,
        fields["signal"] if not lost else 0,
        error=error,
        started=bool(state.started_ns),
        lasted=max(0.0, (ended_ns - state.started_ns) / 1e9),
        ended_ago=max(0.0, (now - state.finished_ns) / 1e9),
        lost=lost,
        rebooted=lost and fields["boot_id"] not in ("", task.boot_id()),
        oom_killed=state.oom_killed,
        memory_limit=options.resources.memory,
        pids_limit=max(0, options.resources.pids_limit),
        restart_count=state.restart_count,
        restart_policy=options.restart.name or "no",
        next_start=(state.next_start_ns - now) / 1e9,
        stop_signal=options.stop_signal or "SIGTERM",
        command=options.process_arguments(),
        init=options.init,
        own_processes=not options.namespaces.pid,
        user=options.user,
        numbers=(identity.uid, identity.gid) if identity else None,
        working_dir=options.working_dir,
        tty=options.streams.tty,
        open_stdin=options.streams.open_stdin,
        readonly=options.readonly,
        network=options.networking.mode,
        timeout=options.timeout,
        image=options.image,
        host_platform=str(host_platform()),
        log=_log(container),
    )
    return facts.replace(**_health(container, directory, state.health))


def _identity(container: Container) -> Identity | None:
    engine, row = container.engine, container.row
    stack = LayerRecords(engine.database).stack(row.chain)
    try:
        return find_identity(engine, stack, engine.paths.container(row.id), container.options)
    except (KnarrError, OSError):  # there is no such user: the error says so
        return None


def _log(container: Container) -> tuple[str, ...]:
    """Return the last lines of a log, none if its driver keeps none."""
    try:
        entries = [entry for entry in container.logs(LogOptions(tail=_LINES)) if entry]
    except (KnarrError, OSError):
        return ()
    text = "".join(entry.text for entry in entries)
    return tuple(_plain(line) for line in text.splitlines())


def _plain(line: str) -> str:
    """Return a line without what is for terminals alone."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]", "", line)


def _health(container: Container, directory: str, health: str) -> dict[str, Any]:
    check = container.options.healthcheck
    if check is None or not check.test or check.test[0] == "NONE":
        return {}
    document = task.read_health(directory) or {}
    results = document.get("Log") or [{}]
    output = str(results[-1].get("Output", ""))
    missing = _TOOL.search(output)
    return {
        "health": health,
        "probe": tuple(check.test),
        "probe_output": output,
        "probe_code": int(results[-1].get("ExitCode", 0)),
        "probe_tool_missing": (missing["a"] or missing["b"]) if missing else "",
        "failing_streak": int(document.get("FailingStreak", 0)),
        "health_action": container.options.health_on_failure or "none",
    }


def _network(engine: Engine, container_id: str, pid: int) -> dict[str, Any]:
    rows = PortRecords(engine.database).of(container_id)
    ports = tuple(
        Port(row.container_port, row.protocol, f"{row.host_ip}:{row.host_port}") for row in rows
    )
    if not ports:
        return {}
    found = sockets.listening(pid)
    heard = None if found is None else tuple((address, port) for address, port, _ in found)
    return {"ports": ports, "listening": heard}


def _holder(engine: Engine, error: str) -> str:
    """Return in words who has the port of the host that an error is about."""
    match = _PORT.search(error)
    if not match:
        return ""
    number = int(match["port"])
    for protocol in ("tcp", "udp", "sctp"):
        for row in PortRecords(engine.database).clashing(protocol, match["ip"], number):
            return f"the container {engine.containers.get(row.container).name}"
    return sockets.holder(number)


def _binds(container: Container) -> tuple[Bind, ...]:
    found = []
    for target, source in _sources(container).items():
        if source is None:
            continue
        try:
            status = os.stat(source)
            empty = os.path.isdir(source) and not os.listdir(source)
        except OSError:  # it is gone, or not ours to look at
            continue
        owner = (status.st_uid, status.st_gid)
        readonly = any(m.target == target and m.readonly for m in container.options.mounts)
        found.append(Bind(target, source, owner, status.st_mode & 0o7777, readonly, empty))
    return tuple(found)


def _sources(container: Container) -> dict[str, str | None]:
    """Return where on the host the user's mounts come from, by target; None for a tmpfs."""
    found: dict[str, str | None] = {}
    for mount in container.options.mounts:
        source: str | None = mount.source if mount.kind == "bind" else None
        if mount.kind == "volume" and mount.source:
            source = container.engine.volumes.path(mount.source)
        if source and mount.subpath:
            source = os.path.join(source, mount.subpath)
        found[mount.target] = source
    return found


def _full(container: Container, binds: tuple[Bind, ...]) -> tuple[str, ...]:
    """Return the places that a container writes to, and that have no room."""
    places = [f"{container.engine.paths.container(container.id)}/upper"]
    places += [bind.source for bind in binds if not bind.readonly]
    return tuple(place for place in places if _is_full(place))


def _is_full(place: str) -> bool:
    try:
        status = os.statvfs(place)
    except OSError:
        return False
    return bool(status.f_blocks) and (
        status.f_bavail == 0 or (bool(status.f_files) and status.f_favail == 0)
    )


def _program(container: Container, identity: Identity | None) -> Program:
    """Look at the program in the container's files."""
    options = container.options
    name = (options.process_arguments() or ("",))[0]
    known = identity or Identity()
    account = programs.Account(known.uid, (known.gid, *known.groups))
    path = next((e[5:] for e in options.env if e.startswith("PATH=")), _DEFAULT_PATH)
    try:
        with _tree(container) as tree:
            return programs.look(
                tree, name, search_path=path, working_dir=options.working_dir, account=account
            )
    except (KnarrError, OSError):  # cannot be looked into: what was said has to do
        return Program(name)


def _tree(container: Container) -> Tree:
    """Return the files of a container that does not run."""
    engine, row = container.engine, container.row
    stack = LayerRecords(engine.database).stack(row.chain)
    root_fd = engine.layers.mount(stack, active=engine.paths.container(row.id), readonly=True)
    return Tree(root_fd, _sources(container))
