"""knarr builder logs, knarr builder history logs."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from knarr.cli.command import Context, Options
    from knarr.engine.build.history.finding import Build
    from knarr.engine.build.history.logs import LogReader

COMMAND = Command(
    short="Show what the steps of a build printed",
    long=(
        "Show all that the steps of a build printed, or what one of them did. A build is "
        "the beginning of its ID, a directory, a name or a tag, without one the last; a step "
        "its number in the progress, the beginning of its cache record's ID, or words of it.\n"
        "What was found in the cache has the log of when it was done."
    ),
    usage="[OPTIONS] [BUILD] [STEP]",
    options=(
        Option("follow", "Follow the output of a build that runs", short="f"),
        Option("timestamps", "Show after how many seconds each line came", short="t"),
    ),
    minimum=0,
    maximum=2,
)
_AGAIN = 0.1


def run(context: Context, options: Options, arguments: list[str]) -> int:
    build, step = _find(context, arguments)
    if step:
        return _show_step(context, options, build, step)
    _show_build(context, options, build)
    return 0


def _find(context: Context, arguments: list[str]) -> tuple[Build, str]:
    """Return the build, and the step as it was given; a lone word may be either."""
    from knarr.engine.build.history.finding import find_step, get_build  # noqa: PLC0415
    from knarr.errors import NotFound  # noqa: PLC0415 - not for --help

    if len(arguments) != 1:
        return get_build(context.engine, *arguments[:1]), "".join(arguments[1:])
    try:
        return get_build(context.engine, arguments[0]), ""
    except NotFound as error:
        build = get_build(context.engine)
        try:
            find_step(build, arguments[0])
        except NotFound:
            raise error from None
        return build, arguments[0]


def _show_step(context: Context, options: Options, build: Build, text: str) -> int:
    """Show what one step printed, to the streams that it printed to."""
    import time  # noqa: PLC0415 - not for --help

    from knarr.engine.build.history.finding import find_step, log_path  # noqa: PLC0415

    step = find_step(build, text)
    reader = _open(log_path(context.engine, build, step))
    while reader is not None:
        for piece in reader.take():
            data = piece.data
            if options.flag("timestamps"):
                mark = b"%.3f " % piece.seconds
                data = b"".join(mark + line for line in data.splitlines(keepends=True))
            stream = context.stdout if piece.stream == 1 else context.stderr
            stream.flush()
            stream.buffer.write(data)
            stream.buffer.flush()
        if reader.ended or not (options.flag("follow") and build.status == "running"):
            reader.close()
            break
        time.sleep(_AGAIN)
    return 0


def _open(path: str) -> LogReader | None:
    from knarr.engine.build.history.logs import LogReader  # noqa: PLC0415 - not for --help

    try:
        return LogReader(path)
    except FileNotFoundError:
        return None


def _show_build(context: Context, options: Options, build: Build) -> None:
    """Show all steps in the form of `--progress plain`."""
    import time  # noqa: PLC0415 - not for --help

    from knarr.engine.build.history.finding import get_build  # noqa: PLC0415

    writer = _Plain(context)
    while True:
        running = build.status == "running"
        for step in build.steps:
            writer.show(build, step)
        if not (running and options.flag("follow")):
            return
        time.sleep(_AGAIN)
        build = get_build(context.engine, build.run.id)


class _Plain:
    """Writes the logs of steps as they come."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._readers: dict[int, LogReader] = {}
        self._ended: set[int] = set()
        self._last = 0
        self._partial: dict[int, bytes] = {}

    def show(self, build: Build, step: Mapping[str, Any]) -> None:
        """Write what is new of a step."""
        from knarr.engine.build.history.finding import log_path  # noqa: PLC0415 - not for --help

        number = step.get("number", 0)
        if not number or number in self._ended:
            return
        if number not in self._readers:
            reader = _open(log_path(self._context.engine, build, step))
            if reader is None:
                self._end(number, step)
                return
            self._readers[number] = reader
        reader = self._readers[number]
        for piece in reader.take():
            self._write(number, step["name"], piece.seconds, piece.data)
        if reader.ended:
            reader.close()
            self._end(number, step)

    def _write(self, number: int, name: str, seconds: float, data: bytes) -> None:
        *lines, self._partial[number] = (self._partial.get(number, b"") + data).split(b"\n")
        for line in lines:
            self._turn_to(number, name)
            text = line.decode("utf-8", "replace").rstrip("\r")
            self._context.print(f"#{number} {seconds:.3f} {text}".rstrip())

    def _end(self, number: int, step: Mapping[str, Any]) -> None:
        if step["state"] in ("running", "waiting"):
            return
        self._ended.add(number)
        if self._partial.get(number):
            self._write(number, step["name"], 0.0, b"\n")
        self._turn_to(number, step["name"])
        seconds = (step["ended_ns"] - step["started_ns"]) / 1e9
        state = {"cached": "CACHED", "done": f"DONE {seconds:.1f}s", "error": "ERROR"}
        self._context.print(f"#{number} {state.get(step['state'], 'CANCELED')}")

    def _turn_to(self, number: int, name: str) -> None:
        if self._last != number:
            if self._last:
                self._context.print()
            self._context.print(f"#{number} {name}")
            self._last = number
