"""knarr restart."""

from __future__ import annotations

from knarr.cli.command import Command, each
from knarr.cli.commands.stop import STOP_OPTIONS, timeout_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Restart one or more containers",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    options=STOP_OPTIONS,
    minimum=1,
    maximum=None,
    completes="containers",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    timeout, signal = timeout_of(options), options.text("signal")
    containers = context.engine.containers
    return each(
        context,
        arguments,
        lambda name: containers.get(name).restart(timeout=timeout, signal=signal),
    )
