"""knarr load."""

from __future__ import annotations

import os

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Load an image from a tar archive or STDIN",
    options=(
        Option("all-platforms", "Load the images for all platforms, not that for this machine"),
        Option(
            "input", "Read from tar archive file or OCI layout directory, instead of STDIN",
            kind="string", short="i",
            completes="files",
        ),
        Option(
            "platform",
            "Load only the given platform of a multi-platform image: os[/arch[/variant]]",
            kind="string",
        ),
        Option("quiet", "Suppress the load output", short="q"),
    ),
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.streams import open_input  # noqa: PLC0415 - not for --help
    from knarr.engine.image.loading import describe_arrivals  # noqa: PLC0415
    from knarr.errors import InvalidArgument  # noqa: PLC0415
    from knarr.oci.descriptor import parse_platform  # noqa: PLC0415

    text = options.text("platform")
    platform, every = parse_platform(text) if text else None, options.flag("all-platforms")
    if every and platform:
        message = "conflicting options: cannot specify both --all-platforms and --platform"
        raise InvalidArgument(message)
    path = options.text("input")
    if os.path.isdir(path):
        arrivals = context.engine.images.load_directory(path, platform=platform, every=every)
    else:
        with open_input(path) as stream:
            if not path and stream.isatty():
                message = "requested load from stdin, but stdin is empty"
                raise InvalidArgument(message, hint="Use the -i flag or redirect.")
            arrivals = context.engine.images.load(stream, platform=platform, every=every)
    for line in describe_arrivals(arrivals):
        context.print(line)
    return 0
