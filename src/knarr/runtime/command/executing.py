"""`exec`, `kill`, `pause`, `resume` and `update`: what is done to a container that runs."""

from __future__ import annotations

import os
import sys

from knarr.errors import Conflict, InvalidArgument
from knarr.runtime import cgroups, lifecycle
from knarr.runtime.command import sockets, state
from knarr.runtime.command.arguments import UPDATES
from knarr.runtime.command.creating import FILTERS, preserved, read_spec
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any

    from knarr.runtime.cgroups import Cgroup
    from knarr.runtime.command.arguments import Options
else:
    import _signal


def execute_in(root: str, arguments: list[str], options: Options) -> int:
    """Carry out `exec`; return the status of the process, or 0 with --detach."""
    from knarr.runtime import shield  # noqa: PLC0415 - for this command alone
    from knarr.runtime.exec import Manner, execute  # noqa: PLC0415

    shield.take_cover()  # hostile processes may be waiting inside
    container = state.read(root, arguments[0])
    status = container.require(state.RUNNING, state.CREATED, state.PAUSED)
    if status == state.PAUSED and not options.flag("ignore-paused"):
        message = "cannot exec in a paused container"
        raise Conflict(message, hint="--ignore-paused waits until it is resumed.")
    process_spec = plan_process(container, arguments[1:], options)
    detached = options.flag("detach")
    terminal = bool(process_spec.get("terminal"))
    if detached or options.text("console-socket"):
        sockets.check_console(options, terminal=terminal, detached=detached)
    waiting = None
    if not detached:
        from knarr.runtime.command.foreground import Foreground  # noqa: PLC0415

        waiting = Foreground(subreaper=False)
    manner = Manner(cache_dir=f"{root}/{FILTERS}")
    manner.preserve_fds = preserved(options, process_spec)
    chosen = options.texts("cgroup")
    manner.group, manner.follow_init = below(container.group, chosen), not chosen
    manner.state = container.shown()
    manner.keep_line_feeds = not detached
    manner.note, manner.debug = options.note, options.debug
    running = execute(container.pid, process_spec, container.spec, manner)
    sockets.hand_out(options, running.pid, running.pidfd, running.master_fd)
    if waiting is None:
        return 0
    return waiting.wait(running.pid, running.pidfd, running.master_fd)


def plan_process(container: state.State, words: list[str], options: Options) -> dict[str, Any]:
    """Return the process to execute: that of the spec, changed by the options.

    Raises: InvalidArgument
    """
    path = options.text("process")
    if path:
        return read_spec(path)
    if not words:
        message = "process args cannot be empty"
        raise InvalidArgument(message)
    planned = dict(container.spec["process"])
    planned["args"] = words
    planned["terminal"] = options.flag("tty")
    if "cwd" in options:
        planned["cwd"] = options.text("cwd")
    planned["env"] = [*(planned.get("env") or []), *options.texts("env")]
    if "no-new-privs" in options:
        planned["noNewPrivileges"] = options.flag("no-new-privs")
    if "apparmor" in options:
        planned["apparmorProfile"] = options.text("apparmor")
    if "process-label" in options:
        planned["selinuxLabel"] = options.text("process-label")
    _add_capabilities(planned, options.texts("cap"))
    _set_user(planned, options)
    return planned


def _add_capabilities(planned: dict[str, Any], names: list[str]) -> None:
    """Add capabilities to all sets but the ambient one, where they must be inheritable too."""
    if not names:
        return
    given = {key: list(value or []) for key, value in (planned.get("capabilities") or {}).items()}
    for name in names:
        for key in ("bounding", "effective", "permitted"):
            given.setdefault(key, []).append(name)
        if given.get("inheritable"):
            given["inheritable"].append(name)
            given.setdefault("ambient", []).append(name)
    planned["capabilities"] = given


def _set_user(planned: dict[str, Any], options: Options) -> None:
    user = dict(planned.get("user") or {})
    if "user" in options:
        uid, colon, gid = options.text("user").partition(":")
        user["uid"] = _number(uid, "user")
        if colon:
            user["gid"] = _number(gid, "user")
    groups = options.texts("additional-gids")
    if groups:
        given = [_number(group, "additional-gids") for group in groups]
        user["additionalGids"] = [*(user.get("additionalGids") or []), *given]
    planned["user"] = user


