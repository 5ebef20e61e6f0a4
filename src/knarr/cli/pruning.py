"""What all prunes print, and their option to only say what would go."""

from __future__ import annotations

from knarr.cli.command import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.cli.command import Context

DRY_RUN = Option("dry-run", "Only show what would be removed, and how much that would free")


def report(context: Context, title: str, lines: Iterable[str], *, dry_run: bool) -> None:
    """Print what was removed, or would be: nothing for nothing."""
    lines = list(lines)
    if not lines:
        return
    context.print(f"Would delete {title}:" if dry_run else f"Deleted {title}:")
    for line in lines:
        context.print(line)
    context.print()


def report_size(context: Context, freed: int, *, dry_run: bool) -> None:
    """Print how many bytes that is."""
    from knarr.util.text import human_size  # noqa: PLC0415 - not for --help

    words = "Total reclaimable space" if dry_run else "Total reclaimed space"
    context.print(f"{words}: {human_size(freed)}")
