"""knarr image squash."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Make an image of one layer of an image",
    usage="[OPTIONS] IMAGE",
    options=(
        Option("tag", 'Name of the new image (format: "name:tag")', kind="string", short="t"),
    ),
    minimum=1,
    maximum=1,
    long=(
        "Make an image of one layer, with the files, the config and the times of another image,\n"
        "and print its ID. What layers of that have and others hide is left out. The other image\n"
        "stays as it is."
    ),
    completes="images",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.image.squashing import squash  # noqa: PLC0415 - not for --help

    context.print(str(squash(context.engine, arguments[0], tag=options.text("tag"))))
    return 0
