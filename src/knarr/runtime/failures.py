"""What an errno of the kernel means to who asked for a container.

`linux` raises OSError; here it becomes one of the classes of `knarr.errors`, with what was being
done as its message, and a hint where the kernel's word is known to mislead.
"""

from __future__ import annotations

import errno

from knarr.errors import (
    Failed,
    InvalidArgument,
    KnarrError,
    NotFound,
    PermissionDenied,
    Unsupported,
)

_BY_ERRNO: dict[int, type[KnarrError]] = {
    errno.EPERM: PermissionDenied,
    errno.EACCES: PermissionDenied,
    errno.EROFS: PermissionDenied,
    errno.ENOENT: NotFound,
    errno.ENOTDIR: InvalidArgument,
    errno.EINVAL: InvalidArgument,
    errno.ENODEV: Unsupported,
    errno.ENOSYS: Unsupported,
}
_HINTS = {
    errno.ENOSPC: "The limits fs.mount-max and user.max_*_namespaces are reported as a full disk.",
    errno.ENOSYS: "The kernel does not have the call, or a seccomp filter around us hides it.",
    errno.ELOOP: "A symbolic link stands where none may be, or links go in a circle.",
}


def from_errno(number: int, text: str, *, call: str = "") -> KnarrError:
    """Return the error whose meaning errno `number` has, with a note of the system call."""
    failure = _BY_ERRNO.get(number, Failed)(text, hint=_HINTS.get(number, ""))
    if call:
        failure.add_note(call)
    return failure


def failed(doing: str, error: OSError) -> KnarrError:
    """Return the error for `error`, which happened while `doing` something."""
    call = "; ".join(getattr(error, "__notes__", ()))
    return from_errno(error.errno or 0, f"{doing}: {reason(error)}", call=call)


def reason(error: OSError) -> str:
    """Return the kernel's word for an error, as the end of a message."""
    return (error.strerror or str(error)).lower()
