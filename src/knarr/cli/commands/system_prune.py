"""knarr system prune."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.pruning import DRY_RUN, report, report_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove unused data",
    options=(
        Option("all", "Remove all unused images not just dangling ones", short="a"),
        DRY_RUN,
        Option(
            "filter", 'Provide filter values (e.g. "until=<timestamp>")', kind="filter",
            metavar="filter",
        ),
        Option("force", "Do not prompt for confirmation", short="f"),
        Option("volumes", "Prune anonymous volumes"),
    ),
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.confirm import confirmed  # noqa: PLC0415 - not for --help
    from knarr.engine.space.pruning import Pruning, prune  # noqa: PLC0415 - as above
    from knarr.errors import InvalidArgument  # noqa: PLC0415 - as above

    filters, volumes = options.texts("filter"), options.flag("volumes")
    if volumes and any(text.startswith("until=") for text in filters):
        message = 'the "until" filter is not supported with "--volumes"'
        raise InvalidArgument(message)
    every, dry_run = options.flag("all"), options.flag("dry-run")
    warning = _warning(every=every, volumes=volumes)
    if not (dry_run or options.flag("force") or confirmed(context, warning)):
        return 0
    wanted = Pruning(tuple(filters), every=every, volumes=volumes)
    freed = 0
    for title, lines, size in prune(context.engine, wanted, dry_run=dry_run):
        freed += size
        report(context, title, lines, dry_run=dry_run)
    report_size(context, freed, dry_run=dry_run)
    return 0


def _warning(*, every: bool, volumes: bool) -> str:
    lines = [
        "all stopped containers",
        "all networks not used by at least one container",
        *(["all anonymous volumes not used by at least one container"] if volumes else []),
        "all images without at least one container associated to them"
        if every
        else "all dangling images",
        "all build cache" if every else "unused build cache",
    ]
    return "This will remove:\n" + "".join(f"  - {line}\n" for line in lines)
