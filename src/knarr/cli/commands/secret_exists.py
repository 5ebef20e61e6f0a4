"""knarr secret exists."""

from __future__ import annotations

from knarr.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Tell by the exit status whether a secret exists",
    usage="SECRET",
    minimum=1,
    maximum=1,
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.engine.secrets import Secrets  # noqa: PLC0415 - not for --help

    return 0 if Secrets(context.engine).find(arguments[0]) else 1
