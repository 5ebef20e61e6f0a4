"""knarr volume import."""

from __future__ import annotations

from knarr.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Put the content of a tar archive into a volume",
    usage="VOLUME [file|-]",
    minimum=1,
    maximum=2,
    completes="volumes files",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.streams import open_input  # noqa: PLC0415 - not for --help
    from knarr.engine.volume.copies import import_archive  # noqa: PLC0415

    name, *sources = arguments
    with open_input("".join(sources)) as stream:
        import_archive(context.engine, name, stream)
    return 0
