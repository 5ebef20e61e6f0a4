"""Files with holes in archives: GNU's old form and the three of PAX.

* GNU old (type S): four (offset, length) pairs in the header, more in further blocks, and the real
  size in a field of its own.
* PAX 0.0: records GNU.sparse.offset and GNU.sparse.numbytes, one of each a segment.
* PAX 0.1: one record GNU.sparse.map, all numbers separated by commas.
* PAX 1.0: the map comes as text at the beginning of the data: decimal numbers, a line each, their
  count first, padded to a full block. This one is written.

In all of them what is stored are the segments one after the other.

Spec: GNU tar manual, "Storing Sparse Files"
"""

from __future__ import annotations

from knarr.errors import Corrupt
from knarr.util import tar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

GNU_SPARSE = b"S"
MAX_SEGMENTS = 1_000_000

_KEY = b"GNU.sparse."
_IN_HEADER = 4
_IN_BLOCK = 21


def amend(entry: tar.Entry, records: list[tuple[bytes, bytes]]) -> None:
    """Take over what PAX `records` say about holes; of form 1.0 only that there is a map.

    For that one `segments` becomes an empty list, and `read_map` has to follow.

    Raises: Corrupt
    """
    found = {key[len(_KEY) :]: value for key, value in records if key.startswith(_KEY)}
    if not found or entry.kind != tar.REGULAR:
        return
    if b"name" in found:
        entry.name = found[b"name"]
    size = found.get(b"realsize", found.get(b"size"))
    if size is not None:
        entry.size = tar.length(_integer(size))
    if (found.get(b"major"), found.get(b"minor")) == (b"1", b"0"):
        entry.segments = []
    elif b"map" in found:
        numbers = found[b"map"].split(b",") if found[b"map"] else []
        set_segments(entry, [_integer(number) for number in numbers])
    elif b"numblocks" in found:
        keys = (_KEY + b"offset", _KEY + b"numbytes")
        set_segments(entry, [_integer(value) for key, value in records if key in keys])


def set_segments(entry: tar.Entry, numbers: list[int]) -> None:
    """Set the segments from offsets and lengths in turn; `size` and `stored` are known.

    Raises: Corrupt
    """
    segments = list(zip(numbers[::2], numbers[1::2], strict=False))
    end = stored = 0
    for offset, length in segments:
        if offset < end or length < 0:
            _refuse(entry)
        end = offset + length
        stored += length
    if len(numbers) % 2 or end > entry.size or stored != entry.stored:
        _refuse(entry)
    entry.segments = [segment for segment in segments if segment[1]]


def header_segments(entry: tar.Entry, block: bytes) -> tuple[list[int], bool]:
    """Return the numbers in a header of type S, and whether more blocks of them follow.

    Takes over the real size.
    """
    entry.size = tar.length(tar.number(block[483:495]))
    return _numbers(block[386:], _IN_HEADER), block[482] not in (0, 0x30)


def block_segments(block: bytes) -> tuple[list[int], bool]:
    """Return the numbers in a further block, and whether another one follows."""
    return _numbers(block, _IN_BLOCK), block[504] not in (0, 0x30)


def _numbers(data: bytes, pairs: int) -> list[int]:
    found = []
    for at in range(0, 24 * pairs, 24):
        if not data[at]:  # an unused pair
            break
        found += [tar.number(data[at : at + 12]), tar.number(data[at + 12 : at + 24])]
    return found


def read_map(next_block: Callable[[], bytes]) -> tuple[list[int], int]:
    """Return the numbers of a 1.0 map and how many bytes of data it took.

    Raises: Corrupt
    """
    text = next_block()
    count_text, newline, _ = text[:20].partition(b"\n")
    count = _integer(count_text) if newline else MAX_SEGMENTS + 1
    if count > MAX_SEGMENTS:
        message = "the map of a sparse file is too large"
        raise Corrupt(message)
    blocks = [text]
    missing = 2 * count + 1 - text.count(b"\n")
    while missing > 0:
        blocks.append(next_block())
        missing -= blocks[-1].count(b"\n")
    lines = b"".join(blocks).split(b"\n", 2 * count + 1)
    return [_integer(line) for line in lines[1:-1]], tar.BLOCK * len(blocks)


def render_map(segments: list[tuple[int, int]], size: int) -> bytes:
    """Return the 1.0 map of a file of `size` bytes, padded.

    GNU tar takes the end of the last segment for the end of the file: a hole there is followed by
    a segment without data.
    """
    if not segments or sum(segments[-1]) < size:
        segments = [*segments, (size, 0)]
    lines = [b"%d\n" % len(segments), *(b"%d\n%d\n" % segment for segment in segments)]
    text = b"".join(lines)
    return text + bytes(-len(text) % tar.BLOCK)


def records_of(entry: tar.Entry) -> list[tuple[bytes, bytes]]:
    """Return the records that announce a 1.0 map."""
    return [
        (_KEY + b"major", b"1"),
        (_KEY + b"minor", b"0"),
        (_KEY + b"name", entry.name),
        (_KEY + b"realsize", b"%d" % entry.size),
    ]


def _integer(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        message = f"the map of a sparse file has {text[:40]!r} for a number"
        raise Corrupt(message)
    return int(text)


def _refuse(entry: tar.Entry) -> None:
    message = f"{tar.shown(entry.name)}: the map of the sparse file contradicts itself"
    raise Corrupt(message)
