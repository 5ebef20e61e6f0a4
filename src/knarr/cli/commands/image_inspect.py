"""knarr image inspect."""

from __future__ import annotations

from knarr.cli.command import OBJECT_FORMAT, Command, Option
from knarr.cli.commands.inspect import inspect_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Display detailed information on one or more images",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    options=(
        OBJECT_FORMAT,
        Option(
            "platform",
            "Inspect the image for this platform, of those that came by the same index",
            kind="string",
        ),
    ),
    minimum=1,
    maximum=None,
    long=(
        "Display detailed information on one or more images, in the local store or elsewhere: a "
        "registry (docker://NAME[:TAG]) or another place that image copy knows. Nothing is kept."
    ),
    completes="images",
)
# How places begin; a test holds them against `knarr.engine.image.ends`, which takes its time.
ELSEWHERE = ("docker:", "oci:", "oci-archive:", "docker-archive:", "docker-daemon:", "dir:")


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.oci.descriptor import parse_platform  # noqa: PLC0415 - not for --help

    images, platform = context.engine.images, options.text("platform")

    def look(name: str) -> Any:
        if name.startswith(ELSEWHERE):
            from knarr.engine.image import elsewhere  # noqa: PLC0415 - loads all kinds of places

            place = elsewhere.find_place(context.engine, name)
            if place is not None:
                wanted = parse_platform(platform) if platform else None
                return elsewhere.document(context.engine, place, wanted)
        return images.inspect(images.for_platform(name, platform) if platform else name)

    return inspect_each(context, arguments, look, options.text("format"))
