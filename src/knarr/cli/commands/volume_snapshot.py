"""knarr volume snapshot."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Keep the content of a volume as it is now",
    usage="[OPTIONS] VOLUME[@SNAPSHOT]",
    options=(
        Option("label", "Set metadata for the snapshot", kind="list"),
        Option("pause", "Hold the containers that use the volume still meanwhile", short="p"),
    ),
    minimum=1,
    maximum=1,
    completes="volumes",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.options.environment import parse_pairs  # noqa: PLC0415 - not for --help
    from knarr.engine.volume.copies import snapshot  # noqa: PLC0415

    labels = parse_pairs(options.texts("label"))
    made = snapshot(context.engine, arguments[0], labels=labels, pause=options.flag("pause"))
    context.print(made.name)
    return 0
