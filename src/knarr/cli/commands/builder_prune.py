"""knarr builder prune."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove build cache",
    options=(
        Option("all", "Remove all build cache, also what images have too", short="a"),
        Option(
            "filter", 'Provide filter values (e.g. "until=24h")', kind="filter", metavar="filter"
        ),
        Option("force", "Do not prompt for confirmation", short="f"),
        Option("keep-storage", "Amount of disk space to keep for cache", kind="bytes"),
    ),
)
ALL = "This will remove all build cache."
UNUSED = "This will remove all dangling build cache."


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.confirm import confirmed  # noqa: PLC0415 - not for --help
    from knarr.engine.build.pruning import prune  # noqa: PLC0415 - as above
    from knarr.util.text import human_size  # noqa: PLC0415 - as above

    every = options.flag("all")
    if not options.flag("force") and not confirmed(context, ALL if every else UNUSED):
        return 0
    keep = options.number("keep-storage")
    keys, freed = prune(context.engine, options.texts("filter"), every=every, keep=keep)
    if keys:
        context.print("Deleted build cache objects:")
        for key in keys:
            context.print(key.removeprefix("sha256:"))
        context.print()
    context.print(f"Total reclaimed space: {human_size(freed)}")
    return 0
