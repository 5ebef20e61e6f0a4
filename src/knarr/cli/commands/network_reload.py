"""knarr network reload."""

from __future__ import annotations

from knarr.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Make the host's bridges and rules anew as the records say",
    usage="",
    maximum=0,
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    """Podman: network reload, which takes containers; here all rules are one table."""
    del options, arguments
    context.engine.networks.restore()
    return 0
