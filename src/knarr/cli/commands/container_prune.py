"""knarr container prune."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.pruning import DRY_RUN, report, report_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove all stopped containers",
    options=(
        DRY_RUN,
        Option(
            "filter", 'Provide filter values (e.g. "until=<timestamp>")', kind="filter",
            metavar="filter",
        ),
        Option("force", "Do not prompt for confirmation", short="f"),
    ),
)  # fmt: skip
WARNING = "This will remove all stopped containers."


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.confirm import confirmed  # noqa: PLC0415 - not for --help
    from knarr.engine.container.pruning import prune  # noqa: PLC0415 - as above

    dry_run = options.flag("dry-run")
    if not (dry_run or options.flag("force") or confirmed(context, WARNING)):
        return 0
    removed, freed = prune(context.engine, options.texts("filter"), dry_run=dry_run)
    report(context, "Containers", removed, dry_run=dry_run)
    report_size(context, freed, dry_run=dry_run)
    return 0
