"""knarr push."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.engine.image.forms import Form
    from knarr.oci.reference import Reference

COMMAND = Command(
    short="Upload an image to a registry",
    usage="[OPTIONS] NAME[:TAG]",
    options=(
        Option("all-platforms", "Push the images for all platforms that are here, and their index"),
        Option("all-tags", "Push all tags of an image to the repository", short="a"),
        Option(
            "compression-format",
            "Compress all layers with this, not as they came: gzip, zstd, uncompressed",
            kind="string",
            completes="gzip zstd uncompressed",
        ),
        Option("compression-level", "How much effort the compression takes", kind="string"),
        Option("disable-content-trust", "Skip image signing", default=True, hidden=True),
        Option(
            "platform",
            "Push the image for this platform, of those that came by the same index",
            kind="string",
        ),
        Option("quiet", "Suppress verbose output", short="q"),
    ),
    minimum=1,
    maximum=1,
    completes="images",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.errors import InvalidArgument  # noqa: PLC0415 - not for --help
    from knarr.oci.reference import parse_reference  # noqa: PLC0415

    reference, quiet = parse_reference(arguments[0]), options.flag("quiet")
    if reference.digest is not None:
        message = "cannot push a digest reference"
        raise InvalidArgument(message)
    if options.flag("all-tags") and reference.tag:
        message = "tag can't be used with --all-tags/-a"
        raise InvalidArgument(message)
    if options.flag("all-platforms") and options.text("platform"):
        message = "conflicting options: cannot specify both --all-platforms and --platform"
        raise InvalidArgument(message)
    if not quiet:
        if not (reference.tag or options.flag("all-tags")):
            context.print("Using default tag: latest")
        context.print(f"The push refers to repository [{reference.name}]")
    references = [reference.with_default_tag()]
    if options.flag("all-tags"):
        from knarr.engine.image.pushing import tags_of  # noqa: PLC0415 - for few

        references = tags_of(context.engine, reference)
    for each in references:
        _push(context, each, options, quiet=quiet)
    if quiet:
        context.print(str(reference.with_default_tag()))
    return 0


def _push(context: Context, reference: Reference, options: Options, *, quiet: bool) -> None:
    from knarr.oci.descriptor import parse_platform  # noqa: PLC0415 - as above
    from knarr.ui.transfers import choose  # noqa: PLC0415

    platform, every = options.text("platform"), options.flag("all-platforms")
    form = _form(options)
    wanted = parse_platform(platform) if platform else None
    display = choose(context.stdout, quiet=quiet)
    try:
        pushed = context.engine.images.push(
            reference, platform=wanted, every=every, form=form, report=display
        )
    finally:
        display.close()
    if pushed.renewed:
        context.warn(
            f"{reference.familiar()} has a new digest there: layers were compressed anew, since "
            "their blobs are neither kept here nor to be had from where they came from"
        )
    if not quiet:
        context.print(f"{reference.tag}: digest: {pushed.digest} size: {pushed.size}")


def _form(options: Options) -> Form | None:
    """Return the form in which layers are to be pushed, None for that in which they came."""
    from knarr.engine.build.words.fields import parse_compression  # noqa: PLC0415 - for few
    from knarr.errors import InvalidArgument  # noqa: PLC0415

    word, level = options.text("compression-format"), options.text("compression-level")
    if not word:
        if level:
            message = "--compression-level needs --compression-format"
            raise InvalidArgument(message)
        return None
    fields = {"compression": word, "compression-level": level, "force-compression": "true"}
    return parse_compression(fields)
