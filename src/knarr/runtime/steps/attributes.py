"""The attributes of a mount: what is forbidden on it, and how times of access are kept.

Man: mount_setattr(2)
"""

from __future__ import annotations

import os

from knarr.linux import mount
from knarr.linux.mount import (
    AT_EMPTY_PATH,
    AT_RECURSIVE,
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.steps.options import MountOptions

_FORBIDDING = (
    MOUNT_ATTR_RDONLY
    | MOUNT_ATTR_NOSUID
    | MOUNT_ATTR_NODEV
    | MOUNT_ATTR_NOEXEC
    | MOUNT_ATTR_NOSYMFOLLOW
)
# <sys/statvfs.h>: how an open file tells what is locked once it is set
_LOCKED = (
    (os.ST_RDONLY, MOUNT_ATTR_RDONLY),
    (os.ST_NOSUID, MOUNT_ATTR_NOSUID),
    (os.ST_NODEV, MOUNT_ATTR_NODEV),
    (os.ST_NOEXEC, MOUNT_ATTR_NOEXEC),
)


def set_attributes(mount_fd: int, options: MountOptions) -> None:
    """Set what `options` say of the mount, and of all below it."""
    if options.recursive_set or options.recursive_clear:
        mount.mount_setattr(
            mount_fd,
            "",
            AT_EMPTY_PATH | AT_RECURSIVE,
            attr_set=options.recursive_set,
            attr_clr=options.recursive_clear,
        )
    if options.set or options.clear:
        mount.mount_setattr(
            mount_fd, "", AT_EMPTY_PATH, attr_set=options.set, attr_clr=options.clear
        )


def bind_attributes(mount_fd: int, options: MountOptions) -> None:
    """Give a copied mount the attributes that `options` say, without those it had on the host.

    If they say nothing of attributes it keeps what it has, and that of times also if they only take
    away; so it is with runc. What the host forbids and has locked stays, unless that is explicitly
    to be allowed, which is an error.
    """
    chosen = MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME if options.names_times() else 0
    if not (options.set or options.clear or chosen):
        set_attributes(mount_fd, options)
        return
    wanted = options.set & (_FORBIDDING | chosen)
    try:
        _replace(mount_fd, wanted, _FORBIDDING | chosen)
    except PermissionError:
        kept = _forbidden(mount_fd) & ~options.clear
        _replace(mount_fd, wanted | kept, (_FORBIDDING | chosen) & ~kept)
    if options.recursive_set or options.recursive_clear:
        set_attributes(mount_fd, options)


def _replace(mount_fd: int, wanted: int, out_of: int) -> None:
    """Set `wanted`, and clear the rest of the attributes in `out_of`."""
    clear = out_of & ~wanted | (MOUNT_ATTR__ATIME if out_of & MOUNT_ATTR__ATIME else 0)
    mount.mount_setattr(mount_fd, "", AT_EMPTY_PATH, attr_set=wanted, attr_clr=clear)


def _forbidden(mount_fd: int) -> int:
    flags = os.fstatvfs(mount_fd).f_flag
    return sum(attribute for flag, attribute in _LOCKED if flags & flag)
