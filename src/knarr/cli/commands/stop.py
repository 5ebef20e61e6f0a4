"""knarr stop."""

from __future__ import annotations

from knarr.cli.command import Command, Option, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

STOP_OPTIONS = (
    Option("signal", "Signal to send to the container", kind="string", short="s"),
    Option(
        "timeout", "Seconds to wait before killing the container", kind="int", short="t",
        aliases=("time",),
    ),
)  # fmt: skip
COMMAND = Command(
    short="Stop one or more running containers",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    options=STOP_OPTIONS,
    minimum=1,
    maximum=None,
    completes="running",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    return each(context, arguments, lambda name: _stop(context, options, name))


def timeout_of(options: Options) -> float | None:
    """Return the seconds that `--timeout` gives, None if it is not there."""
    return float(options.number("timeout")) if options.given("timeout") else None


def _stop(context: Context, options: Options, name: str) -> None:
    from knarr.errors import NotModified  # noqa: PLC0415 - the command table does without

    container = context.engine.containers.get(name)
    try:
        container.stop(timeout=timeout_of(options), signal=options.text("signal"))
    except NotModified:  # as wanted
        pass
