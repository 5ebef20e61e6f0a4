from __future__ import annotations

import gzip
import io
import random
import zlib
from typing import Any

import pytest

from knarr.errors import Unsupported
from knarr.util import regzip
from knarr.util.compression import fast_zlib

CHANCE = random.Random(3)
WORDS = [CHANCE.randbytes(5).hex().encode() for _ in range(900)]
LONG = b" ".join(CHANCE.choices(WORDS, k=120_000))
SHORT = LONG[:50_000]


def pieces(data: bytes) -> list[bytes]:
    return [data[at : at + regzip.PIECE] for at in range(0, len(data), regzip.PIECE)]


def made_by(maker: Any, data: bytes) -> bytes:
    return b"".join([*(maker.compress(piece) for piece in pieces(data)), maker.flush()])


def recognized(stream: bytes, data: bytes) -> str:
    return regzip.recognize(stream[: regzip.HEAD], data[: regzip.HEAD])


def with_name(data: bytes) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile("layer.tar", "wb", compresslevel=6, fileobj=out, mtime=12345) as file:
        file.write(data)
    return out.getvalue()


@pytest.mark.parametrize("data", [LONG, SHORT, b""], ids=["long", "short", "empty"])
@pytest.mark.parametrize("level", range(1, 10))
def test_a_stream_of_zlib_is_made_again(data: bytes, level: int) -> None:
    stream = gzip.compress(data, level, mtime=7)
    maker = recognized(stream, data)
    assert maker
    assert made_by(regzip.Maker(maker), data) == stream


def test_a_header_with_a_name_and_a_time_is_made_again() -> None:
    stream = with_name(LONG)
    assert made_by(regzip.Maker(recognized(stream, LONG)), LONG) == stream


def test_a_stream_of_our_own_is_made_again() -> None:
    module = fast_zlib()
    if module is zlib:
        pytest.skip("ISA-L is not installed")
    stream = made_by(module.compressobj(3, zlib.DEFLATED, 31), LONG)
    maker = regzip.recognize(stream[: regzip.HEAD], LONG[: regzip.HEAD], regzip.OWN)
    assert maker.startswith("isal-3:")
    assert made_by(regzip.Maker(maker), LONG) == stream


@pytest.mark.parametrize("strategy", [zlib.Z_HUFFMAN_ONLY, zlib.Z_FIXED, zlib.Z_RLE])
def test_a_stream_of_another_deflater_has_no_maker(strategy: int) -> None:
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31, 8, strategy)
    stream = compressor.compress(LONG) + compressor.flush()
    assert recognized(stream, LONG) == ""


@pytest.mark.parametrize(
    "stream",
    [b"", b"\x1f\x8b", b"\x28\xb5\x2f\xfd" + b"x" * 50, b"\x1f\x8b\x08\x08" + b"x" * 50],
    ids=["nothing", "cut", "zstd", "a name without an end"],
)
def test_what_is_no_gzip_stream_has_no_maker(stream: bytes) -> None:
    assert recognized(stream, LONG) == ""


def test_a_deflater_that_is_not_here_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regzip, "fast_zlib", lambda: zlib)
    with pytest.raises(Unsupported, match="no isal-3 here"):
        regzip.Maker("isal-3:1f8b08000000000000ff")
