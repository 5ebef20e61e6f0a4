"""knarr image inspect."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.commands.inspect import FORMAT, inspect_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Display detailed information on one or more images",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    options=(
        FORMAT,
        Option(
            "platform",
            "Inspect the image for this platform, of those that came by the same index",
            kind="string",
        ),
    ),
    minimum=1,
    maximum=None,
    completes="images",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    images, platform = context.engine.images, options.text("platform")

    def look(name: str) -> Any:
        return images.inspect(images.for_platform(name, platform) if platform else name)

    return inspect_each(context, arguments, look, options.text("format"))
