"""knarr rmi."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.cli.command import Context, Options
    from knarr.engine.image.removal import Removed

COMMAND = Command(
    short="Remove one or more images",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    options=(
        Option("force", "Force removal of the image", short="f"),
        Option("no-prune", "Do not delete untagged parents"),
        Option(
            "platform",
            "Remove only the image for this platform, of those that came by the same index",
            kind="list",
            metavar="strings",
        ),
    ),
    minimum=1,
    maximum=None,
    completes="images",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.errors import KnarrError, NotFound  # noqa: PLC0415 - not for --help

    force = options.flag("force")
    failed = False
    for name in arguments:
        try:
            for gone in _removed(context, options, name):
                context.print(
                    f"Untagged: {gone.untagged}" if gone.untagged else f"Deleted: {gone.deleted}"
                )
        except KnarrError as error:
            context.complain(error)
            # Docker: with --force a missing image is said, and no failure.
            failed = failed or not (force and isinstance(error, NotFound))
    return 1 if failed else 0


def _removed(context: Context, options: Options, name: str) -> Iterator[Removed]:
    images, force = context.engine.images, options.flag("force")
    platforms = [one for text in options.texts("platform") for one in text.split(",")]
    for platform in platforms:
        yield from images.remove_platform(name, platform, force=force)
    if not platforms:
        yield from images.remove(name, force=force, prune=not options.flag("no-prune"))
