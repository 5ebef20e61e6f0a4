"""knarr volume rm."""

from __future__ import annotations

from knarr.cli.command import Command, Option, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove one or more volumes",
    usage="[OPTIONS] VOLUME [VOLUME...]",
    options=(Option("force", "Force the removal of one or more volumes", short="f"),),
    minimum=1,
    maximum=None,
    completes="volumes",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    volumes, force = context.engine.volumes, options.flag("force")
    return each(context, arguments, lambda name: volumes.remove(name, force=force))
