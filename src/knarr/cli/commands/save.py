"""knarr save."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.oci.descriptor import Platform

COMMAND = Command(
    short="Save one or more images to a tar archive (streamed to STDOUT by default)",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    options=(
        Option("all-platforms", "Save the images for all platforms that are here, and their index"),
        Option(
            "compression", "Compress the archive: none, gzip, zstd", kind="string",
            default="none", shown='"none"', completes="none gzip zstd",
        ),
        Option(
            "format",
            "What to write: docker-archive (which is an OCI layout too), oci-archive, oci-dir",
            kind="string", default="docker-archive", shown='"docker-archive"',
            completes="docker-archive oci-archive oci-dir",
        ),
        Option(
            "output", "Write to a file, instead of STDOUT", kind="string", short="o",
            completes="files",
        ),
        Option(
            "platform",
            "Save the images for this platform, of those that came by the same index",
            kind="string",
        ),
    ),
    minimum=1,
    maximum=None,
    completes="images",
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli.streams import Output, compressed  # noqa: PLC0415 - not for --help
    from knarr.errors import InvalidArgument  # noqa: PLC0415
    from knarr.oci.descriptor import parse_platform  # noqa: PLC0415

    images, form = context.engine.images, options.text("format")
    text = options.text("platform")
    platform, every = parse_platform(text) if text else None, options.flag("all-platforms")
    if every and platform:
        message = "conflicting options: cannot specify both --all-platforms and --platform"
        raise InvalidArgument(message)
    if form == "oci-dir":
        _save_directory(context, options, arguments, platform=platform, every=every)
        return 0
    with Output(context, options.text("output")) as output:
        compressed(
            output,
            options.text("compression"),
            lambda out: images.save(arguments, out, form=form, platform=platform, every=every),
        )
    return 0


def _save_directory(
    context: Context,
    options: Options,
    arguments: list[str],
    *,
    platform: Platform | None,
    every: bool,
) -> None:
    from knarr.errors import InvalidArgument  # noqa: PLC0415 - not for --help

    if not options.text("output"):
        message = "the format oci-dir needs a directory to write to"
        raise InvalidArgument(message, hint="Name it with -o.")
    if options.given("compression"):
        message = "a directory is not compressed"
        raise InvalidArgument(message, hint="Leave out --compression.")
    context.engine.images.save_directory(
        arguments, options.text("output"), platform=platform, every=every
    )
