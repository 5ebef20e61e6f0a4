"""knarr stats."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.output import FORMAT, NO_TRUNC, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.cli.command import Context, Options
    from knarr.cli.output import Row
    from knarr.engine.containers import Container
    from knarr.engine.resources.statistics import Sample

    Samples = dict[str, Sample | None]

COMMAND = Command(
    short="Display a live stream of container(s) resource usage statistics",
    usage="[OPTIONS] [CONTAINER...]",
    options=(
        Option("all", "Show all containers (default shows just running)", short="a"),
        FORMAT,
        Option("no-stream", "Disable streaming stats and only pull the first result"),
        NO_TRUNC,
    ),
    maximum=None,
    completes="running",
)
HEADERS = {
    "BlockIO": "BLOCK I/O",
    "CPUPerc": "CPU %",
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "MemPerc": "MEM %",
    "MemUsage": "MEM USAGE / LIMIT",
    "Name": "NAME",
    "NetIO": "NET I/O",
    "PIDs": "PIDS",
}
TABLE = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
INTERVAL = 1.0  # seconds between two lines, as Docker has it
FIRST_INTERVAL = 0.5  # long enough to tell how busy the processors are
HOME, CLEAR_LINE, CLEAR_REST = "\033[H", "\033[K", "\033[J"


def run(context: Context, options: Options, arguments: list[str]) -> int:
    import time  # noqa: PLC0415 - not for --help

    find = _chooser(context, arguments, every=options.flag("all"))
    known: Samples = {one.id: one.sample() for one in find()}
    time.sleep(FIRST_INTERVAL)
    if context.interactive and not options.flag("no-stream"):
        context.print(f"{HOME}{CLEAR_REST}", end="")
    try:
        while True:
            known = _show(context, options, find(), known)
            if options.flag("no-stream"):
                return 0
            time.sleep(INTERVAL)
    except KeyboardInterrupt:
        return 0


def _chooser(context: Context, names: list[str], *, every: bool) -> Callable[[], list[Container]]:
    """Return a function that finds the containers to show, each time anew."""
    containers = context.engine.containers
    if names:
        named = [containers.get(name) for name in names]
        return lambda: named
    return containers.all if every else containers.running


def _show(
    context: Context, options: Options, containers: list[Container], known: Samples
) -> Samples:
    """Print one table, and return the samples for the next one."""
    import io  # noqa: PLC0415 - not for --help

    from knarr.cli.output import show  # noqa: PLC0415

    samples = {one.id: one.sample() for one in containers}
    full = options.flag("no-trunc")
    rows = [_row(one, samples[one.id], known.get(one.id), full=full) for one in containers]
    live = context.interactive and not options.flag("no-stream")
    stdout = context.stdout
    if live:
        context.stdout = io.StringIO()
    try:
        show(context, Listing(HEADERS, TABLE), rows, options.text("format"))
        text = context.stdout.getvalue() if live else ""  # type: ignore[attr-defined] # as above
    finally:
        context.stdout = stdout
    if live:  # over the last one, without a moment of emptiness
        lines = text.replace("\n", f"{CLEAR_LINE}\n")
        stdout.write(f"{HOME}{lines}{CLEAR_REST}")
    context.stdout.flush()
    return samples


def _row(container: Container, now: Sample | None, before: Sample | None, *, full: bool) -> Row:
    from knarr.util.text import binary_size, human_size  # noqa: PLC0415 - not for --help

    cells = {
        "BlockIO": "--",
        "CPUPerc": "--",
        "Container": container.name,
        "ID": container.id if full else container.id[:12],
        "MemPerc": "--",
        "MemUsage": "-- / --",
        "Name": container.name,
        "NetIO": "--",
        "PIDs": "--",
    }
    if now is None:
        return cells

    def pair(one: int, other: int) -> str:
        return f"{human_size(one, precision=3)} / {human_size(other, precision=3)}"

    share = now.cpu_share(before) if before else 0.0
    return cells | {
        "BlockIO": pair(now.read, now.written),
        "CPUPerc": f"{share * 100:.2f}%",
        "MemPerc": f"{now.memory_share * 100:.2f}%",
        "MemUsage": f"{binary_size(now.memory)} / {binary_size(now.memory_limit)}",
        "NetIO": pair(now.received, now.sent),
        "PIDs": str(now.processes),
    }
