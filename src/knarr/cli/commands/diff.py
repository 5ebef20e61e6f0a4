"""knarr diff."""

from __future__ import annotations

import os

from knarr.cli.command import Command

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
    lines = [f"{change.kind} {change.path}\n" for change in changes(container)]
    # Names are whatever bytes the program chose, and are shown as such.
    context.write(os.fsencode("".join(lines)))
    return 0
