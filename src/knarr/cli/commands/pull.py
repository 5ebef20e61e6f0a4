"""knarr pull."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.oci.descriptor import Platform

COMMAND = Command(
    short="Download an image from a registry",
    usage="[OPTIONS] NAME[:TAG|@DIGEST]",
    options=(
        Option("all-platforms", "Download the images for all platforms of Linux"),
        Option("all-tags", "Download all tagged images in the repository", short="a"),
        Option("disable-content-trust", "Skip image verification", default=True, hidden=True),
        Option("platform", "Set platform if server is multi-platform capable", kind="string"),
        Option("quiet", "Suppress verbose output", short="q"),
    ),
    minimum=1,
    maximum=1,
    completes="images",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli.pulling import pull_shown  # noqa: PLC0415 - not for --help
    from knarr.errors import InvalidArgument, NotFound, Unauthorized  # noqa: PLC0415
    from knarr.oci.descriptor import parse_platform  # noqa: PLC0415
    from knarr.oci.reference import parse_reference  # noqa: PLC0415

    text, quiet, every = arguments[0], options.flag("quiet"), options.flag("all-platforms")
    platform = parse_platform(options.text("platform")) if options.text("platform") else None
    reference = parse_reference(text)
    if options.flag("all-tags"):
        if reference.tag or reference.digest:
            message = "tag can't be used with --all-tags/-a"
            raise InvalidArgument(message)
        return _pull_all(context, text, platform, every=every, quiet=quiet)
    if not (reference.tag or reference.digest) and not quiet:
        context.print("Using default tag: latest")
    candidates = context.engine.registries.candidates(text)
    for number, candidate in enumerate(candidates, 1):
        try:
            pulled = pull_shown(
                context.engine.images,
                candidate,
                context.stdout,
                platform=platform,
                every=every,
                quiet=quiet,
            )
        except (NotFound, Unauthorized):
            if number == len(candidates):
                raise
            continue
        context.print(str(pulled.reference))
        break
    return 0


def _pull_all(
    context: Context, text: str, platform: Platform | None, *, every: bool, quiet: bool
) -> int:
    from knarr.cli.pulling import pull_shown  # noqa: PLC0415 - as above

    reference = context.engine.registries.candidates(text)[0]
    for tag in context.engine.registries.connect(reference).tags():
        pull_shown(
            context.engine.images,
            reference.replace(tag=tag),
            context.stdout,
            platform=platform,
            every=every,
            quiet=quiet,
        )
    context.print(reference.name)
    return 0
