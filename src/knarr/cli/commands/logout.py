"""knarr logout."""

from __future__ import annotations

from knarr.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Log out from a registry",
    usage="[SERVER]",
    maximum=1,
    long="Log out from a registry. If no server is specified, it is Docker Hub.",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    registries = context.engine.registries
    server = arguments[0] if arguments else ""
    context.print(f"Removing login credentials for {registries.key(server)}")
    registries.logout(server)
    return 0
