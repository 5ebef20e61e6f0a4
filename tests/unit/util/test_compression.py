"""Compressed streams are read whole or refused, in little memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from knarr.errors import Corrupt
from knarr.util import compression as c

MAKERS: dict[str, Callable[[bytes], bytes]] = {
    c.GZIP: gzip.compress,
    c.ZSTD: zstandard.ZstdCompressor(write_checksum=True).compress,
    c.BZIP2: bz2.compress,
    c.XZ: lzma.compress,
}
KINDS = pytest.mark.parametrize("kind", MAKERS)
DATA = b"The knarr carried wool and timber. " * 5000


class Slow:
    """A reader that gives a few bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, most: int) -> None:
        self.file = io.BytesIO(data)
        self.most = most

    def read(self, size: int = -1) -> bytes:
        return self.file.read(self.most if size < 0 else min(size, self.most))


def unpacked(data: bytes, most: int = 1 << 20) -> tuple[bytes, str]:
    reader, kind = c.open_any(Slow(data, most))
    return reader.read(), kind


@KINDS
@pytest.mark.parametrize("most", [1, 7, 1 << 20])
def test_round(kind: str, most: int) -> None:
    assert unpacked(MAKERS[kind](DATA[:3000]), most) == (DATA[:3000], kind)


@KINDS
def test_an_empty_stream(kind: str) -> None:
    assert unpacked(MAKERS[kind](b"")) == (b"", kind)


@pytest.mark.parametrize("data", [b"", b"x", b"plain text", b"\x1f", b"\x28\xb5\x2f"])
def test_what_is_not_compressed_passes(data: bytes) -> None:
    reader, kind = c.open_any(io.BytesIO(data))
    assert kind == c.NONE
    assert [reader.read(1), reader.read()] == [data[:1], data[1:]]


@KINDS
def test_streams_follow_each_other(kind: str) -> None:
    assert unpacked(MAKERS[kind](b"one") + MAKERS[kind](b"two"), 3) == (b"onetwo", kind)


@KINDS
@pytest.mark.parametrize("cut", [1, 4, 9])
def test_a_cut_stream_is_refused(kind: str, cut: int) -> None:
    with pytest.raises(Corrupt, match="ends too early"):
        unpacked(MAKERS[kind](DATA)[:-cut])


@given(st.binary(max_size=300), st.integers(0, 400))
def test_every_cut_of_zstd_is_noticed(data: bytes, cut: int) -> None:
    whole = MAKERS[c.ZSTD](data)
    part = whole[: min(cut, len(whole))]
    if len(part) < 4:
        return
    try:
        assert unpacked(part) == (data, c.ZSTD)
        assert part == whole
    except Corrupt:
        assert part != whole


@KINDS
def test_damage_is_refused(kind: str) -> None:
    data = bytearray(MAKERS[kind](DATA))
    middle = len(data) // 2
    data[middle : middle + 4] = b"\xff\x00\xff\x00"
    with pytest.raises(Corrupt, match=f"the {kind} stream"):
        unpacked(bytes(data))


@KINDS
def test_what_follows_is_refused(kind: str) -> None:
    with pytest.raises(Corrupt):
        unpacked(MAKERS[kind](DATA) + b"something else entirely")


@pytest.mark.parametrize("kind", [c.GZIP, c.BZIP2, c.XZ])
def test_zeros_may_follow(kind: str) -> None:
    assert unpacked(MAKERS[kind](DATA) + b"\0" * 1000) == (DATA, kind)


def test_a_skippable_frame_is_zstd() -> None:
    frame = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    assert unpacked(frame + MAKERS[c.ZSTD](b"data")) == (b"data", c.ZSTD)


@KINDS
def test_reading_gives_no_more_than_asked(kind: str) -> None:
    # 256 MB of zeros in some 250 KB or less: a reader that unpacked ahead would show here.
    bomb = MAKERS[kind](b"\0" * (16 << 20))
    reader = c.decompress(io.BytesIO(bomb), kind)
    assert reader.read(1000) == b"\0" * 1000
    assert len(reader.read(100)) == 100
    total = 1100
    while data := reader.read(1 << 20):
        assert len(data) <= 1 << 20
        total += len(data)
    assert total == 16 << 20


@pytest.mark.parametrize("kind", [c.GZIP, c.ZSTD, c.NONE])
@given(parts=st.lists(st.binary(max_size=50), max_size=5))
def test_compressing(kind: str, parts: list[bytes]) -> None:
    out = io.BytesIO()
    compressor = c.Compressor(out, kind)
    for part in parts:
        compressor.write(part)
    compressor.close()
    compressor.close()
    if kind:
        assert unpacked(out.getvalue()) == (b"".join(parts), kind)
    else:
        assert out.getvalue() == b"".join(parts)


@pytest.mark.parametrize("kind", [c.GZIP, c.ZSTD])
def test_equal_input_gives_equal_bytes(kind: str) -> None:
    made = []
    for _ in range(2):
        out = io.BytesIO()
        compressor = c.Compressor(out, kind, level=1)
        compressor.write(DATA)
        compressor.close()
        made.append(out.getvalue())
    assert made[0] == made[1]
