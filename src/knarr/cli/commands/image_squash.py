"""knarr image squash."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Make one layer of all layers of an image, or of those above another",
    usage="[OPTIONS] IMAGE",
    options=(
        Option(
            "from",
            "Make one layer from this step of the history on (1 is the oldest), this layer, or\n"
            "of what is above this image",
            kind="string",
            metavar="STEP|LAYER|IMAGE",
            completes="images",
        ),
        Option("new", "Make one layer of what is above the image that this one was made from"),
        Option("tag", 'Name of the new image (format: "name:tag")', kind="string", short="t"),
    ),
    minimum=1,
    maximum=1,
    long=(
        "Make an image of one layer, with the files, the config and the times of another image, "
        "and print its ID. What layers of that have and others hide is left out. The other image "
        "stays as it is. With --from or --new the layers below stay layers, shared with others."
    ),
    completes="images",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.image.squashing import squash  # noqa: PLC0415 - not for --help
    from knarr.errors import InvalidArgument  # noqa: PLC0415

    start, new = options.text("from"), options.flag("new")
    if start and new:
        message = "conflicting options: cannot specify both --from and --new"
        raise InvalidArgument(message)
    made = squash(context.engine, arguments[0], tag=options.text("tag"), start=start, new=new)
    context.print(str(made))
    return 0
