"""knarr wait."""

from __future__ import annotations

from knarr.cli.command import Command, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Block until one or more containers stop, then print their exit codes",
    usage="CONTAINER [CONTAINER...]",
    minimum=1,
    maximum=None,
    completes="running",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    return each(context, arguments, lambda name: _wait(context, name), echo=False)


def _wait(context: Context, name: str) -> None:
    context.print(str(context.engine.containers.get(name).wait()))
