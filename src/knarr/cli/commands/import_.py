"""knarr import."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Import the contents from a tarball to create a filesystem image",
    usage="[OPTIONS] file|- [REPOSITORY[:TAG]]",
    options=(
        Option(
            "change", "Apply Dockerfile instruction to the created image", kind="list", short="c"
        ),
        Option("message", "Set commit message for imported image", kind="string", short="m"),
        Option("platform", "Set platform if server is multi-platform capable", kind="string"),
    ),
    minimum=1,
    maximum=2,
    completes="files",
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli.streams import open_input  # noqa: PLC0415 - not for --help
    from knarr.engine.image.importing import ImportOptions  # noqa: PLC0415
    from knarr.engine.images import parse_tag  # noqa: PLC0415
    from knarr.errors import Unsupported  # noqa: PLC0415
    from knarr.oci.descriptor import parse_platform  # noqa: PLC0415

    source, *names = arguments
    if source.startswith(("http://", "https://")):
        message = f"cannot import from a URL: {source}"
        raise Unsupported(message, hint=f"Pipe it in: curl -L {source} | knarr import - …")
    platform = options.text("platform")
    chosen = ImportOptions(
        reference=parse_tag(names[0]) if names else None,
        changes=tuple(options.texts("change")),
        message=options.text("message") or f"Imported from {source}",
        platform=parse_platform(platform) if platform else None,
    )
    with open_input(source) as stream:
        context.print(str(context.engine.images.import_archive(stream, chosen)))
    return 0
