"""knarr network inspect."""

from __future__ import annotations

from knarr.cli.command import OBJECT_FORMAT, Command, Option
from knarr.cli.commands.inspect import inspect_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Display detailed information on one or more networks",
    usage="[OPTIONS] NETWORK [NETWORK...]",
    options=(OBJECT_FORMAT, Option("verbose", "Verbose output for diagnostics", short="v")),
    minimum=1,
    maximum=None,
    completes="networks",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    networks = context.engine.networks
    return inspect_each(context, arguments, networks.inspect, options.text("format"))
