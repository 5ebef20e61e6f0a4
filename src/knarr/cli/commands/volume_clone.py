"""knarr volume clone."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Create a volume with the content of a volume or snapshot",
    usage="[OPTIONS] VOLUME[@SNAPSHOT] NEW_NAME",
    options=(
        Option("label", "Set metadata for the new volume", kind="list"),
        Option("pause", "Hold the containers that use the volume still meanwhile", short="p"),
    ),
    minimum=2,
    maximum=2,
    completes="volumes",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.options.environment import parse_pairs  # noqa: PLC0415 - not for --help
    from knarr.engine.volume.copies import clone  # noqa: PLC0415

    name, new_name = arguments
    labels = parse_pairs(options.texts("label"))
    made = clone(context.engine, name, new_name, labels=labels, pause=options.flag("pause"))
    context.print(made.name)
    return 0
