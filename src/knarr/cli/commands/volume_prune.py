"""knarr volume prune."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Remove unused local volumes",
    options=(
        Option("all", "Remove all unused volumes, not just anonymous ones", short="a"),
        Option(
            "filter", 'Provide filter values (e.g. "label=<label>")', kind="filter",
            metavar="filter",
        ),
        Option("force", "Do not prompt for confirmation", short="f"),
    ),
)  # fmt: skip
WARNING = "This will remove {}local volumes not used by at least one container."


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.confirm import confirmed  # noqa: PLC0415 - not for --help
    from knarr.util.text import human_size  # noqa: PLC0415

    every = options.flag("all")
    warning = WARNING.format("all " if every else "anonymous ")
    if not options.flag("force") and not confirmed(context, warning):
        return 0
    removed, freed = context.engine.volumes.prune(options.texts("filter"), every=every)
    if removed:
        context.print("Deleted Volumes:")
        for name in removed:
            context.print(name)
        context.print()
    context.print(f"Total reclaimed space: {human_size(freed)}")
    return 0