def _number(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError:
        message = f'invalid value "{text}" for option --{option}: not a number'
        raise InvalidArgument(message) from None


def below(group: Cgroup, words: list[str]) -> Cgroup:
    """Return the cgroup for an exec with `--cgroup [controller,…:]path`, below the container's.

    Raises: InvalidArgument
    """
    places = [
        cgroups.Place(place.version, place.controllers, place.directory, place.root)
        for place in group.places
    ]
    for word in words:
        controllers, colon, path = word.rpartition(":")
        if ".." in path.split("/"):
            message = f"bad sub cgroup path: {path} leads upwards"
            raise InvalidArgument(message)
        chosen = controllers.split(",") if colon else []
        found = [
            place
            for place in places
            if not chosen
            or set(chosen) & {name.removeprefix("name=") for name in place.controllers}
        ]
        if not found:
            message = f"unknown controller {controllers} in --cgroup {word}"
            raise InvalidArgument(message)
        for place in found:
            place.directory = os.path.normpath(f"{place.directory}/{path}")
            if not os.path.isdir(place.directory):
                message = f"exec: adding pid to cgroup {place.directory}: no such file or directory"
                raise InvalidArgument(message)
    return cgroups.Cgroup(places)


def kill_container(root: str, arguments: list[str], *, everyone: bool) -> None:
    """Carry out `kill`.

    Raises: NotFound, Conflict, InvalidArgument
    """
    container = state.read(root, arguments[0])
    number = parse_signal(arguments[1] if len(arguments) > 1 else "TERM")
    if everyone:
        lifecycle.kill_group(container.group, number)
        return
    shares = all(n["type"] != "pid" for n in container.spec["linux"].get("namespaces") or ())
    if number == _signal.SIGKILL and shares:
        # No process is init to the others there: they live on without the one called so.
        if not lifecycle.processes(container.group):
            container.require(state.CREATED, state.RUNNING, state.PAUSED)
        lifecycle.kill_group(container.group, number)
        return
    container.require(state.CREATED, state.RUNNING, state.PAUSED)
    lifecycle.signal_process(container.pid, number)


def parse_signal(text: str) -> int:
    """Return the number of a signal given as number or name, with or without SIG.

    Raises: InvalidArgument
    """
    if text.isdigit() and int(text) <= 64:
        return int(text)
    name = text.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    number = getattr(_signal, name, None)
    if isinstance(number, int) and not name.startswith("SIG_"):
        return number
    if name.startswith(("SIGRTMIN+", "SIGRTMAX-")) and name[9:].isdigit():
        first = name.startswith("SIGRTMIN")
        offset = int(name[9:])
        return _signal.SIGRTMIN + offset if first else _signal.SIGRTMAX - offset
    message = f'unknown signal "{text}"'
    raise InvalidArgument(message)


def pause(root: str, container_id: str) -> None:
    """Carry out `pause`.

    Raises: Conflict
    """
    container = state.read(root, container_id)
    container.require(state.RUNNING, state.CREATED)
    lifecycle.pause(container.group)


def resume(root: str, container_id: str) -> None:
    """Carry out `resume`.

    Raises: Conflict
    """
    container = state.read(root, container_id)
    if container.status() != state.PAUSED:
        message = "container not paused"
        raise Conflict(message)
    lifecycle.resume(container.group)


def update(root: str, container_id: str, options: Options) -> None:
    """Carry out `update`.

    Raises: Conflict, InvalidArgument, Unsupported
    """
    container = state.read(root, container_id)
    container.require(state.RUNNING, state.CREATED, state.PAUSED)
    path = options.text("resources")
    resources: dict[str, Any] = {}
    if path == "-":
        resources = jsontext.loads(sys.stdin.buffer.read())
    elif path:
        resources = read_spec(path)
    else:
        for option, (part, key) in UPDATES.items():
            if option in options:
                text = options.text(option)
                value = text if option.startswith("cpuset") else parse_size(text, option)
                resources.setdefault(part, {})[key] = value
    lifecycle.update(container.group, resources)


_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(text: str, option: str) -> int:
    """Return a number that may have a unit: 64m.

    Raises: InvalidArgument
    """
    digits = text.rstrip("bBkKmMgGtTiI")
    unit = text[len(digits) :].lower().replace("ib", "").removesuffix("b")
    try:
        return int(digits) * _UNITS[unit]
    except (ValueError, KeyError):
        message = f'invalid value "{text}" for option --{option}'
        raise InvalidArgument(message) from None
