"""knarr attach."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Attach local standard input, output, and error streams to a running container",
    usage="[OPTIONS] CONTAINER",
    options=(
        Option("detach-keys", "Override the key sequence for detaching a container", kind="string"),
        Option("no-stdin", "Do not attach STDIN"),
        Option(
            "sig-proxy", "Proxy all received signals to the process", default=True, shown="true"
        ),
    ),
    minimum=1,
    maximum=1,
    completes="running",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli.attached import stay  # noqa: PLC0415 - not for --help
    from knarr.cli.terminal import Terms  # noqa: PLC0415

    container = context.engine.containers.get(arguments[0])
    streams = container.options.streams
    terms = Terms(
        streams.tty,
        streams.open_stdin and not options.flag("no-stdin"),
        options.text("detach-keys"),
        options.flag("sig-proxy"),
    )
    return stay(context, container, terms)
