"""knarr start."""

from __future__ import annotations

from knarr.cli.command import Command, Option, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Start one or more stopped containers",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    options=(
        Option("attach", "Attach STDOUT/STDERR and forward signals", short="a"),
        Option("detach-keys", "Override the key sequence for detaching a container", kind="string"),
        Option("interactive", "Attach container's STDIN", short="i"),
    ),
    minimum=1,
    maximum=None,
    completes="containers",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    if options.flag("attach") or options.flag("interactive"):
        return _attached(context, options, arguments)
    return each(context, arguments, lambda name: _start(context, name))


def _start(context: Context, name: str) -> None:
    from knarr.errors import KnarrError, NotModified  # noqa: PLC0415 - not for --help

    container = context.engine.containers.get(name)
    try:
        container.start().close()
    except NotModified:  # as wanted
        pass
    except KnarrError as error:
        from knarr.cli.explaining import explain_failure  # noqa: PLC0415 - after a failure

        explain_failure(error, container)
        raise


def _attached(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli.attached import run_attached  # noqa: PLC0415 - not for --help
    from knarr.errors import InvalidArgument, KnarrError  # noqa: PLC0415

    if len(arguments) > 1:
        message = "you cannot start and attach multiple containers at once"
        raise InvalidArgument(message)
    container = context.engine.containers.get(arguments[0])
    try:
        return run_attached(
            context,
            container,
            with_stdin=options.flag("interactive"),
            detach_keys=options.text("detach-keys"),
            sig_proxy=True,
        )
    except KnarrError as error:
        from knarr.cli.explaining import explain_failure  # noqa: PLC0415 - after a failure

        explain_failure(error, container)
        raise
