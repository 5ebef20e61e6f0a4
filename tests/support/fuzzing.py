"""Wrong input without end: texts and archives of a corpus, changed at random but repeatably.

    for data in Mutations(corpus("reference"), seed=1).limited(1000): ...

The corpus is tests/fuzz/corpus/<target>/, a file an input; what once broke a reader is kept there.
How long: a fixed number of inputs, the same each time; with KNARR_FUZZ_SECONDS in the environment
(`make fuzz`) as many as that time allows, from a seed that changes.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from support.archives import archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
HANGS_AFTER = 10  # seconds for one small input
BLOCK = 512
_ODD = (
    b"", b"\0", b"\xff", b"..", b"/", b"//", b"@", b":", b"\n", b"\r\n", b"\\", b'"', b"'", b"$",
    b"${", b"<<EOF\n", b"[", b"{", b"}", b"-1", b"99999999999999999999", b"null", b"1e999",
    "é".encode(), "e\u0301".encode(), b"\xed\xa0\x80", b".wh.", b".wh..wh..opq", b"7777777",
)  # fmt: skip


def corpus(target: str) -> list[bytes]:
    """Return the inputs that are kept for `target`; archives may be described as text."""
    found = []
    for path in sorted((CORPUS / target).iterdir()):
        data = path.read_bytes()
        described = target == "archive" and path.suffix == ".txt"
        found.append(archive(data.decode()).read() if described else data)
    return found


class Mutations:
    """Inputs made from those of a corpus; `mend` repairs what would be refused too soon."""

    def __init__(
        self, inputs: Sequence[bytes], *, mend: Callable[[bytes], bytes] | None = None
    ) -> None:
        """Begin where every run begins, or with a time to fill at a place of its own."""
        self._inputs = inputs
        self._mend = mend
        self._seconds = float(os.environ.get("KNARR_FUZZ_SECONDS", "0"))
        self.seed = time.time_ns() if self._seconds else 1
        self._random = random.Random(self.seed)

    def limited(self, count: int) -> Iterator[bytes]:
        """Yield the corpus itself, then `count` changed inputs, or as many as time allows."""
        yield from self._inputs
        end = time.monotonic() + self._seconds
        while time.monotonic() < end if self._seconds else count:
            count -= 1
            yield self._one()

    def _one(self) -> bytes:
        data = self._random.choice(self._inputs)
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 8))):
            data = self._change(data)
        if self._mend and self._random.random() < 0.9:
            data = self._mend(data)
        return data

    def _change(self, data: bytes) -> bytes:
        chance = self._random
        at = chance.randrange(len(data) + 1)
        length = chance.choice((1, 2, 8, 100, BLOCK))
        odd = chance.choice(_ODD)
        other = chance.choice(self._inputs)
        start = chance.randrange(len(other) + 1)
        flipped = bytes([data[at] ^ 1 << chance.randrange(8)]) if at < len(data) else b"x"
        return chance.choice(
            (
                data[:at] + flipped + data[at + 1 :],
                data[:at] + odd + data[at + len(odd) :],
                data[:at] + odd + data[at:],
                data[:at] + data[at + length :],
                data[:at] + data[at : at + length] * 2 + data[at + length :],
                data[:at] + other[start : start + length] + data[at:],
                data[:at] + chance.randbytes(length) + data[at + length :],
                data[:at],
            )
        )


def mend_headers(data: bytes) -> bytes:
    """Return an archive with the checksums that its headers should have."""
    blocks = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    return b"".join(_with_checksum(block) for block in blocks)


def _with_checksum(block: bytes) -> bytes:
    if len(block) < BLOCK or block[257:262] != b"ustar":
        return block
    total = sum(block[:148]) + 8 * 0x20 + sum(block[156:])
    return b"%b%06o\0 %b" % (block[:148], total, block[156:])


class Watch:
    """Fails a test that takes too long with one input; used as a context around each."""

    def __enter__(self) -> None:
        """Set the alarm."""
        signal.signal(signal.SIGALRM, _hang)
        signal.alarm(HANGS_AFTER)

    def __exit__(self, *_: object) -> None:
        """Take it back."""
        signal.alarm(0)


def _hang(_: int, __: FrameType | None) -> None:
    message = f"nothing for {HANGS_AFTER} s"
    raise AssertionError(message)
