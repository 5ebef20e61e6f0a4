"""knarr top."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.util.quoting import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Display the running processes of a container",
    usage="CONTAINER [ps OPTIONS]",
    minimum=1,
    maximum=None,
    interspersed=False,
    completes="running",
)
# Docker: columns are at least 20 wide and 3 apart; the last one is not filled up
MINIMUM_WIDTH = 20
PADDING = 3


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    name, *words = arguments
    table = context.engine.containers.get(name).top(words)
    lines = [[harmless(cell, lines=False) for cell in row] for row in (table.titles, *table.rows)]
    widths = [
        max(MINIMUM_WIDTH, PADDING + max(len(line[column]) for line in lines))
        for column in range(len(table.titles) - 1)
    ]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        context.print("".join(cells) + line[-1])
    return 0
