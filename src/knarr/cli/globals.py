"""The options in front of a command: where the state is, and how much is said."""

from __future__ import annotations

import os

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

GLOBAL = Command(
    short="A container engine without a daemon",
    usage="[OPTIONS] COMMAND",
    options=(
        Option("debug", "Show tracebacks of errors", short="D"),
        Option(
            "root",
            "Directory of images, containers and volumes (KNARR_ROOT)",
            kind="string",
            shown='"/var/lib/knarr"',
            completes="directories",
        ),
        Option(
            "run",
            "Directory of sockets and locks (KNARR_RUN)",
            kind="string",
            shown='"/run/knarr"',
            completes="directories",
        ),
        Option("version", "Print version information and quit", short="v"),
    ),
    maximum=None,
    interspersed=False,
)


def apply(options: Options, context: Context) -> None:
    """Let `context` be what the options in front of the command say."""
    context.debug = context.debug or options.flag("debug") or bool(os.environ.get("KNARR_DEBUG"))
    context.root = options.text("root") or context.root
    context.run_dir = options.text("run") or context.run_dir
