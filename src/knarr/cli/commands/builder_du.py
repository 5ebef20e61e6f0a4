"""knarr builder du."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.output import FORMAT, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.cli.command import Context, Options
    from knarr.cli.output import Row
    from knarr.engine.build.usage import Usage

COMMAND = Command(
    short="Show what the build cache holds",
    options=(
        Option("filter", "Provide filter values (until, id, type, shared)", kind="filter",
               metavar="filter"),
        FORMAT,
        Option("verbose", "Provide a more verbose output"),
    ),
)  # fmt: skip
LISTING = Listing(
    headers={
        "ID": "ID",
        "Reclaimable": "RECLAIMABLE",
        "Size": "SIZE",
        "LastUsedAt": "LAST ACCESSED",
        "CreatedAt": "CREATED AT",
        "Description": "DESCRIPTION",
        "Parents": "PARENTS",
        "Shared": "SHARED",
        "Type": "TYPE",
        "UsageCount": "USAGE COUNT",
    },
    table=("ID", "Reclaimable", "Size", "LastUsedAt"),
)
_LABELS = {
    "ID": "ID",
    "Parents": "Parent",
    "CreatedAt": "Created at",
    "Reclaimable": "Reclaimable",
    "Shared": "Shared",
    "Size": "Size",
    "Description": "Description",
    "UsageCount": "Usage count",
    "LastUsedAt": "Last used",
    "Type": "Type",
}


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.output import show  # noqa: PLC0415 - not for --help
    from knarr.engine.build.usage import usage  # noqa: PLC0415 - as above

    form, verbose = options.text("format"), options.flag("verbose")
    found = usage(context.engine, options.texts("filter"))
    whole = verbose or form not in ("", "table")
    rows = [_row(each, whole=whole) for each in found]
    if verbose and not form:
        for row in rows:
            _show_verbose(context, row)
    else:
        show(context, LISTING, rows, form)
    if form in ("", "table") and not options.texts("filter"):
        _sum_up(context, found)
    return 0


def _row(each: Usage, *, whole: bool) -> Row:
    import time  # noqa: PLC0415 - not for --help

    from knarr.util.text import human_duration, human_size  # noqa: PLC0415 - as above
    from knarr.util.times import render_rfc3339  # noqa: PLC0415

    ago = human_duration((time.time_ns() - each.row.used_ns) / 1e9)
    return {
        "ID": each.id if whole else each.id[:12],
        "Reclaimable": "false" if each.shared else "true",
        "Size": human_size(each.size) + ("*" if each.shared and not whole else ""),
        "LastUsedAt": f"{ago} ago",
        "CreatedAt": render_rfc3339(each.row.created_ns),
        "Description": each.description,
        "Parents": each.parent,
        "Shared": "true" if each.shared else "false",
        "Type": each.type,
        "UsageCount": str(each.row.uses),
    }


def _show_verbose(context: Context, row: Row) -> None:
    for name, label in _LABELS.items():
        if row[name]:
            context.print(f"{label}:".ljust(16) + str(row[name]))
    context.print()


def _sum_up(context: Context, found: Sequence[Usage]) -> None:
    """Print the sums. A layer counts once, however many records lead to it."""
    from knarr.util.text import human_size  # noqa: PLC0415 - not for --help

    layers = {each.row.chain or each.row.key: each for each in found}.values()
    total = sum(each.size for each in layers)
    shared = sum(each.size for each in layers if each.shared)
    sums = [("Reclaimable", total - shared), ("Total", total)]
    if shared:
        sums = [("Shared", shared), ("Private", total - shared), *sums]
    for name, size in sums:
        context.print(f"{name}:".ljust(16) + human_size(size))
