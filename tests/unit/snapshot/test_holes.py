"""Files with holes, written and found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from knarr.snapshot import holes
from knarr.snapshot.copyfile import copy_content

UNIT = holes.WORTHWHILE
DATA = b"begin" + bytes(5 * UNIT) + b"middle" + bytes(3 * UNIT + 7)


@pytest.fixture
def blank(tmp_path: Path):  # type: ignore[no-untyped-def]
    with open(tmp_path / "blank", "w+b", buffering=0) as file:
        yield file


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1000, 4096, UNIT, 3 * UNIT + 1, 1 << 22])
@pytest.mark.parametrize("data", [DATA, bytes(4 * UNIT), b"x" * (UNIT + 3), b""])
def test_content_does_not_depend_on_the_pieces(blank, size: int, data: bytes) -> None:  # type: ignore[no-untyped-def]
    holes.write(blank.fileno(), cut(data, size), len(data))
    blank.seek(0)
    assert blank.read() == data


def test_zeros_become_holes(blank) -> None:  # type: ignore[no-untyped-def]
    holes.write(blank.fileno(), cut(DATA, 1 << 18), len(DATA))
    status = os.fstat(blank.fileno())
    if status.st_blocks * 512 >= status.st_size:
        pytest.skip("the file system of the temporary directory has no holes")
    assert status.st_blocks * 512 <= 4 * UNIT
    found = list(holes.find(blank.fileno(), len(DATA)))
    assert sum(length for _, length in found) <= 4 * UNIT
    covered = bytearray(len(DATA))
    for offset, length in found:
        covered[offset : offset + length] = DATA[offset : offset + length]
    assert covered == DATA


def test_segments_are_put_where_they_belong(blank) -> None:  # type: ignore[no-untyped-def]
    segments = [(10, 3), (5 * UNIT, 4)]
    holes.write(blank.fileno(), [b"ab", b"cdef", b"g"], 6 * UNIT, segments)
    blank.seek(0)
    data = blank.read()
    assert len(data) == 6 * UNIT
    assert (data[10:13], data[5 * UNIT : 5 * UNIT + 4]) == (b"abc", b"defg")
    assert not data.replace(b"abc", b"", 1).replace(b"defg", b"", 1).strip(b"\0")


def test_copies_keep_content_and_holes(blank, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    holes.write(blank.fileno(), [DATA], len(DATA))
    with open(tmp_path / "copy", "w+b") as copy:
        copy_content(blank.fileno(), copy.fileno(), os.fstat(blank.fileno()))
        assert os.fstat(copy.fileno()).st_blocks <= os.fstat(blank.fileno()).st_blocks
        assert copy.read() == DATA
