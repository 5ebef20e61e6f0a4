"""knarr container prune."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove all stopped containers",
    options=(
        Option(
            "filter", 'Provide filter values (e.g. "until=<timestamp>")', kind="filter",
            metavar="filter",
        ),
        Option("force", "Do not prompt for confirmation", short="f"),
    ),
)  # fmt: skip
WARNING = (
    "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] "
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.engine.container.pruning import prune  # noqa: PLC0415 - not for --help
    from knarr.util.text import human_size  # noqa: PLC0415

    if not options.flag("force"):
        import sys  # noqa: PLC0415 - for who is asked

        context.print(WARNING, end="")
        context.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            context.print()
            return 0
    removed, freed = prune(context.engine, options.texts("filter"))
    if removed:
        context.print("Deleted Containers:")
        for container_id in removed:
            context.print(container_id)
        context.print()
    context.print(f"Total reclaimed space: {human_size(freed)}")
    return 0
