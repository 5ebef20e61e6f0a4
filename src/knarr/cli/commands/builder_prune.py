"""knarr builder prune."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.pruning import DRY_RUN, report, report_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove build cache",
    options=(
        Option("all", "Remove all build cache, also what images have too", short="a"),
        DRY_RUN,
        Option(
            "filter", 'Provide filter values (e.g. "until=24h")', kind="filter", metavar="filter"
        ),
        Option("force", "Do not prompt for confirmation", short="f"),
        Option("keep-storage", "Amount of disk space to keep for cache", kind="bytes"),
        Option("max-used-space", "Maximum amount of disk space for cache to take", kind="bytes"),
        Option("min-free-space", "Amount of disk space to be free afterwards", kind="bytes"),
        Option(
            "reserved-space", "Amount of disk space that the cache may always take", kind="bytes"
        ),
    ),
)
ALL = "This will remove all build cache."
UNUSED = "This will remove all dangling build cache."


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.confirm import confirmed  # noqa: PLC0415 - not for --help
    from knarr.engine.build.pruning import allowance, prune  # noqa: PLC0415 - as above

    every = options.flag("all")
    dry_run = options.flag("dry-run")
    warning = ALL if every else UNUSED
    if not (dry_run or options.flag("force") or confirmed(context, warning)):
        return 0
    keep = allowance(
        context.engine,
        most=options.number("max-used-space"),
        # Two names of one thing: buildx has given up the first.
        reserved=max(options.number("keep-storage"), options.number("reserved-space")),
        free=options.number("min-free-space"),
    )
    filters = options.texts("filter")
    keys, freed = prune(context.engine, filters, every=every, keep=keep, dry_run=dry_run)
    lines = [key.removeprefix("sha256:") for key in keys]
    report(context, "build cache objects", lines, dry_run=dry_run)
    report_size(context, freed, dry_run=dry_run)
    return 0
