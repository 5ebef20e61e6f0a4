"""The content of one file, copied by the cheapest way the file systems offer."""

from __future__ import annotations

import errno
import os

from knarr.linux import files
from knarr.snapshot import holes
from knarr.snapshot.contents import SMALL
from knarr.util.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE = 1 << 18
_MOST = 1 << 30  # bytes asked of copy_file_range(2) at once
_CANNOT = (
    errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOTTY, errno.EPERM, errno.EXDEV,
)  # fmt: skip

_no_clones: set[tuple[int, int]] = set()


def copy_content(source_fd: int, target_fd: int, status: os.stat_result) -> bytes | None:
    """Copy all of the open file `source_fd`, with `status`, into the new and empty `target_fd`.

    Shares the data where the file system can (reflink); holes stay holes; what is appended or cut
    off meanwhile is copied as far as it was there. Returns the content of a small file.
    """
    size = status.st_size
    if size < SMALL:  # one read and one write cost less than asking for more
        content = os.read(source_fd, SMALL)
        write_all(target_fd, content)
        if len(content) == size:
            return content
        while data := os.read(source_fd, SMALL):  # it grows, or is none of a disk's
            write_all(target_fd, data)
    elif not _cloned(source_fd, target_fd, status.st_dev):
        _copy_large(source_fd, target_fd, status)
    return None


def copy_seen(
    source_fd: int, target_fd: int, status: os.stat_result, see: Callable[[bytes], object]
) -> None:
    """Copy a file without holes, as `copy_content` does, and let `see` have what was copied.

    `status` is that of the target, which has the size of the source already.
    """
    cloned = _cloned(source_fd, target_fd, os.fstat(source_fd).st_dev)
    left = status.st_size
    while left:
        data = os.read(source_fd, min(left, _PIECE))
        if not data:  # cut off since: the target has zeros there
            data = bytes(min(left, _PIECE))
        elif not cloned:
            write_all(target_fd, data)
        see(data)
        left -= len(data)


def _copy_large(source_fd: int, target_fd: int, status: os.stat_result) -> None:
    size = status.st_size
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
    os.lseek(target_fd, offset, os.SEEK_SET)
    while offset < end:
        data = os.pread(source_fd, min(end - offset, _PIECE), offset)
        if not data:
            return
        write_all(target_fd, data)
        offset += len(data)
