"""knarr network rm."""

from __future__ import annotations

from knarr.cli.command import Command, Option, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove one or more networks",
    usage="NETWORK [NETWORK...]",
    options=(Option("force", "Do not error if the network does not exist", short="f"),),
    minimum=1,
    maximum=None,
    completes="networks",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    return each(context, arguments, lambda name: _remove(context, options, name))


def _remove(context: Context, options: Options, name: str) -> None:
    from knarr.errors import NotFound  # noqa: PLC0415 - the command table does without

    try:
        context.engine.networks.remove(name)
    except NotFound as error:
        if not options.flag("force"):
            raise
        context.complain(error)  # Docker: said, and no failure
