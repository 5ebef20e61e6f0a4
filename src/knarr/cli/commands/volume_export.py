"""knarr volume export."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Export the content of a volume or snapshot as a tar archive",
    usage="[OPTIONS] VOLUME[@SNAPSHOT]",
    options=(
        Option("compression", "Compress the archive (none, gzip, zstd)", kind="string",
               completes="none gzip zstd"),
        Option("output", "Write to a file, instead of STDOUT", kind="string", short="o",
               completes="files"),
        Option("pause", "Hold the containers that use the volume still meanwhile", short="p"),
    ),
    minimum=1,
    maximum=1,
    completes="volumes",
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli.streams import Output, compressed  # noqa: PLC0415 - not for --help
    from knarr.engine.volume.copies import export  # noqa: PLC0415

    name, pause = arguments[0], options.flag("pause")
    context.engine.volumes.get(name)
    with Output(context, options.text("output")) as output:
        compressed(
            output,
            options.text("compression"),
            lambda out: export(context.engine, name, out, pause=pause),
        )
    return 0
