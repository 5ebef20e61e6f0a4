"""knarr untag."""

from __future__ import annotations

from knarr.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Take names from an image, which stays",
    usage="IMAGE [NAME...]",
    minimum=1,
    maximum=None,
    long="Take names from an image: those given, or all it has. The image itself stays.",
    completes="images",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.engine.image.removal import untag  # noqa: PLC0415 - not for --help

    image, *names = arguments
    for gone in untag(context.engine, image, names):
        context.print(f"Untagged: {gone.untagged}")
    return 0
