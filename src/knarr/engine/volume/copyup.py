"""Filling an empty volume with what an image has where it is mounted.

The copy is made aside and takes the place of the empty directory by a rename, unless another
container may be looking at that directory already; then it is filled where it is, as are volumes
that are not directories of ours.
"""

from __future__ import annotations

import errno
import os

from knarr.engine.volume.content import copy_whole, open_content
from knarr.engine.volume.directories import DATA, DIRECTORY, Locked
from knarr.engine.volume.driver import is_plain, is_shared
from knarr.linux import path as paths
from knarr.linux.tree import remove_tree
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.engine import Engine
    from knarr.engine.options.values import MountRequest
    from knarr.oci.digest import Digest

_FILLING = ".filling"


def fill(engine: Engine, stack: tuple[Digest, ...], mounts: Iterable[MountRequest]) -> None:
    """Do that for every volume in `mounts` that may be empty, and would keep what it gets."""
    wanted = [m for m in mounts if not m.nocopy and not m.subpath and _fillable(engine, m.source)]
    if not wanted:
        return
    image_fd = engine.layers.mount(stack, readonly=True)
    try:
        for mount in wanted:
            _fill(engine, image_fd, mount)
    finally:
        os.close(image_fd)


def _fillable(engine: Engine, name: str) -> bool:
    volume = engine.volumes.get(name)
    if is_plain(volume.options):
        return not os.listdir(volume.path)
    return not is_shared(volume.options)


def _fill(engine: Engine, image_fd: int, mount: MountRequest) -> None:
    volumes, name = engine.volumes, mount.source
    with Locked(f"{volumes.directories.top}/{name}") as volume_fd:
        if is_plain(volumes.get(name).options):
            alone = len(volumes.users(name)) <= 1
            _copy_up(image_fd, mount.target, volume_fd, aside=_FILLING if alone else "")
            return
        data_fd = open_content(engine, name)
        try:
            _copy_into(image_fd, mount.target, data_fd)
        finally:
            os.close(data_fd)


def _copy_up(image_fd: int, target: str, volume_fd: int, *, aside: str) -> None:
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


def _copy_into(image_fd: int, target: str, data_fd: int) -> None:
    """Copy the directory at `target` in an image to the open directory `data_fd`, if that is empty.

    For volumes that cannot be filled aside, since they are not ours.
    """
    source_fd = _open_source(image_fd, target)
    if source_fd < 0:
        return
    try:
        if not os.listdir(data_fd):
            copy_whole(source_fd, data_fd)
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
