"""knarr network prune."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.pruning import DRY_RUN, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove all unused networks",
    options=(
        DRY_RUN,
        Option(
            "filter", 'Provide filter values (e.g. "until=<timestamp>")', kind="filter",
            metavar="filter",
        ),
        Option("force", "Do not prompt for confirmation", short="f"),
    ),
)  # fmt: skip
WARNING = "This will remove all custom networks not used by at least one container."


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.confirm import confirmed  # noqa: PLC0415 - not for --help

    dry_run = options.flag("dry-run")
    if not (dry_run or options.flag("force") or confirmed(context, WARNING)):
        return 0
    removed = context.engine.networks.prune(options.texts("filter"), dry_run=dry_run)
    report(context, "Networks", [network.name for network in removed], dry_run=dry_run)
    return 0
