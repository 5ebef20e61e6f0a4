"""knarr history."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.output import FORMAT, NO_TRUNC, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.cli.output import Row
    from knarr.engine.images import HistoryLine

COMMAND = Command(
    short="Show the history of an image",
    usage="[OPTIONS] IMAGE",
    options=(
        FORMAT,
        Option(
            "human", "Print sizes and dates in human readable format", short="H", default=True,
            shown="true",
        ),
        NO_TRUNC,
        Option(
            "platform",
            "Show the history of the image for this platform, of those that came by the same index",
            kind="string",
        ),
        Option("quiet", "Only show image IDs", short="q"),
    ),
    minimum=1,
    maximum=1,
    completes="images",
)  # fmt: skip
HEADERS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
TABLE = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
EXACT = ("ID", "CreatedAt", "CreatedBy", "Size", "Comment")
CREATED_BY_WIDTH = 45
MISSING = "<missing>"


def run(context: Context, options: Options, arguments: list[str]) -> int:
    import time  # noqa: PLC0415 - not for --help

    from knarr.cli.output import show  # noqa: PLC0415 - as above

    images, platform = context.engine.images, options.text("platform")
    name = images.for_platform(arguments[0], platform) if platform else arguments[0]
    lines = images.history(name)
    form, full = options.text("format"), options.flag("no-trunc")
    if options.flag("quiet") and form in ("", "table"):
        for line in lines:
            context.print(_id(line, full=full))
        return 0
    human, now_ns = options.flag("human"), time.time_ns()
    rows = [_row(line, now_ns=now_ns, full=full, human=human) for line in lines]
    show(context, Listing(HEADERS, TABLE if human else EXACT), rows, form)
    return 0


def _id(line: HistoryLine, *, full: bool) -> str:
    if line.id is None:
        return MISSING
    return str(line.id) if full else line.id.short


def _row(line: HistoryLine, *, now_ns: int, full: bool, human: bool) -> Row:
    from knarr.cli.commands.images import created_since  # noqa: PLC0415 - not for --help
    from knarr.util.text import ellipsis, human_size  # noqa: PLC0415

    created_by = line.created_by.replace("\t", " ")
    return {
        "Comment": line.comment,
        "CreatedAt": _exact(line.created_ns),
        "CreatedBy": created_by if full else ellipsis(created_by, CREATED_BY_WIDTH),
        "CreatedSince": created_since(line.created_ns, now_ns),
        "ID": _id(line, full=full),
        "Size": human_size(line.size, precision=3) if human else str(line.size),
    }


def _exact(created_ns: int) -> str:
    from knarr.util.times import SECOND_NS, ZERO, render_rfc3339  # noqa: PLC0415 - as above

    return render_rfc3339(created_ns // SECOND_NS * SECOND_NS) if created_ns else ZERO
