"""knarr volume rename."""

from __future__ import annotations

from knarr.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Rename a volume that no container has",
    usage="VOLUME NEW_NAME",
    minimum=2,
    maximum=2,
    completes="volumes",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    name, new_name = arguments
    context.engine.volumes.rename(name, new_name)
    return 0
