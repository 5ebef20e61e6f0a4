"""knarr secret rm."""

from __future__ import annotations

from knarr.cli.command import Command, Misuse, Option, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove one or more secrets",
    usage="[OPTIONS] SECRET [SECRET...]",
    options=(
        Option("all", "Remove all secrets", short="a"),
        Option("ignore", "Take missing secrets for removed", short="i"),
    ),
    maximum=None,
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.secrets import Secrets  # noqa: PLC0415 - not for --help

    secrets = Secrets(context.engine)
    if not arguments and not options.flag("all"):
        message = f"'{context.path}' requires at least 1 argument"
        raise Misuse(message, path=context.path, usage=COMMAND.usage)
    if options.flag("all"):
        arguments = [secret.id for secret in secrets.list()]
    if options.flag("ignore"):
        arguments = [name for name in arguments if secrets.find(name)]
    return each(context, arguments, lambda name: context.print(secrets.remove(name).id), echo=False)
