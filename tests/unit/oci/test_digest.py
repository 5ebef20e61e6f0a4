"""Digests are checked when made, and bytes while they are read."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr.errors import Corrupt
from knarr.oci.digest import Digest, VerifyingReader, digest_of

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_parts() -> None:
    digest = digest_of(b"")
    assert digest == EMPTY
    assert (digest.algorithm, digest.hex, digest.short) == ("sha256", EMPTY[7:], "e3b0c44298fc")


@pytest.mark.parametrize(
    "text",
    ["", "sha256", "sha256:", EMPTY[7:], EMPTY[:-1], EMPTY + "0", EMPTY.upper(),
     "md5:" + "0" * 32, "sha512:" + "0" * 64, "sha256:../" + "0" * 61, "sha256:" + "0" * 63 + "\n",
     "SHA256:" + "0" * 64],
)  # fmt: skip
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(Corrupt, match="invalid digest"):
        Digest(text)


@given(st.binary(max_size=5000), st.lists(st.integers(1, 700), min_size=1, max_size=5))
def test_reading_gives_the_promised_bytes(data: bytes, sizes: list[int]) -> None:
    reader = VerifyingReader(io.BytesIO(data), digest_of(data), len(data))
    found = b""
    while part := reader.read(sizes[len(found) % len(sizes)]):
        found += part
    assert found == data
    assert reader.count == len(data)
    assert reader.read() == b""


@pytest.mark.parametrize(
    ("data", "promised", "size", "why"),
    [
        (b"abc", b"abd", 3, "is what was promised"),
        (b"abcd", b"abc", 3, "longer than the promised 3 bytes"),
        (b"ab", b"abc", 3, "ends after 2 of 3 bytes"),
        (b"abc", b"abd", None, "is what was promised"),
        (b"", b"a", 1, "ends after 0 of 1 bytes"),
        (b"a", b"", 0, "longer than the promised 0 bytes"),
    ],
)
def test_other_bytes_are_refused(data: bytes, promised: bytes, size: int | None, why: str) -> None:
    reader = VerifyingReader(io.BytesIO(data), digest_of(promised), size)
    with pytest.raises(Corrupt, match=why):
        reader.read()


def test_finish_verifies_what_was_not_read() -> None:
    reader = VerifyingReader(io.BytesIO(b"abc"), digest_of(b"xyz"), 3)
    assert reader.read(1) == b"a"
    with pytest.raises(Corrupt):
        reader.finish()


def test_an_endless_stream_is_left_after_the_promised_size() -> None:
    class Endless:
        taken = 0

        def read(self, size: int = -1) -> bytes:
            self.taken += size
            return b"\0" * size

    source = Endless()
    with pytest.raises(Corrupt):
        VerifyingReader(source, digest_of(b"\0"), 10).read()
    assert source.taken == 11


def test_sha512() -> None:
    data = b"data"
    digest = Digest("sha512:" + hashlib.sha512(data).hexdigest())
    assert VerifyingReader(io.BytesIO(data), digest, 4).read() == data
