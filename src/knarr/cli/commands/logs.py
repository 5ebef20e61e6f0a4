"""knarr logs."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Fetch the logs of a container",
    usage="[OPTIONS] CONTAINER",
    options=(
        Option("details", "Show extra details provided to logs"),
        Option("follow", "Follow log output", short="f"),
        Option(
            "since",
            'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for '
            "42 minutes)",
            kind="string",
        ),
        Option(
            "tail",
            "Number of lines to show from the end of the logs",
            kind="string",
            short="n",
            default="all",
            shown='"all"',
        ),
        Option("timestamps", "Show timestamps", short="t"),
        Option(
            "until",
            'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" '
            "for 42 minutes)",
            kind="string",
        ),
    ),
    minimum=1,
    maximum=1,
    completes="containers",
)
BATCH = 64 << 10


def run(context: Context, options: Options, arguments: list[str]) -> int:
    import time  # noqa: PLC0415 - not for --help

    from knarr.engine.attach import write  # noqa: PLC0415
    from knarr.engine.logs import LogOptions, Renderer, read  # noqa: PLC0415
    from knarr.util.times import parse_when  # noqa: PLC0415

    now_ns = time.time_ns()
    since, until = options.text("since"), options.text("until")
    wanted = LogOptions(
        _tail(options.text("tail")),
        parse_when(since, now_ns=now_ns) if since else 0,
        parse_when(until, now_ns=now_ns) if until else None,
        options.flag("follow"),
    )
    container = context.engine.containers.get(arguments[0])
    renderer = Renderer(timestamps=options.flag("timestamps"), details=options.flag("details"))
    pending, stream = b"", 1
    for entry in read(container, wanted):
        if entry is None or entry.stream != stream or len(pending) > BATCH:
            write(stream, pending)
            pending = b""
        if entry is not None:
            stream = entry.stream
            pending += renderer.render(entry)
    write(stream, pending)
    return 0


def _tail(text: str) -> int | None:
    """Return a number of lines; Docker takes everything that is none for all."""
    digits = text.removeprefix("+")
    return int(digits) if digits.isascii() and digits.isdecimal() else None
