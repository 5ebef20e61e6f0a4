"""knarr help."""

from __future__ import annotations

from knarr.cli import table
from knarr.cli.command import Command
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Show the help of a command",
    usage="[COMMAND [COMMAND]]",
    maximum=2,
    completes=" ".join((*table.COMMON, *table.COMMANDS, *table.GROUPS)),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.help import page  # noqa: PLC0415 - `knarr help --help` is made by main

    if arguments and not _known(arguments):
        message = f"unknown help topic: {' '.join(arguments)}"
        raise InvalidArgument(message, hint="Run 'knarr --help' for a list of commands.")
    context.print(page(arguments, context.columns()), end="")
    return 0


def _known(names: list[str]) -> bool:
    first, *rest = names
    if first in table.GROUPS:
        return not rest or rest[0] in table.GROUPS[first][1]
    return not rest and table.find(first) is not None
