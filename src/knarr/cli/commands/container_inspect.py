"""knarr container inspect."""

from __future__ import annotations

from knarr.cli.command import OBJECT_FORMAT, Command
from knarr.cli.commands.inspect import SIZE, inspect_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Display detailed information on one or more containers",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    options=(OBJECT_FORMAT, SIZE),
    minimum=1,
    maximum=None,
    completes="containers",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    containers, size = context.engine.containers, options.flag("size")
    return inspect_each(
        context,
        arguments,
        lambda name: containers.get(name).inspect(size=size),
        options.text("format"),
    )
