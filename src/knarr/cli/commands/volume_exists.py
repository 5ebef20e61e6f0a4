"""knarr volume exists."""

from __future__ import annotations

from knarr.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Tell by the exit status whether a volume exists",
    usage="VOLUME",
    minimum=1,
    maximum=1,
    completes="volumes",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    return 0 if context.engine.volumes.find(arguments[0]) else 1
