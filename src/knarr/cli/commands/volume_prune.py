"""knarr volume prune."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.pruning import DRY_RUN, report, report_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove unused local volumes",
    options=(
        Option("all", "Remove all unused volumes, not just anonymous ones", short="a"),
        DRY_RUN,
        Option(
            "filter", 'Provide filter values (e.g. "label=<label>")', kind="filter",
            metavar="filter",
        ),
        Option("force", "Do not prompt for confirmation", short="f"),
    ),
)  # fmt: skip
WARNING = "This will remove {}local volumes not used by at least one container."


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.confirm import confirmed  # noqa: PLC0415 - not for --help

    every = options.flag("all")
    warning = WARNING.format("all " if every else "anonymous ")
    dry_run = options.flag("dry-run")
    if not (dry_run or options.flag("force") or confirmed(context, warning)):
        return 0
    volumes, filters = context.engine.volumes, options.texts("filter")
    removed, freed = volumes.prune(filters, every=every, dry_run=dry_run)
    report(context, "Volumes", removed, dry_run=dry_run)
    report_size(context, freed, dry_run=dry_run)
    return 0
