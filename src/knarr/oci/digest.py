"""Digests: the name of exact bytes.

Spec: image-spec descriptor.md, "Digests"
"""

from __future__ import annotations

from knarr.errors import Corrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from hashlib import _Hash as Hash
    from typing import Protocol, Self
else:
    Protocol = object

LENGTHS = {"sha256": 64, "sha512": 128}
_CHUNK = 1 << 20


class Reader(Protocol):
    """What bytes are read from: files, sockets, pipes."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


class Digest(str):
    """`algorithm:hex`, checked when made: safe as a key and, by `hex`, in a path.

    Raises: Corrupt
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check and keep `text`."""
        algorithm, _, encoded = text.partition(":")
        if len(encoded) != LENGTHS.get(algorithm) or encoded.strip("0123456789abcdef"):
            message = f"invalid digest {text[:160]!r}"
            raise Corrupt(message)
        return super().__new__(cls, text)

    @property
    def algorithm(self) -> str:
        """The name of the hash function: `sha256` or `sha512`."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The digest in hexadecimal digits."""
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The first twelve digits, as shown to people."""
        return self.partition(":")[2][:12]


def digest_of(data: bytes) -> Digest:
    """Return the sha256 digest of `data`, which is a document: short."""
    global _own_sha256  # noqa: PLW0603 - looked for once
    if _own_sha256 is None:
        _own_sha256 = _sha256()
    return Digest(f"sha256:{_own_sha256(data).hexdigest()}")


_own_sha256: Callable[[bytes], Hash] | None = None


def _sha256() -> Callable[[bytes], Hash]:
    """Return Python's own sha256: slower than OpenSSL's, which takes 2 ms to load."""
    for home in ("_sha2", "_sha256"):  # from Python 3.12 on, and before
        try:
            made: Callable[[bytes], Hash] = __import__(home).sha256
        except ImportError:  # pragma: no cover - depends on the version
            continue
        return made
    return hasher  # pragma: no cover - a Python built without


def hasher(data: bytes = b"", *, algorithm: str = "sha256") -> Hash:
    """Return a hash object that has seen `data`."""
    import hashlib  # noqa: PLC0415 - 3 ms that most commands never need

    return hashlib.new(algorithm, data, usedforsecurity=True)


class VerifyingReader:
    """Reads what was promised: `digest` and, when known, `size`.

    Reading never goes beyond the promised size, and the last read raises if the bytes were others.
    Who stops before the end has verified nothing, unless `finish` is called.

    Raises: Corrupt
    """

    def __init__(self, reader: Reader, digest: Digest, size: int | None = None) -> None:
        """Wrap `reader`, which stays the caller's to close."""
        self._reader = reader
        self._digest = digest
        self._size = size
        self._hash = hasher(algorithm=digest.algorithm)
        self._done = False
        self.count = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, all with -1, none at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        if self._done or not size:
            return b""
        if self._size is not None:
            # One byte more than promised is asked for, so that a longer blob is noticed.
            size = min(size, self._size - self.count + 1)
        data = self._reader.read(size)
        if not data:
            self._check()
            return b""
        self.count += len(data)
        if self._size is not None and self.count > self._size:
            message = f"{self._digest} is longer than the promised {self._size} bytes"
            raise Corrupt(message)
        self._hash.update(data)
        return data

    def finish(self) -> None:
        """Read the rest, so that everything is verified."""
        while self.read(_CHUNK):
            pass

    def _check(self) -> None:
        self._done = True
        if self._size is not None and self.count != self._size:
            message = f"{self._digest} ends after {self.count} of {self._size} bytes"
            raise Corrupt(message)
        found = self._hash.hexdigest()
        if found != self._digest.hex:
            message = f"{self._digest} is what was promised, {self._digest.algorithm}:{found} came"
            raise Corrupt(message)
