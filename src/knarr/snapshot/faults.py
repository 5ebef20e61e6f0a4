"""What errors of the file system mean to whoever asked for a snapshot."""

from __future__ import annotations

import errno

from knarr.errors import Failed, KnarrError, PermissionDenied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class storage:  # noqa: N801 - reads as the statement it is: with storage("unpacking the layer")
    """Raise errors of full disks and missing rights as what they mean; let the others pass.

    `what` is being done, as the message begins with it.
    """

    def __init__(self, what: str) -> None:
        """Keep `what`."""
        self._what = what

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Translate."""
        if isinstance(error, OSError) and not isinstance(error, KnarrError):
            meaning = meaning_of(error, self._what)
            if meaning:
                raise meaning from error


def meaning_of(error: OSError, what: str) -> KnarrError | None:
    """Return the error for a person, None if `error` tells only what a developer understands."""
    if error.errno in _FULL:
        hint = (
            "Free some space: knarr system df shows what takes it, knarr system prune removes it."
        )
        return Failed(f"{what}: no space left on device", hint=hint)
    if error.errno in _REFUSED:
        return PermissionDenied(f"{what}: {error.strerror}")
    return None
