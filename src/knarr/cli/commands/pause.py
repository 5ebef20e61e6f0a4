"""knarr pause."""

from __future__ import annotations

from knarr.cli.command import Command, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Pause all processes within one or more containers",
    usage="CONTAINER [CONTAINER...]",
    minimum=1,
    maximum=None,
    completes="running",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    containers = context.engine.containers
    return each(context, arguments, lambda name: containers.get(name).pause())
