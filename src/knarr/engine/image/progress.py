"""What moving an image tells while it is under way: of each layer, what is done with it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.oci.digest import Digest

    # The digest of a blob, what happens to it (Docker's words), bytes done, bytes in all.
    Report = Callable[[Digest, str, int, int], None]


def silent(digest: Digest, action: str, done: int, whole: int) -> None:
    """Tell nobody."""
    del digest, action, done, whole
