"""Asking before something is removed for good."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context


def confirmed(context: Context, warning: str) -> bool:
    """Print a warning with a question, and tell whether the answer is yes."""
    import sys  # noqa: PLC0415 - for who is asked

    context.print(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ", end="")
    context.stdout.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    context.print()
    return False
