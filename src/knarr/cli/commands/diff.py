"""knarr diff."""

from __future__ import annotations

import os

from knarr.cli.command import Command
from knarr.util.quoting import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Inspect changes to files or directories on a container's filesystem",
    usage="CONTAINER",
    minimum=1,
    maximum=1,
    completes="containers",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.engine.changes import changes  # noqa: PLC0415 - not for --help

    container = context.engine.containers.get(arguments[0])
    lines = [f"{change.kind} {change.path}" for change in changes(container)]
    if context.interactive:
        lines = [harmless(line, lines=False) for line in lines]
    # Names are whatever bytes the program chose, and are passed on as such.
    context.write(os.fsencode("".join(f"{line}\n" for line in lines)))
    return 0
