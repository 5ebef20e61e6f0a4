"""Filling an empty volume with what an image has where it is mounted."""

from __future__ import annotations

import errno
import os

from knarr.linux import path as paths
from knarr.linux import whiteout, xattr
from knarr.linux.tree import remove_tree
from knarr.snapshot.copy import copy_tree
from knarr.util.trace import trace

DATA = "_data"

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_up(image_fd: int, target: str, volume_fd: int, *, aside: str) -> None:
    """Copy the directory at `target` in an image to be the data of the volume `volume_fd`.

    Nothing happens if the image has no directory there, or the volume is not empty by now. With
    `aside` the copy is made in a directory of this name, which becomes the data when it is whole.
    The caller holds the volume's lock.
    """
    source_fd = _open_source(image_fd, target)
    if source_fd < 0:
        return
    try:
        name = aside or DATA
        if aside:
            remove_tree(volume_fd, aside)
            os.mkdir(aside, 0o700, dir_fd=volume_fd)
        target_fd = os.open(name, _DIRECTORY, dir_fd=volume_fd)
        try:
            if not _empty(volume_fd):
                return
            copy_tree(source_fd, "/", target_fd, "/")
            trace("volumes:copied")
            _make_alike(source_fd, target_fd)
        finally:
            os.close(target_fd)
        if aside:
            os.rename(aside, DATA, src_dir_fd=volume_fd, dst_dir_fd=volume_fd)
    finally:
        os.close(source_fd)


def _open_source(image_fd: int, target: str) -> int:
    try:
        return paths.open_in_root(image_fd, target, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return -1
        raise


def _empty(volume_fd: int) -> bool:
    data_fd = os.open(DATA, _DIRECTORY, dir_fd=volume_fd)
    try:
        return not os.listdir(data_fd)
    finally:
        os.close(data_fd)


def _make_alike(source_fd: int, target_fd: int) -> None:
    """Give one directory owner, mode, attributes and times of another."""
    status = os.fstat(source_fd)
    os.fchown(target_fd, status.st_uid, status.st_gid)
    os.fchmod(target_fd, status.st_mode & 0o7777)
    for name, value in xattr.read_all(source_fd).items():
        if not name.startswith(whiteout.XATTRS):
            xattr.write(target_fd, name, value)
    os.utime(target_fd, ns=(status.st_mtime_ns, status.st_mtime_ns))
