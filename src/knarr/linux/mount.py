"""Mounts: the calls of mount(2) and of the descriptor-based API that followed it.

A mount made by `fsmount` or `open_tree` with OPEN_TREE_CLONE is detached: it hangs nowhere, can be
walked through its descriptor, and is gone when the descriptor is closed, however the process ends.
`attach` gives it a place.

Man: mount(2), umount2(2), pivot_root(2), mount_setattr(2)
Man: fsopen(2), fsconfig(2), fsmount(2), move_mount(2), open_tree(2)
"""

from __future__ import annotations

import os

from knarr.linux import libc
from knarr.linux.libc import (
    Structure,
    byref,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_uint64,
    c_ulong,
    c_void_p,
    sizeof,
)

# <linux/mount.h>, flags of mount(2)
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_NOATIME = 0x400
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000

# <sys/mount.h>, flags of umount2(2)
MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

# <linux/mount.h>, the descriptor-based calls
FSOPEN_CLOEXEC = 0x1
FSMOUNT_CLOEXEC = 0x1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
OPEN_TREE_CLONE = 0x1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR__ATIME = 0x70
MOUNT_ATTR_RELATIME = 0x0
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x100000
MOUNT_ATTR_NOSYMFOLLOW = 0x200000

# <linux/magic.h>
XFS_SUPER_MAGIC = 0x58465342
PROC_SUPER_MAGIC = 0x9FA0
DEVPTS_SUPER_MAGIC = 0x1CD1

# <fcntl.h>
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
AT_SYMLINK_NOFOLLOW = 0x100


class mount_attr(Structure):  # noqa: N801 - the kernel's name
    """What mount_setattr(2) changes; MOUNT_ATTR_SIZE_VER0 is 32 bytes."""

    _fields_ = (
        ("attr_set", c_uint64),
        ("attr_clr", c_uint64),
        ("propagation", c_uint64),
        ("userns_fd", c_uint64),
    )


_mount = libc.function("mount", c_char_p, c_char_p, c_char_p, c_ulong, c_char_p)
_umount2 = libc.function("umount2", c_char_p, c_int)
_pivot_root = libc.syscall(
    155 if os.uname().machine == "x86_64" else 41, "pivot_root", c_char_p, c_char_p
)
_open_tree = libc.syscall(428, "open_tree", c_int, c_char_p, c_uint)
_move_mount = libc.syscall(429, "move_mount", c_int, c_char_p, c_int, c_char_p, c_uint)
_fsopen = libc.syscall(430, "fsopen", c_char_p, c_uint)
_fsconfig = libc.syscall(431, "fsconfig", c_int, c_uint, c_char_p, c_char_p, c_int)
_fsmount = libc.syscall(432, "fsmount", c_int, c_uint, c_uint)
_fstatfs = libc.function("fstatfs", c_int, c_void_p)
_mount_setattr = libc.syscall(442, "mount_setattr", c_int, c_char_p, c_uint, c_void_p, c_size_t)


def mount(
    source: str | None, target: str, fstype: str | None, flags: int, data: str | None
) -> None:
    """Mount, remount, bind, move or change propagation, as `flags` say."""
    _mount(_encode(source), os.fsencode(target), _encode(fstype), flags, _encode(data))


def umount2(target: str, flags: int = 0) -> None:
    """Unmount what is mounted at `target`."""
    _umount2(os.fsencode(target), flags)


def pivot_root(new_root: str, put_old: str) -> None:
    """Make `new_root` the root mount and hang the old one at `put_old`."""
    _pivot_root(os.fsencode(new_root), os.fsencode(put_old))


def open_tree(directory_fd: int, path: str, flags: int) -> int:
    """Return a descriptor of the mount at `path`, or with OPEN_TREE_CLONE a detached copy."""
    return _open_tree(directory_fd, os.fsencode(path), flags | OPEN_TREE_CLOEXEC)


def attach(mount_fd: int, target_fd: int) -> None:
    """Attach the detached mount that is open as `mount_fd` to the place open as `target_fd`."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    _move_mount(mount_fd, b"", target_fd, b"", flags)


def fsopen(fstype: str) -> int:
    """Return a descriptor in which a new mount of `fstype` is configured."""
    return _fsopen(os.fsencode(fstype), FSOPEN_CLOEXEC)


def fsconfig_string(fs_fd: int, key: str, value: str) -> None:
    """Set a parameter; the kernel takes at most 255 bytes of `value`."""
    _fsconfig(fs_fd, FSCONFIG_SET_STRING, os.fsencode(key), os.fsencode(value), 0)


def fsconfig_flag(fs_fd: int, key: str) -> None:
    """Set a parameter that takes no value."""
    _fsconfig(fs_fd, FSCONFIG_SET_FLAG, os.fsencode(key), None, 0)


def fsconfig_create(fs_fd: int) -> None:
    """Make the superblock from the parameters set so far."""
    _fsconfig(fs_fd, FSCONFIG_CMD_CREATE, None, None, 0)


def fsmount(fs_fd: int, attributes: int = 0) -> int:
    """Return a detached mount of what `fs_fd` configured, with MOUNT_ATTR_… `attributes`."""
    return _fsmount(fs_fd, FSMOUNT_CLOEXEC, attributes)


def mount_setattr(
    directory_fd: int,
    path: str,
    flags: int,
    *,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    userns_fd: int = 0,
) -> None:
    """Change attributes of the mount at `path`, with AT_RECURSIVE of all mounts below it too."""
    attributes = mount_attr(attr_set, attr_clr, propagation, userns_fd)
    size = sizeof(attributes)
    _mount_setattr(directory_fd, os.fsencode(path), flags, byref(attributes), size)


def filesystem_type(descriptor: int) -> int:
    """Return the magic number of the file system that an open file is on.

    Man: fstatfs(2)
    """
    status = (c_ulong * 32)()
    _fstatfs(descriptor, byref(status))
    return status[0]


def kind_of(device: int) -> str:
    """Return the type of a mounted file system by its device; empty if it is mounted nowhere here.

    Man: proc_pid_mountinfo(5)
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if left.split(" ")[2] == number:
                return right.split(" ")[0]
    return ""


def _encode(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)
