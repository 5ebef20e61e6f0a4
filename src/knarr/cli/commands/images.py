"""knarr images."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.output import FORMAT, NO_TRUNC, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.cli.command import Context, Options
    from knarr.cli.output import Row
    from knarr.engine.images import Image

COMMAND = Command(
    short="List images",
    usage="[OPTIONS] [REPOSITORY[:TAG]]",
    options=(
        Option("all", "Show all images (default hides intermediate images)", short="a"),
        Option("digests", "Show digests"),
        Option(
            "filter", "Filter output based on conditions provided", kind="filter", short="f",
            metavar="filter",
        ),
        FORMAT,
        NO_TRUNC,
        Option("quiet", "Only show image IDs", short="q"),
        Option("tree", "List the platforms of each image as a tree"),
    ),
    maximum=1,
    completes="images",
)  # fmt: skip
HEADERS = {
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "Containers": "CONTAINERS",
}
TABLE = ("Repository", "Tag", "ID", "CreatedSince", "Size")
WITH_DIGESTS = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size")
NONE = "<none>"


def run(context: Context, options: Options, arguments: list[str]) -> int:
    import time  # noqa: PLC0415 - not for --help

    from knarr.cli.output import show  # noqa: PLC0415 - as above
    from knarr.engine.image.filters import parse_image_filters  # noqa: PLC0415

    if options.flag("tree"):
        _refuse_beside_tree(options)
    now_ns = time.time_ns()
    pattern = arguments[0] if arguments else ""
    filters = parse_image_filters(options.texts("filter"), now_ns=now_ns, reference=pattern)
    found = context.engine.images.list(filters, every=options.flag("all"))
    if options.flag("tree"):
        _show_tree(context, found, every=options.flag("all"))
        return 0
    form = options.text("format")
    full = options.flag("no-trunc")
    digests = options.flag("digests") or "Digest" in form
    lines = [(image, *names) for image in found for names in names_of(image, digests=digests)]
    if options.flag("quiet") and form in ("", "table"):
        for image, *_ in lines:
            context.print(str(image.row.id) if full else image.row.id.short)
        return 0
    listing = Listing(HEADERS, WITH_DIGESTS if options.flag("digests") else TABLE)
    rows = [_row(line, now_ns=now_ns, full=full) for line in lines]
    show(context, listing, rows, form)
    return 0


def _refuse_beside_tree(options: Options) -> None:
    from knarr.errors import InvalidArgument  # noqa: PLC0415 - not for --help

    for name in ("quiet", "no-trunc", "digests", "format"):
        if options.given(name):
            message = f"conflicting options: cannot specify both --tree and --{name}"
            raise InvalidArgument(message)


def _show_tree(context: Context, images: list[Image], *, every: bool) -> None:
    from knarr.cli.imagetree import lines  # noqa: PLC0415 - not for --help
    from knarr.engine.image.family.tree import families  # noqa: PLC0415

    found = [one for one in families(context.engine, images) if one.names or every]
    for line in lines(found, context.columns()):
        context.print(line)


def names_of(image: Image, *, digests: bool) -> Iterable[tuple[str, str, str]]:
    """Yield (repository, tag, digest) for each line that an image takes.

    Docker: without `digests` a digest has a line of its own only if no tag is of its repository
    """
    by_name: dict[str, list[str]] = {}
    for reference in image.digests:
        by_name.setdefault(reference.familiar_name, []).append(str(reference.digest))
    for reference in image.tags:
        known = by_name.get(reference.familiar_name, []) if digests else []
        for digest in known or [NONE]:
            yield reference.familiar_name, reference.tag or NONE, digest
    tagged = {reference.familiar_name for reference in image.tags}
    for name, known in by_name.items():
        if name not in tagged:
            for digest in known if digests else [NONE]:
                yield name, NONE, digest
    if not image.tags and not image.digests:
        yield NONE, NONE, NONE


def _row(line: tuple[Image, str, str, str], *, now_ns: int, full: bool) -> Row:
    from knarr.util.text import human_size  # noqa: PLC0415 - not for --help

    image, repository, tag, digest = line
    size = human_size(image.row.size, precision=3)
    return {
        "Containers": "N/A",
        "CreatedAt": lambda: created_at(image.row.created_ns),
        "CreatedSince": created_since(image.row.created_ns, now_ns),
        "Digest": digest,
        "ID": str(image.row.id) if full else image.row.id.short,
        "Repository": repository,
        "SharedSize": "N/A",
        "Size": size,
        "Tag": tag,
        "UniqueSize": "N/A",
        "VirtualSize": size,
    }


def created_since(created_ns: int, now_ns: int) -> str:
    """Return how long ago something was created, if that is known."""
    from knarr.util.text import human_duration  # noqa: PLC0415 - not for --help

    return f"{human_duration((now_ns - created_ns) / 1e9)} ago" if created_ns else "N/A"


def created_at(created_ns: int) -> str:
    """Return the local time of a creation, as Go prints times."""
    import time  # noqa: PLC0415 - not for --help

    if not created_ns:
        return "N/A"
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(created_ns // 10**9))
