"""Extended attributes of any kind of file, by descriptor or by name in a directory.

There is no `…at` form of these calls before Linux 6.13, so a name in an open directory is reached
through /proc/self/fd; links are never followed.

Man: xattr(7)
"""

from __future__ import annotations

import errno
import os

CAPABILITY = "security.capability"

_NONE = (errno.ENOTSUP, errno.ENODATA, errno.ENOENT)


def place(directory_fd: int, name: str) -> str:
    """Return a path for `name` in the open directory, for these functions."""
    return f"/proc/self/fd/{directory_fd}/{name}"


def names(target: int | str) -> list[str]:
    """Return the names of all attributes of the open file or of the path `target`.

    File systems without extended attributes have none, nor has what vanished meanwhile.
    """
    try:
        return os.listxattr(target, follow_symlinks=isinstance(target, int))
    except OSError as error:
        if error.errno in _NONE:
            return []
        raise


def read_all(target: int | str) -> dict[str, bytes]:
    """Return all attributes of the open file or of the path `target`; of a link its own."""
    found = {}
    for name in names(target):
        value = read(target, name)
        if value is not None:
            found[name] = value
    return found


def read(target: int | str, name: str) -> bytes | None:
    """Return one attribute, None if there is no such attribute."""
    try:
        return os.getxattr(target, name, follow_symlinks=isinstance(target, int))
    except OSError as error:
        if error.errno in _NONE:
            return None
        raise


def write(target: int | str, name: str, value: bytes) -> None:
    """Set one attribute."""
    os.setxattr(target, name, value, follow_symlinks=isinstance(target, int))


def remove(target: int | str, name: str) -> None:
    """Remove one attribute, if it is there."""
    try:
        os.removexattr(target, name, follow_symlinks=isinstance(target, int))
    except OSError as error:
        if error.errno not in _NONE:
            raise
