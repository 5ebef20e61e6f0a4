"""knarr kill."""

from __future__ import annotations

from knarr.cli.command import Command, Option, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Kill one or more running containers",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    options=(
        Option(
            "signal", "Signal to send to the container", kind="string", short="s",
            default="KILL", shown='"KILL"',
        ),
    ),
    minimum=1,
    maximum=None,
    completes="running",
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:
    signal = options.text("signal")
    containers = context.engine.containers
    return each(context, arguments, lambda name: containers.get(name).kill(signal))
