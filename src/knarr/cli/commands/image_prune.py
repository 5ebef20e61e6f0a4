"""knarr image prune."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove unused images",
    options=(
        Option("all", "Remove all unused images, not just dangling ones", short="a"),
        Option(
            "filter", 'Provide filter values (e.g. "until=<timestamp>")', kind="filter",
            metavar="filter",
        ),
        Option("force", "Do not prompt for confirmation", short="f"),
    ),
)  # fmt: skip
ALL = "This will remove all images without at least one container associated to them."
DANGLING = "This will remove all dangling images."


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.confirm import confirmed  # noqa: PLC0415 - not for --help
    from knarr.util.text import human_size  # noqa: PLC0415

    every = options.flag("all")
    if not options.flag("force") and not confirmed(context, ALL if every else DANGLING):
        return 0
    pruned = context.engine.images.prune(options.texts("filter"), every=every)
    if pruned.removed:
        context.print("Deleted Images:")
        for one in pruned.removed:
            context.print(
                f"untagged: {one.untagged}" if one.untagged else f"deleted: {one.deleted}"
            )
        context.print()
    context.print(f"Total reclaimed space: {human_size(pruned.freed)}")
    return 0
