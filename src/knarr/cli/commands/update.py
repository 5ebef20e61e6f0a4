"""knarr update."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.createflags import LIMITS, RECORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

NAMES = frozenset((
    "blkio-weight", "cpu-period", "cpu-quota", "cpu-rt-period", "cpu-rt-runtime", "cpu-shares",
    "cpus", "cpuset-cpus", "cpuset-mems", "memory", "memory-reservation", "memory-swap",
    "pids-limit",
))  # fmt: skip
RESTART = next(option for option in RECORD if option.name == "restart")

COMMAND = Command(
    short="Update configuration of one or more containers",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    options=(
        *(option for option in LIMITS if option.name in NAMES),
        RESTART.replace(default="", shown=""),
    ),
    minimum=1,
    maximum=None,
    completes="containers",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli.command import each  # noqa: PLC0415 - not for --help
    from knarr.cli.limiting import given_limits  # noqa: PLC0415
    from knarr.errors import InvalidArgument  # noqa: PLC0415

    restart = None
    if options.given("restart"):
        from knarr.engine.options.restart import parse_restart  # noqa: PLC0415 - for who asks

        restart = parse_restart(options.text("restart"))
    limits = given_limits(options)
    if not limits and restart is None:
        message = "you must provide one or more flags when using this command"
        raise InvalidArgument(message)

    def update(name: str) -> None:
        warnings = context.engine.containers.get(name).update(limits, restart=restart)
        for words in warnings:
            context.warn(f"WARNING: {words}")

    return each(context, arguments, update)
