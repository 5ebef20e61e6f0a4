"""knarr volume restore."""

from __future__ import annotations

from knarr.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Give a volume the content of its snapshot",
    usage="VOLUME@SNAPSHOT",
    minimum=1,
    maximum=1,
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.engine.volume.copies import restore  # noqa: PLC0415 - not for --help

    restore(context.engine, arguments[0])
    return 0
