"""`state`, `list`, `ps`, `events`, `features` and `spec`: what is printed."""

from __future__ import annotations

import os
import sys
import time

from knarr.errors import Conflict, Failed, InvalidArgument, NotFound
from knarr.runtime import lifecycle, members
from knarr.runtime.command import arguments, state
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.runtime.command.arguments import Options


_GLANCE = 0.25  # seconds between looks at whether memory ran out, or the container ended


def show(value: object) -> None:
    """Print a value as JSON for people."""
    sys.stdout.write(jsontext.pretty(value, "  ") + "\n")


def show_line(value: object) -> None:
    """Print a value as a line of JSON."""
    sys.stdout.write(jsontext.dumps(value) + "\n")


def show_state(root: str, container_id: str) -> None:
    """Carry out `state`."""
    show(state.read(root, container_id).shown())


def show_list(root: str, options: Options) -> None:
    """Carry out `list`.

    Raises: NotFound
    """
    if not os.path.isdir(root) and root != arguments.DEFAULT_ROOT:
        message = f"there is no directory {root}"
        raise NotFound(message)
    shown = [container.shown() for container in state.read_all(root)]
    form = options.text("format", "table")
    if options.flag("quiet"):
        sys.stdout.write("".join(f"{entry['id']}\n" for entry in shown))
    elif form == "json":
        show_line(shown)
    elif form == "table":
        rows: list[tuple[str, ...]] = [("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")]
        for entry in shown:
            keys = ("id", "pid", "status", "bundle", "created", "owner")
            rows.append(tuple(str(entry[key]) for key in keys))
        show_table(rows)
    else:
        refuse_format(form)


def refuse_format(form: str) -> None:
    """Raise for what is no format.

    Raises: InvalidArgument
    """
    message = f"invalid format option: {form}"
    raise InvalidArgument(message, hint="It is table or json.")


def show_table(rows: list[tuple[str, ...]]) -> None:
    """Print columns, each as wide as its widest entry and at least as wide as a tabulator."""
    widths = [max(12, *(len(row[at]) + 3 for row in rows)) for at in range(len(rows[0]))]
    for row in rows:
        line = "".join(word.ljust(width) for word, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")


def show_processes(root: str, words: list[str], options: Options) -> None:
    """Carry out `ps`: the lines of ps(1) that are about the container's processes.

    Raises: Conflict, Failed
    """
    container = state.read(root, words[0])
    pids = lifecycle.processes(container.group)
    form = options.text("format", "table")
    if form == "json":
        show_line(pids)
        return
    if form != "table":
        refuse_format(form)
    import subprocess  # noqa: PLC0415 - for this command alone

    command = ["ps", *(words[1:] or ["-ef"])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        message = "ps is not installed"
        raise Failed(message, hint="--format json needs no ps.") from error
    if done.returncode:
        message = f"{' '.join(command)}: {done.stderr.strip()}"
        raise Failed(message)
    header, *lines = done.stdout.splitlines()
    titles = header.split()
    if "PID" not in titles:
        message = "couldn't find PID field in ps output"
        raise InvalidArgument(message)
    column = titles.index("PID")
    sys.stdout.write(f"{header}\n")
    wanted = set(map(str, pids))
    for line in lines:
        fields = line.split()
        if len(fields) > column and fields[column] in wanted:
            sys.stdout.write(f"{line}\n")


def show_events(root: str, container_id: str, options: Options) -> None:
    """Carry out `events`: what is used, once or again and again until the container ends.

    Raises: Conflict
    """
    from knarr.runtime.stats import read_stats  # noqa: PLC0415 - for this command alone

    container = state.read(root, container_id)
    once = options.flag("stats")
    if container.status() == state.STOPPED:
        message = f"container with id {container_id} is not running"
        raise Conflict(message)
    interval = parse_duration(options.text("interval", "5s"))
    group, killed = container.group, members.oom_kills(container.group)
    due = 0.0
    while container.alive:
        now = members.oom_kills(group)
        for _ in range(killed, now):
            show_line({"type": "oom", "id": container_id})
        killed = now
        if time.monotonic() >= due:
            event: dict[str, Any] = {"type": "stats", "id": container_id, "data": read_stats(group)}
            show_line(event)
            if once:
                return
            due = time.monotonic() + interval
        sys.stdout.flush()
        time.sleep(min(interval, _GLANCE))


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `100ms` or `5s`.

    Raises: InvalidArgument
    """
    for unit, seconds in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        if text.endswith(unit):
            try:
                value = float(text.removesuffix(unit)) * seconds
            except ValueError:
                break
            if value > 0:
                return value
            break
    message = f'duration interval must be greater than 0, not "{text}"'
    raise InvalidArgument(message)


def show_features() -> None:
    """Carry out `features`: what this runtime knows, whatever this kernel does."""
    from knarr.linux import capabilities, namespaces, scheduling  # noqa: PLC0415 - for this command alone
    from knarr.runtime import hooks  # noqa: PLC0415
    from knarr.runtime.filtering import compiler, filters, rules  # noqa: PLC0415
    from knarr.runtime.steps import options  # noqa: PLC0415

    mount_options = {
        *options.ATTRIBUTES,
        *(f"r{name}" for name in options.ATTRIBUTES if name != "defaults"),
        *options.PROPAGATION,
        *options.SUPERBLOCK,
        *options.IGNORED,
        "bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap",
    }  # fmt: skip
    show(
        {
            "ociVersionMin": "1.0.0",
            "ociVersionMax": "1.3.0",
            "hooks": list(hooks.MOMENTS),
            "mountOptions": sorted(mount_options),
            "linux": {
                "namespaces": sorted(namespaces.FLAGS),
                "capabilities": list(capabilities.NAMES),
                "cgroup": {
                    "v1": True,
                    "v2": True,
                    "systemd": True,
                    "systemdUser": False,
                    "rdma": True,
                },
                "seccomp": {
                    "enabled": True,
                    "actions": sorted(rules.ACTIONS),
                    "operators": sorted(rules.OPERATORS),
                    "archs": sorted(compiler.ARCHITECTURES),
                    "knownFlags": sorted(filters.FLAGS),
                    "supportedFlags": sorted(filters.FLAGS),
                },
                "apparmor": {"enabled": True},
                "selinux": {"enabled": True},
                "intelRdt": {"enabled": False},
                "mountExtensions": {"idmap": {"enabled": True}},
                "netDevices": {"enabled": True},
                "memoryPolicy": {
                    "modes": sorted(scheduling.MEMORY_MODES),
                    "flags": sorted(scheduling.MEMORY_FLAGS),
                },
            },
        }
    )


def write_spec(options: Options) -> None:
    """Carry out `spec`: a config.json that runs a shell.

    Raises: Conflict
    """
    from knarr.linux import cgroup  # noqa: PLC0415 - for this command alone
    from knarr.runtime.command.default_spec import default_spec  # noqa: PLC0415 - for it alone

    spec = default_spec(rootless=options.flag("rootless"), unified=cgroup.is_unified())
    path = os.path.join(options.text("bundle", "."), "config.json")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError as error:
        message = f"file {path} exists. Remove it first"
        raise Conflict(message) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(jsontext.pretty(spec, "\t"))
