"""knarr restart."""

from __future__ import annotations

from knarr.cli.command import Command, each
from knarr.cli.commands.stop import STOP_OPTIONS, timeout_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Restart one or more containers",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    options=STOP_OPTIONS,
    minimum=1,
    maximum=None,
    completes="containers",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    timeout, signal = timeout_of(options), options.text("signal")
    return each(context, arguments, lambda name: _restart(context, name, timeout, signal))


def _restart(context: Context, name: str, timeout: float | None, signal: str) -> None:
    from knarr.errors import KnarrError  # noqa: PLC0415 - not for --help

    container = context.engine.containers.get(name)
    try:
        container.restart(timeout=timeout, signal=signal)
    except KnarrError as error:
        from knarr.cli.explaining import explain_failure  # noqa: PLC0415 - after a failure

        explain_failure(error, container)
        raise
