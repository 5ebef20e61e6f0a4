"""What trees take on disk."""

from __future__ import annotations

import os
import stat

from knarr.linux.tree import Walk
from knarr.snapshot.snapshotter import Usage


def of(directory: str) -> Usage:
    """Return what is below `directory`, which may be in use.

    Docker: the size of a container or layer is the sum of the lengths of its files and links
    """
    root_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    size = disk = inodes = 0
    seen: set[tuple[int, int]] = set()
    try:
        for _, _, _, status in Walk(root_fd):
            if not stat.S_ISDIR(status.st_mode):
                if status.st_nlink > 1:
                    key = (status.st_dev, status.st_ino)
                    if key in seen:
                        continue
                    seen.add(key)
                size += status.st_size
            disk += status.st_blocks * 512
            inodes += 1
    finally:
        os.close(root_fd)
    return Usage(size, disk, inodes)
