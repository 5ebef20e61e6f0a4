"""Lists as Docker prints them: aligned tables, Go templates, JSON, or identifiers alone.

A row is a mapping from Docker's placeholder (`ID`, `Names`) to its text; a value that costs
something to find out may be a function without arguments, called only when it is shown. One under
the name `Label` takes an argument, for `{{.Label "version"}}`. A `Listing` says once for each
command which placeholders there are, what heads them and which the table shows:

    LISTING = Listing(
        headers={"ID": "CONTAINER ID", "Image": "IMAGE", "Size": "SIZE"},
        table=("ID", "Image"),
    )
    show(context, LISTING, rows, options.text("format"))

Docker: columns are at least 10 wide and 3 apart; the last one is not filled up
"""

from __future__ import annotations

from knarr.cli.command import Option
from knarr.util.quoting import harmless
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from knarr.cli.command import Context

    Cell = str | Callable[..., str]
    Row = Mapping[str, Cell]

MINIMUM_WIDTH = 10
PADDING = 3

FORMAT = Option(
    "format",
    "Format output using a custom template:\n"
    "'table':            Print output in table format with column headers (default)\n"
    "'table TEMPLATE':   Print output in table format using the given Go template\n"
    "'json':             Print in JSON format\n"
    "'TEMPLATE':         Print output using the given Go template",
    kind="string",
    completes="table json",
)
NO_TRUNC = Option("no-trunc", "Don't truncate output")


class Listing(Value):
    """The placeholders of a list with their headers, and those of its table in order."""

    headers: Mapping[str, str]
    table: Sequence[str]


def show(context: Context, listing: Listing, rows: Iterable[Row], form: str = "") -> None:
    """Print `rows` in the form that `--format` asks for.

    Raises: InvalidArgument
    """
    if form in ("", "table"):
        heads = [listing.headers[name] for name in listing.table]
        cells = [[_text(row[name]) for name in listing.table] for row in rows]
        for line in align([heads, *cells]):
            context.print(line)
    elif form == "json":
        for row in rows:
            context.print(_json(_document(row)))
    else:
        _show_template(context, listing, rows, form)


def _show_template(context: Context, listing: Listing, rows: Iterable[Row], form: str) -> None:
    from knarr.util.gotemplate.template import parse  # noqa: PLC0415 - only for who gives a template

    aligned = form.startswith("table ")
    text = form[6:] if aligned else form
    template = parse(text.replace("\\t", "\t").replace("\\n", "\n"))
    if not aligned:
        for row in rows:
            context.print(template.render(_Fields(row)))
        return
    head = template.render(_Fields(listing.headers), header=True)
    lines = [head, *(template.render(_Fields(row)) for row in rows)]
    for line in align([line.split("\t") for line in lines]):
        context.print(line)


class _Fields(dict[str, "Cell"]):
    """A row as a template sees it: `json .` is what `--format json` prints."""

    def document(self) -> dict[str, str]:
        return _document(self)


def _document(row: Row) -> dict[str, str]:
    return {name: _text(cell) for name, cell in row.items() if name != "Label"}


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines with their cells in columns, whatever is in the cells."""
    rows = [[harmless(cell, lines=False) for cell in row] for row in rows]
    count = max(map(len, rows), default=0)
    widths = [
        max(MINIMUM_WIDTH, *(len(row[column]) + PADDING for row in rows if column < len(row) - 1))
        if any(column < len(row) - 1 for row in rows)
        else 0
        for column in range(count)
    ]
    lines = []
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append("".join((*cells, *row[-1:])))
    return lines


def show_object(context: Context, value: object, form: str) -> None:
    """Print one document through a template, or as a line of JSON with `json`.

    Raises: InvalidArgument
    """
    from knarr.util.gotemplate.template import parse  # noqa: PLC0415 - only for who gives a template

    context.print(_json(value) if form == "json" else parse(form).render(value))


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell()


def _json(value: object) -> str:
    from knarr.util import jsontext  # noqa: PLC0415 - only for who asks for it

    return jsontext.dumps(value, ascii_only=False)
