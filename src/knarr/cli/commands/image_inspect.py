"""knarr image inspect."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.commands.inspect import FORMAT, inspect_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Display detailed information on one or more images",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    options=(FORMAT,),
    minimum=1,
    maximum=None,
    completes="images",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    images = context.engine.images
    return inspect_each(context, arguments, images.inspect, options.text("format"))
