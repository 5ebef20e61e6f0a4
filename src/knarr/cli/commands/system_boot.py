"""knarr system boot."""

from __future__ import annotations

from knarr.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Start the containers that should run after a reboot",
    usage="",
    long="Starts containers with the restart policy always, those with unless-stopped that nobody "
    "stopped, and those with on-failure that the machine went down under. What runs already is "
    "left alone. `knarr system unit` prints a unit that does this at boot.",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.engine.container.booting import boot  # noqa: PLC0415 - not for --help

    status = 0
    for container, error in boot(context.engine):
        if error is None:
            context.print(container.name)
            continue
        context.complain(error)
        status = 1
    return status
