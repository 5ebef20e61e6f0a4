"""knarr system df."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.output import FORMAT, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.cli.command import Context, Options
    from knarr.cli.output import Row
    from knarr.engine.space.diskusage import DiskUse, Share

COMMAND = Command(
    short="Show disk usage",
    options=(
        FORMAT,
        Option("verbose", "Show detailed information on space usage", short="v"),
    ),
)
SUMMARY = Listing(
    headers={
        "Type": "TYPE",
        "TotalCount": "TOTAL",
        "Active": "ACTIVE",
        "Size": "SIZE",
        "Reclaimable": "RECLAIMABLE",
    },
    table=("Type", "TotalCount", "Active", "Size", "Reclaimable"),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.output import show  # noqa: PLC0415 - not for --help
    from knarr.engine.space.diskusage import disk_use  # noqa: PLC0415 - as above
    from knarr.errors import InvalidArgument  # noqa: PLC0415 - as above

    form = options.text("format")
    if not options.flag("verbose"):
        show(
            context, SUMMARY, [_summary(share) for share in disk_use(context.engine).shares()], form
        )
        return 0
    if form:
        message = "the format of --verbose is fixed"
        raise InvalidArgument(message, hint="Leave out --format or --verbose.")
    for title, listing, rows in _details(disk_use(context.engine)):
        context.print(f"{title}:\n")
        show(context, listing, rows)
        context.print()
    return 0


def _summary(share: Share) -> Row:
    from knarr.util.text import human_size  # noqa: PLC0415 - not for --help

    reclaimable = human_size(share.reclaimable)
    if share.size and share.kind != "Build Cache":
        reclaimable += f" ({share.reclaimable * 100 // share.size}%)"
    return {
        "Type": share.kind,
        "TotalCount": str(share.total),
        "Active": str(share.active),
        "Size": human_size(share.size),
        "Reclaimable": reclaimable,
    }


def _listing(*titles: str) -> Listing:
    """Return a list whose placeholders are its headers: there is no format to name them in."""
    return Listing(headers={title: title for title in titles}, table=titles)


IMAGES = _listing(
    "REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"
)
CONTAINERS = _listing(
    "CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"
)
VOLUMES = _listing("VOLUME NAME", "LINKS", "SIZE")
CACHE = _listing("CACHE ID", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED")


def _details(use: DiskUse) -> Iterable[tuple[str, Listing, list[Row]]]:
    """Yield the title, the columns and the rows of each table."""
    import time  # noqa: PLC0415 - not for --help

    now_ns = time.time_ns()
    yield "Images space usage", IMAGES, list(_images(use, now_ns))
    yield "Containers space usage", CONTAINERS, list(_containers(use, now_ns))
    yield "Local Volumes space usage", VOLUMES, list(_volumes(use))
    yield "Build cache usage", CACHE, list(_cache(use, now_ns))


def _ago(when_ns: int, now_ns: int) -> str:
    from knarr.util.text import human_duration  # noqa: PLC0415 - not for --help

    return f"{human_duration((now_ns - when_ns) / 1e9)} ago"


def _images(use: DiskUse, now_ns: int) -> Iterable[Row]:
    from knarr.util.text import human_size  # noqa: PLC0415 - not for --help

    for entry in use.images:
        row = entry.image.row
        names = [
            (reference.replace(tag=None).familiar(), reference.tag or "<none>")
            for reference in entry.image.tags
        ]
        for repository, tag in names or [("<none>", "<none>")]:
            cells = (
                repository, tag, row.id.hex[:12], _ago(row.created_ns, now_ns),
                human_size(row.size), human_size(entry.shared), human_size(entry.unique),
                str(entry.containers),
            )  # fmt: skip
            yield dict(zip(IMAGES.table, cells, strict=True))


def _containers(use: DiskUse, now_ns: int) -> Iterable[Row]:
    from knarr.util.quoting import quote  # noqa: PLC0415 - not for --help
    from knarr.util.text import ellipsis, human_size  # noqa: PLC0415 - as above

    for entry in use.containers:
        container, options = entry.container, entry.container.options
        words = " ".join(options.process_arguments())
        volumes = sum(mount.kind == "volume" for mount in options.mounts)
        cells = (
            container.id[:12], options.image, quote(ellipsis(words, 20)), str(volumes),
            human_size(entry.size), _ago(container.row.created_ns, now_ns),
            container.state.words(now_ns), container.name,
        )  # fmt: skip
        yield dict(zip(CONTAINERS.table, cells, strict=True))


def _volumes(use: DiskUse) -> Iterable[Row]:
    from knarr.util.text import human_size  # noqa: PLC0415 - not for --help

    for entry in use.volumes:
        cells = (entry.name, str(entry.links), human_size(entry.size))
        yield dict(zip(VOLUMES.table, cells, strict=True))


def _cache(use: DiskUse, now_ns: int) -> Iterable[Row]:
    from knarr.util.text import human_size  # noqa: PLC0415 - not for --help

    for entry in use.cache:
        row = entry.row
        cells = (
            row.key.removeprefix("sha256:")[:12], human_size(entry.size),
            _ago(row.created_ns, now_ns), _ago(row.used_ns, now_ns), str(row.uses),
            "true" if entry.shared else "false",
        )  # fmt: skip
        yield dict(zip(CACHE.table, cells, strict=True))
