"""knarr volume inspect."""

from __future__ import annotations

from knarr.cli.command import OBJECT_FORMAT, Command
from knarr.cli.commands.inspect import inspect_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Display detailed information on one or more volumes",
    usage="[OPTIONS] VOLUME [VOLUME...]",
    options=(OBJECT_FORMAT,),
    minimum=1,
    maximum=None,
    completes="volumes",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    volumes = context.engine.volumes
    return inspect_each(context, arguments, volumes.inspect, options.text("format"))
