"""knarr export."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Export a container's filesystem as a tar archive",
    usage="[OPTIONS] CONTAINER",
    options=(
        Option(
            "output", "Write to a file, instead of STDOUT", kind="string", short="o",
            completes="files",
        ),
    ),
    minimum=1,
    maximum=1,
    completes="containers",
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli.streams import Output  # noqa: PLC0415 - not for --help
    from knarr.engine.changes import export  # noqa: PLC0415

    container = context.engine.containers.get(arguments[0])
    with Output(context, options.text("output")) as output:
        export(container, output)
    return 0
