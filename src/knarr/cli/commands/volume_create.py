"""knarr volume create."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Create a volume",
    usage="[OPTIONS] [VOLUME]",
    options=(
        Option("driver", "Specify volume driver name", kind="string", short="d",
               default="local", shown='"local"'),
        Option("label", "Set metadata for a volume", kind="list"),
        Option("opt", "Set driver specific options", kind="list", short="o", shown="map[]"),
        Option("name", "Specify volume name", kind="string", hidden=True),
    ),
    maximum=1,
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.options.environment import parse_pairs  # noqa: PLC0415 - not for --help
    from knarr.errors import InvalidArgument  # noqa: PLC0415 - not for --help

    name = options.text("name")
    if name and arguments:
        message = (
            "conflicting options: cannot specify a volume-name through both --name and as a "
            "positional arg"
        )
        raise InvalidArgument(message)
    volume = context.engine.volumes.create(
        name or "".join(arguments),
        driver=options.text("driver"),
        labels=parse_pairs(options.texts("label")),
        options=parse_pairs(options.texts("opt")),
    )
    context.print(volume.name)
    return 0
