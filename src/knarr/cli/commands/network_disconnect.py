"""knarr network disconnect."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Disconnect a container from a network",
    usage="[OPTIONS] NETWORK CONTAINER",
    options=(Option("force", "Force the container to disconnect from a network", short="f"),),
    minimum=2,
    maximum=2,
    completes="networks containers",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    network, container = arguments
    context.engine.networks.disconnect(network, container, force=options.flag("force"))
    return 0
