"""knarr run.

The supervisor is the first thing to be made, by `main`: its interpreter starts while this one still
reads the options and the image's config.
"""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.createflags import CREATE_OPTIONS
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.engine.containers import Container
    from knarr.engine.options.values import Options as Asked
    from knarr.supervise.control import Starting

COMMAND = Command(
    short="Create and run a new container from an image",
    usage="[OPTIONS] IMAGE [COMMAND] [ARG...]",
    options=(
        *CREATE_OPTIONS,
        Option("detach", "Run container in background and print container ID", short="d"),
        Option("detach-keys", "Override the key sequence for detaching a container", kind="string"),
        Option("sig-proxy", "Proxy received signals to the process", default=True, shown="true"),
    ),
    minimum=1,
    maximum=None,
    interspersed=False,
    failure=125,
    completes="images",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.supervise import control  # noqa: PLC0415 - not for --help

    spawned, context.spawned = context.spawned, None
    starting = control.Starting(*spawned, child=True) if spawned else control.spawn()
    try:
        return _run(context, options, arguments, starting)
    finally:
        starting.abort()


def _run(context: Context, options: Options, arguments: list[str], starting: Starting) -> int:
    from knarr.cli import creating  # noqa: PLC0415 - after the spawn

    detached = options.flag("detach")
    asked = creating.parse_create(options, arguments, detached=detached)
    if options.flag("use-api-socket"):
        from knarr.engine.supplies.apisocket import supply  # noqa: PLC0415 - for few containers

        asked = supply(context.engine.paths, asked)
    if asked.networking.ports and asked.networking.on_host:
        context.warn("WARNING: Published ports are discarded when using host network mode")
    if not detached:
        _refuse_early(options, asked)
    creating.provide_image(context, options, asked)
    if options.flag("replace"):
        from knarr.cli.living import replace  # noqa: PLC0415 - see the module

        replace(context, options.text("name"))
    with creating.CidFile(asked.cidfile) as cidfile:
        container = creating.create(context.engine, asked, options.text("name"))
        cidfile.write(container.id)
    for words in (*container.warnings, *creating.ignored(options)):
        context.warn(f"WARNING: {words}")
    try:
        if detached:
            container.start(starting=starting)
            context.print(container.id)
            return 0
        return _attached(context, options, container, starting)
    except BaseException as error:
        if isinstance(error, KnarrError):
            from knarr.cli.explaining import explain_failure  # noqa: PLC0415 - after a failure

            explain_failure(error, container)
        if asked.auto_remove and not container.state.active:
            container.remove(volumes=True)
        raise


def _refuse_early(options: Options, asked: Asked) -> None:
    """Refuse what the terminal is not fit for before there is a container that would be left."""
    from knarr.cli.attached import require_terminal  # noqa: PLC0415 - not for --detach
    from knarr.cli.terminal import Terms  # noqa: PLC0415

    streams = asked.streams
    stdin = streams.open_stdin and streams.attach_stdin
    require_terminal(Terms(streams.tty, stdin, options.text("detach-keys")))


def _attached(context: Context, options: Options, container: Container, starting: Starting) -> int:
    from knarr.cli.attached import run_attached  # noqa: PLC0415 - not for --detach

    return run_attached(
        context,
        container,
        starting=starting,
        detach_keys=options.text("detach-keys"),
        sig_proxy=options.flag("sig-proxy"),
    )
