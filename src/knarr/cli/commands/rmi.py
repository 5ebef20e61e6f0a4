"""knarr rmi."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove one or more images",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    options=(
        Option("force", "Force removal of the image", short="f"),
        Option("no-prune", "Do not delete untagged parents"),
    ),
    minimum=1,
    maximum=None,
    completes="images",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.errors import KnarrError, NotFound  # noqa: PLC0415 - not for --help

    force, prune = options.flag("force"), not options.flag("no-prune")
    failed = False
    for name in arguments:
        try:
            for gone in context.engine.images.remove(name, force=force, prune=prune):
                context.print(
                    f"Untagged: {gone.untagged}" if gone.untagged else f"Deleted: {gone.deleted}"
                )
        except KnarrError as error:
            context.complain(error)
            # Docker: with --force a missing image is said, and no failure.
            failed = failed or not (force and isinstance(error, NotFound))
    return 1 if failed else 0
