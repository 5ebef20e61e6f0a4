"""The content of one file, copied by the cheapest way the file systems offer."""

from __future__ import annotations

import errno
import os

from knarr.linux import files
from knarr.snapshot import holes

TYPE_CHECKING = False

_SMALL = 1 << 16  # below this, one read and one write cost less than asking for more
_MOST = 1 << 30  # bytes asked of copy_file_range(2) at once
_CANNOT = (
    errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOTTY, errno.EPERM, errno.EXDEV,
)  # fmt: skip

_no_clones: set[tuple[int, int]] = set()


def copy_content(source_fd: int, target_fd: int, status: os.stat_result) -> None:
    """Copy all of the open file `source_fd`, with `status`, into the new and empty `target_fd`.

    Shares the data where the file system can (reflink); holes stay holes; what is appended or cut
    off meanwhile is copied as far as it was there.
    """
    size = status.st_size
    if size <= _SMALL:
        while data := os.read(source_fd, _SMALL):
            _write(target_fd, data)
        return
    if _cloned(source_fd, target_fd, status.st_dev):
        return
    if status.st_blocks * 512 >= size:
        _copy_range(source_fd, target_fd, 0, size)
    else:
        for offset, length in holes.find(source_fd, size):
            _copy_range(source_fd, target_fd, offset, length)
        os.ftruncate(target_fd, size)


def _cloned(source_fd: int, target_fd: int, source_device: int) -> bool:
    pair = (source_device, os.fstat(target_fd).st_dev)
    if pair in _no_clones:
        return False
    try:
        files.ficlone(source_fd, target_fd)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        _no_clones.add(pair)
        return False
    return True


def _copy_range(source_fd: int, target_fd: int, offset: int, length: int) -> None:
    end = offset + length
    while offset < end:
        try:
            copied = os.copy_file_range(
                source_fd, target_fd, min(end - offset, _MOST), offset, offset
            )
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            _copy_by_hand(source_fd, target_fd, offset, end)
            return
        if not copied:
            return
        offset += copied


def _copy_by_hand(source_fd: int, target_fd: int, offset: int, end: int) -> None:
    while offset < end:
        data = os.pread(source_fd, min(end - offset, 1 << 20), offset)
        if not data:
            return
        view = memoryview(data)
        while view:
            written = os.pwrite(target_fd, view, offset)
            offset += written
            view = view[written:]


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
