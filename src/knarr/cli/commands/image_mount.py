"""knarr image mount."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.engine.image.mounting import Shown

COMMAND = Command(
    short="Mount the file system of one or more images, read-only",
    usage="[OPTIONS] [IMAGE...]",
    options=(
        Option("all", "Mount all images", short="a"),
        Option(
            "format", "Print the mounted images as this: json", kind="string", completes="json"
        ),
        Option(
            "target", "Mount the image at this directory", kind="string", completes="directories"
        ),
    ),
    maximum=None,
    long=(
        "Mount the file system of one or more images, read-only, and print where it is. Without "
        "images list those that are mounted. A mount stays until the image is unmounted, or the "
        "machine is booted again."
    ),
    completes="images",
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.image import mounting  # noqa: PLC0415 - not for --help
    from knarr.errors import InvalidArgument  # noqa: PLC0415

    engine, form, target = context.engine, options.text("format"), options.text("target")
    if form not in ("", "json"):
        message = f"unknown --format argument: {form}"
        raise InvalidArgument(message, hint="It is json, or left out.")
    if options.flag("all"):
        if arguments:
            message = "when using the --all switch, you may not pass any image names or IDs"
            raise InvalidArgument(message)
        arguments = [str(image.row.id) for image in engine.images.list(every=True)]
    if target and len(arguments) != 1:
        message = "--target is for one image"
        raise InvalidArgument(message)
    shown = [mounting.mount(engine, name, target=target) for name in arguments]
    if not arguments and not options.flag("all"):
        shown = mounting.mounts(engine.paths)[::-1]
    if form == "json":
        _print_json(context, shown)
    elif len(arguments) == 1:
        context.print(shown[0].path)
    else:
        _print_list(context, shown)
    return 0


def _names(context: Context, shown: Shown) -> tuple[list[str], list[str]]:
    """Return names with a tag, and with a digest; none if the image is gone."""
    row = context.engine.images.records.find(shown.image)
    if row is None:
        return [], []
    image = context.engine.images.image(row)
    return [name.familiar() for name in image.tags], [str(name.digest) for name in image.digests]


def _print_list(context: Context, shown: list[Shown]) -> None:
    named = [((_names(context, one)[0] or [one.image.short])[0], one.path) for one in shown]
    width = max((len(name) for name, _ in named), default=0)
    for name, path in named:
        context.print(f"{name:<{width}}  {path}")


def _print_json(context: Context, shown: list[Shown]) -> None:
    documents = []
    for one in shown:
        tags, digests = _names(context, one)
        documents.append(
            {"id": one.image.hex, "Names": digests, "Repositories": tags, "mountpoint": one.path}
        )
    context.print(jsontext.pretty(documents, " "))
