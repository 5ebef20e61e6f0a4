"""What was read of files, so that nobody reads it again.

A file that a build copies is wanted three times: for the key of the cache, for the copy, and for
the digest of the layer. For thousands of small files most of what that costs is opening them.
So whoever reads one lets a `Contents` have it:

* `keep` what was read of a source, under what lstat(2) said of it then. Who finds a file of which
  lstat says the same has the same content before him (see `treehash` for why that is so);
* `placed` what was written to a path of the layer that is being made. Nobody else writes there;
* `postponed` a large file: its place is made, as long as it will be, with everything but its
  content. Who packs the layer copies that in the same go: it is read once, for both.

Only files without extended attributes are taken in, and small ones only as long as they fit into
memory that is of no account.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    Key = tuple[int, int, int, int, int]

SMALL = 1 << 16  # bytes that are read and written in one go
LARGE = 1 << 22  # from here on digesting has a second processor
_LIMIT = 1 << 26  # bytes of small files that are kept
_MOST = 64  # large files that are postponed, each with an open descriptor
_PRIVILEGED = 0o6000  # bits that go when somebody writes


def key_of(status: os.stat_result) -> Key:
    """Return what is another one if the content of the file is."""
    return (
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
    )  # fmt: skip


class Contents:
    """Contents of files that are copied into one layer; `close` it when that is made."""

    def __init__(self) -> None:
        """Begin empty."""
        self._left = _LIMIT
        self._read: dict[Key, bytes] = {}
        self._placed: dict[bytes, bytes] = {}
        self._postponed: dict[bytes, int] = {}

    def keep(self, key: Key, content: bytes) -> None:
        """Keep what was read of a source that has no extended attributes."""
        if self._left > len(content):
            self._left -= len(content)
            self._read[key] = content

    def find(self, status: os.stat_result) -> bytes | None:
        """Return what was read of the source that has `status`."""
        return self._read.get(key_of(status)) if self._read else None

    def place(self, path: bytes, content: bytes) -> None:
        """Keep what was written to `path` of the layer, without extended attributes."""
        if self._left > len(content):
            self._left -= len(content)
            self._placed[path] = content

    def postpone(self, path: bytes, source_fd: int, status: os.stat_result) -> bool:
        """Tell whether the content of `path` is copied by who packs the layer; if it is large.

        `source_fd`, of which a copy is kept, has `status` and no extended attributes.
        """
        whole = status.st_blocks * 512 >= status.st_size >= LARGE
        special = status.st_mode & _PRIVILEGED or status.st_nlink > 1
        if not whole or special or len(self._postponed) >= _MOST:
            return False
        self._postponed[path] = os.dup(source_fd)
        return True

    def forget(self, path: bytes) -> None:
        """Forget what was placed at `path`: something else is there now."""
        self._placed.pop(path, None)
        source_fd = self._postponed.pop(path, -1)
        if source_fd >= 0:
            os.close(source_fd)

    def placed(self, path: bytes) -> bytes | None:
        """Return what was written to `path`, once."""
        return self._placed.pop(path, None)

    def postponed(self, path: bytes) -> int:
        """Return what is to be copied to `path`, open and the caller's to close, or -1."""
        return self._postponed.pop(path, -1)

    def check(self) -> None:
        """Make sure, when a layer is packed, that nothing postponed is left."""
        if self._postponed:
            message = f"never copied: {sorted(self._postponed)}"
            raise RuntimeError(message)

    def close(self) -> None:
        """Let go of everything; what is copied from now on is another layer's."""
        for source_fd in self._postponed.values():
            os.close(source_fd)
        self._postponed.clear()
        self._placed.clear()
        self._read.clear()
        self._left = _LIMIT

    def __enter__(self) -> Self:
        """Hand out the contents."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close them."""
        self.close()
