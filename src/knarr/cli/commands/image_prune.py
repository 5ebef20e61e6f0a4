"""knarr image prune."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.pruning import DRY_RUN, report, report_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove unused images",
    options=(
        Option("all", "Remove all unused images, not just dangling ones", short="a"),
        DRY_RUN,
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

    every = options.flag("all")
    dry_run = options.flag("dry-run")
    if not (dry_run or options.flag("force") or confirmed(context, ALL if every else DANGLING)):
        return 0
    pruned = context.engine.images.prune(options.texts("filter"), every=every, dry_run=dry_run)
    report(context, "Images", map(str, pruned.removed), dry_run=dry_run)
    report_size(context, pruned.freed, dry_run=dry_run)
    return 0
