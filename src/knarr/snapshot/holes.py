"""Files with holes: written without filling them, read without reading them.

Files of WORTHWHILE bytes and more are written in pieces of at most that, and a piece of zeros is
left out, whether or not the archive calls it a hole. So what was sparse stays so through archives
that do not tell, as layers should not ("Sparse files SHOULD NOT be used because they lack
consistent support across tar implementations").
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WORTHWHILE = 1 << 16
_BLOCK = 1 << 12
_ZEROS = bytes(WORTHWHILE)


def write(
    descriptor: int,
    pieces: Iterable[bytes],
    size: int,
    segments: list[tuple[int, int]] | None = None,
) -> None:
    """Write the `size` bytes of a new file, or only its `segments`, from `pieces` of any length."""
    waiting = iter(segments) if segments is not None else iter([(0, size)])
    offset, left = next(waiting, (0, 0))
    for piece in pieces:
        view = memoryview(piece)
        while view:
            while not left:
                offset, left = next(waiting)
            part = view[:left]
            _write_part(descriptor, part, offset)
            offset += len(part)
            left -= len(part)
            view = view[len(part) :]
    if os.fstat(descriptor).st_size < size:
        os.ftruncate(descriptor, size)


def _write_part(descriptor: int, part: memoryview, offset: int) -> None:
    """Write `part` at `offset`, leaving out pieces of zeros."""
    start = at = 0
    size = len(part)
    while at < size:
        step = min(WORTHWHILE - (offset + at) % WORTHWHILE, size - at)
        if not part[at] and step >= _BLOCK and part[at : at + step].tobytes() == _ZEROS[:step]:
            _write_at(descriptor, part[start:at], offset + start)
            start = at + step
        at += step
    _write_at(descriptor, part[start:], offset + start)


def _write_at(descriptor: int, part: memoryview, offset: int) -> None:
    while part:
        written = os.pwrite(descriptor, part, offset)
        offset += written
        part = part[written:]


def find(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (offset, length) of what is not a hole in an open file of `size` bytes.

    File systems that know no holes have one segment.
    """
    at = 0
    while at < size:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
            at = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here on
                return
            if error.errno == errno.EINVAL:
                yield at, size - at
                return
            raise
        if start >= size:
            return
        yield start, min(at, size) - start
