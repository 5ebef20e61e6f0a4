"""Filling an empty volume with what an image has where it is mounted."""

from __future__ import annotations

import errno
import os

from knarr.engine.volume.content import copy_whole
from knarr.engine.volume.directories import DATA, DIRECTORY
from knarr.linux import path as paths
from knarr.linux.tree import remove_tree
from knarr.util.trace import trace


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
        target_fd = os.open(name, DIRECTORY, dir_fd=volume_fd)
        try:
            if not _empty(volume_fd):
                return
            copy_whole(source_fd, target_fd)
            trace("volumes:copied")
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
    data_fd = os.open(DATA, DIRECTORY, dir_fd=volume_fd)
    try:
        return not os.listdir(data_fd)
    finally:
        os.close(data_fd)
