"""knarr image unmount."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Unmount one or more images that are mounted",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    options=(
        Option("all", "Unmount all images that are mounted", short="a"),
        Option("force", "Unmount what somebody uses, too", short="f"),
    ),
    maximum=None,
    completes="images",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli.command import each  # noqa: PLC0415 - not for --help
    from knarr.engine.image import mounting  # noqa: PLC0415
    from knarr.errors import InvalidArgument  # noqa: PLC0415

    if options.flag("all") == bool(arguments):
        message = "image name or ID must be specified"
        if arguments:
            message = "when using the --all switch, you may not pass any image names or IDs"
        raise InvalidArgument(message)
    force = options.flag("force")
    if options.flag("all"):
        for image_id in mounting.unmount_all(context.engine, force=force):
            context.print(image_id.hex)
        return 0

    def unmount(name: str) -> None:
        context.print(mounting.unmount(context.engine, name, force=force).hex)

    return each(context, arguments, unmount, echo=False)
