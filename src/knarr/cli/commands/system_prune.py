"""knarr system prune."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.cli.command import Context, Options
    from knarr.engine.engine import Engine

COMMAND = Command(
    short="Remove unused data",
    options=(
        Option("all", "Remove all unused images not just dangling ones", short="a"),
        Option(
            "filter", 'Provide filter values (e.g. "until=<timestamp>")', kind="filter",
            metavar="filter",
        ),
        Option("force", "Do not prompt for confirmation", short="f"),
        Option("volumes", "Prune anonymous volumes"),
    ),
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.confirm import confirmed  # noqa: PLC0415 - not for --help
    from knarr.errors import InvalidArgument  # noqa: PLC0415 - as above
    from knarr.util.text import human_size  # noqa: PLC0415 - as above

    filters, volumes = options.texts("filter"), options.flag("volumes")
    if volumes and any(text.startswith("until=") for text in filters):
        message = 'the "until" filter is not supported with "--volumes"'
        raise InvalidArgument(message)
    every = options.flag("all")
    if not options.flag("force") and not confirmed(context, _warning(every=every, volumes=volumes)):
        return 0
    freed = 0
    for title, lines, size in _prune(context.engine, filters, every=every, volumes=volumes):
        freed += size
        if lines:
            context.print(f"Deleted {title}:")
            for line in lines:
                context.print(line)
            context.print()
    context.print(f"Total reclaimed space: {human_size(freed)}")
    return 0


def _warning(*, every: bool, volumes: bool) -> str:
    lines = [
        "all stopped containers",
        "all networks not used by at least one container",
        *(["all anonymous volumes not used by at least one container"] if volumes else []),
        "all images without at least one container associated to them"
        if every
        else "all dangling images",
        "all build cache" if every else "unused build cache",
    ]
    return "This will remove:\n" + "".join(f"  - {line}\n" for line in lines)


def _prune(
    engine: Engine, filters: list[str], *, every: bool, volumes: bool
) -> Iterable[tuple[str, list[str], int]]:
    """Remove what is unused, kind by kind; yield what kind, what it was, and the bytes."""
    from knarr.engine.build import pruning as build_pruning  # noqa: PLC0415 - not for --help
    from knarr.engine.container import pruning  # noqa: PLC0415 - not for --help

    containers, freed = pruning.prune(engine, filters)
    yield "Containers", containers, freed
    yield "Networks", [network.name for network in engine.networks.prune(filters)], 0
    if volumes:
        names, freed = engine.volumes.prune(filters)
        yield "Volumes", names, freed
    pruned = engine.images.prune(filters, every=every)
    lines = [
        f"untagged: {one.untagged}" if one.untagged else f"deleted: {one.deleted}"
        for one in pruned.removed
    ]
    yield "Images", lines, pruned.freed
    # Entries of the cache have no labels.
    until = [text for text in filters if text.startswith("until=")]
    if until or not filters:
        keys, freed = build_pruning.prune(engine, until, every=every)
        yield "build cache objects", [key.removeprefix("sha256:") for key in keys], freed
