"""knarr rm."""

from __future__ import annotations

from knarr.cli.command import Command, Option, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove one or more containers",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    options=(
        Option("force", "Force the removal of a running container (uses SIGKILL)", short="f"),
        Option("link", "Remove the specified link", short="l"),
        Option("volumes", "Remove anonymous volumes associated with the container", short="v"),
    ),
    minimum=1,
    maximum=None,
    completes="containers",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    return each(context, arguments, lambda name: _remove(context, options, name))


def _remove(context: Context, options: Options, name: str) -> None:
    from knarr.errors import NotFound  # noqa: PLC0415 - the command table does without

    force = options.flag("force")
    if options.flag("link"):
        from knarr.engine.network.joining import unlink  # noqa: PLC0415 - seldom wanted

        unlink(context.engine, name)
        return
    try:
        container = context.engine.containers.get(name)
        container.remove(force=force, volumes=options.flag("volumes"))
    except NotFound as error:
        if not force:
            raise
        # Docker: with --force a missing container is said, and no failure.
        context.complain(error)
