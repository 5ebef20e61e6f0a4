"""knarr search."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.output import NO_TRUNC, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.cli.output import Row
    from knarr.registry.search import Found

COMMAND = Command(
    short="Search Docker Hub for images",
    usage="[OPTIONS] TERM",
    options=(
        Option(
            "filter", "Filter output based on conditions provided", kind="filter", short="f",
            metavar="filter",
        ),
        Option("format", "Pretty-print search using a Go template", kind="string"),
        Option("limit", "Max number of search results", kind="int"),
        NO_TRUNC,
    ),
    minimum=1,
    maximum=1,
    long="Search Docker Hub for images, or another registry: HOST/TERM.",
)  # fmt: skip
HEADERS = {
    "Name": "NAME",
    "Description": "DESCRIPTION",
    "StarCount": "STARS",
    "IsOfficial": "OFFICIAL",
    "IsAutomated": "AUTOMATED",
}
TABLE = ("Name", "Description", "StarCount", "IsOfficial")
DESCRIPTION_WIDTH = 45


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli.output import show  # noqa: PLC0415 - not for --help

    found = context.engine.registries.search(
        arguments[0], limit=options.number("limit"), filters=options.texts("filter")
    )
    full = options.flag("no-trunc")
    show(context, Listing(HEADERS, TABLE), [_row(one, full=full) for one in found],
         options.text("format"))  # fmt: skip
    return 0


def _row(found: Found, *, full: bool) -> Row:
    from knarr.util.text import ellipsis  # noqa: PLC0415 - as above

    return {
        "Description": found.description
        if full
        else ellipsis(found.description, DESCRIPTION_WIDTH),
        "IsAutomated": "[OK]" if found.automated else "",
        "IsOfficial": "[OK]" if found.official else "",
        "Name": found.name,
        "StarCount": str(found.stars),
    }
