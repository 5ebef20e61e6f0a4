"""knarr image copy."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Copy an image between registries, archives, layouts and the local store",
    usage="[OPTIONS] SOURCE TARGET",
    options=(
        Option(
            "all-platforms", "Copy the images for all platforms, and their index", aliases=("all",)
        ),
        Option("platform", "Copy the image for this platform: os[/arch[/variant]]", kind="string"),
        Option(
            "preserve-digests", "Copy Docker's manifests into OCI layouts as they are, not as OCI's"
        ),
    ),
    minimum=2,
    maximum=2,
    long=(
        "Copy an image between registries, archives, layouts and the local store. SOURCE and "
        "TARGET are docker://NAME[:TAG], oci:DIR[:NAME], oci-archive:FILE[:NAME], "
        "docker-archive:FILE[:NAME], docker-daemon:NAME, dir:DIR, or a NAME in the local store."
    ),
    completes="images",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.image.copying import copy_image  # noqa: PLC0415 - not for --help
    from knarr.engine.image.ends import parse_place  # noqa: PLC0415
    from knarr.errors import InvalidArgument  # noqa: PLC0415
    from knarr.oci.descriptor import parse_platform  # noqa: PLC0415

    every, text = options.flag("all-platforms"), options.text("platform")
    if every and text:
        message = "conflicting options: cannot specify both --all-platforms and --platform"
        raise InvalidArgument(message)
    source, target = (parse_place(argument) for argument in arguments)
    platform = parse_platform(text) if text else None
    digest = copy_image(
        context.engine,
        source,
        target,
        platform=platform,
        every=every,
        preserve=options.flag("preserve-digests"),
    )
    context.print(f"Digest: {digest}")
    return 0
