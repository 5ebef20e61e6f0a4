"""Packing a tree into the tar of a layer: the reverse of `apply`.

Overlay's whiteout becomes `.wh.NAME`, an opaque directory gets a `.wh..wh..opq`, overlay's own
attributes stay behind. The root directory comes first, as `./`: its attributes are part of the
layer too.

An upper directory is not yet what `apply` would have made. `UpperPacker` makes it so before it
becomes a tree, in the same walk that packs it:

* Overlay makes every new directory in a merged one opaque, as a shortcut for itself. Where no lower
  layer has such a directory, that says nothing and goes.
* What else overlay noted (trusted.overlay.origin, impure, nlink, uuid) is about the mount that was.
* Whiteouts of what only this container's mount had (a mount point) go, as they do in `apply`.
* Sockets go: they would not be in the tar.

Spec: image-spec layer.md, "Representing Changes"
"""

from __future__ import annotations

import os
import stat

from knarr.linux import whiteout, xattr
from knarr.oci.digest import Digest, hasher
from knarr.snapshot.apply import OPAQUE, WHITEOUT
from knarr.snapshot.copyfile import copy_seen
from knarr.snapshot.pack import Packer, refuse_reserved
from knarr.util import tar
from knarr.util.threadedhash import ThreadedHash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from knarr.snapshot.contents import Contents
    from knarr.snapshot.lowers import Directory
    from knarr.util.tarwriter import Sink


_LATEST = f"{whiteout.XATTRS}knarr.latest"


class HashingSink:
    """Hands on what is written to it, or drops it, and knows the digest of it.

    It is for a `with` statement, as `ThreadedHash` is.
    """

    def __init__(self, sink: Sink | None = None) -> None:
        """Hand on to `sink`, if there is one."""
        self._sink = sink
        self._hash = ThreadedHash(hasher())
        self.size = 0

    def write(self, data: bytes, /) -> None:
        """Take all of `data`."""
        self._hash.update(data)
        self.size += len(data)
        if self._sink:
            self._sink.write(data)

    def digest(self) -> Digest:
        """Return the digest of what was written so far."""
        return Digest(f"sha256:{self._hash.hexdigest()}")

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for what digests."""
        self._hash.wait()


def write_layer(directory: str, sink: Sink) -> None:
    """Write the tar of the tree `directory`.

    Raises: Corrupt
    """
    root_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        LayerPacker(root_fd, sink, latest_ns=latest_of(root_fd)).pack()
    finally:
        os.close(root_fd)


def write_upper(
    upper_dir: str,
    sink: Sink,
    parents: Directory,
    *,
    latest_ns: int | None = None,
    contents: Contents | None = None,
) -> int:
    """Make `upper_dir` what a tree is, write its tar, and return the size of its files.

    From now on its tar has no time after `latest_ns`. What `contents` has is not read again.

    Raises: Corrupt
    """
    root_fd = os.open(upper_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        packer = UpperPacker(root_fd, sink, parents, latest_ns=latest_ns, contents=contents)
        packer.pack()
    finally:
        os.close(root_fd)
    return packer.size


class LayerPacker(Packer):
    """Writes a tree as a layer."""

    def pack(self) -> None:
        """Write the root directory and everything below."""
        entry = self.entry(b"./", tar.DIRECTORY, os.fstat(self.root_fd))
        entry.xattrs = self.xattrs(self.root_fd)
        self.writer.add(entry)
        super().pack()

    def place(self, path: bytes, directory_fd: int, name: str, status: os.stat_result) -> None:
        """Write what is called `name` as `path`, whiteouts by their special names."""
        if name.startswith(".wh."):
            refuse_reserved(path)
        if whiteout.is_whiteout(status):
            parent, slash, last = path.rpartition(b"/")
            self.writer.add(tar.Entry(parent + slash + WHITEOUT + last, mode=0))
        else:
            super().place(path, directory_fd, name, status)

    def directory(self, entry: tar.Entry, directory_fd: int, name: str) -> None:
        """Write a directory, and that it hides the lower one if it does."""
        super().directory(entry, directory_fd, name)
        if xattr.read(xattr.place(directory_fd, name), whiteout.OPAQUE) == b"y":
            self.writer.add(tar.Entry(entry.name + OPAQUE, mode=0))


def _hold_times(tree_fd: int, latest_ns: int) -> None:
    """Let the tar of a tree have no time after `latest_ns`, as long as it exists.

    The tree keeps its times: programs that compare them, as make does, go on working. The note is
    an attribute of the root, under the prefix of overlay's own, which nobody sees who mounts it.
    """
    xattr.write(tree_fd, _LATEST, str(latest_ns).encode())


def latest_of(tree: int | str) -> int | None:
    """Return the time that `UpperPacker` noted for a tree, a path or open, or None."""
    latest = xattr.read(tree, _LATEST)
    return int(latest) if latest else None


class UpperPacker(LayerPacker):
    """Writes an upper directory, not mounted any more, as the layer that it makes of it.

    `size` is then what `usage` calls so.
    """

    def __init__(
        self,
        root_fd: int,
        sink: Sink,
        parents: Directory,
        *,
        latest_ns: int | None = None,
        contents: Contents | None = None,
    ) -> None:
        """Prepare; `parents` is the root of the layers below."""
        super().__init__(root_fd, sink, latest_ns=latest_ns)
        self._parents = parents
        self._contents = contents
        self.size = 0

    def pack(self) -> None:
        """Write the layer, and note its latest time."""
        xattr.remove(self.root_fd, whiteout.OPAQUE)
        super().pack()
        if self._contents is not None:
            self._contents.check()
        if self._latest_ns is not None:
            _hold_times(self.root_fd, self._latest_ns)

    def place(self, path: bytes, directory_fd: int, name: str, status: os.stat_result) -> None:
        """Write what is in the layer, remove what is not."""
        if stat.S_ISSOCK(status.st_mode) or (
            whiteout.is_whiteout(status) and self._parents.find_path(os.fsdecode(path)) is None
        ):
            _unlink_unseen(directory_fd, name)
            return
        if not stat.S_ISDIR(status.st_mode) and not self.is_further_name(status):
            self.size += status.st_size
        super().place(path, directory_fd, name, status)

    def directory(self, entry: tar.Entry, directory_fd: int, name: str) -> None:
        """Write a directory, which is opaque only if there is something to hide."""
        target = xattr.place(directory_fd, name)
        if not _hides(target, os.fsdecode(entry.name), self._parents):
            xattr.remove(target, whiteout.OPAQUE)
        super().directory(entry, directory_fd, name)

    def regular(
        self, entry: tar.Entry, directory_fd: int, name: str, status: os.stat_result
    ) -> None:
        """Write a file, of which the content may be known, or not be there yet."""
        if self._contents is None:
            super().regular(entry, directory_fd, name, status)
            return
        content = self._contents.placed(entry.name)
        if content is not None:
            entry.size = entry.stored = len(content)
            self.writer.add(entry, content)
            return
        source_fd = self._contents.postponed(entry.name)
        if source_fd < 0:
            super().regular(entry, directory_fd, name, status)
            return
        try:
            self._copied(entry, directory_fd, name, status, source_fd)
        finally:
            os.close(source_fd)

    def _copied(
        self,
        entry: tar.Entry,
        directory_fd: int,
        name: str,
        status: os.stat_result,
        source_fd: int,
    ) -> None:
        """Write a file and copy its content to its place, which is there already."""
        entry.size = entry.stored = status.st_size
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        target_fd = os.open(name, flags, dir_fd=directory_fd)
        try:
            self.writer.begin(entry)
            copy_seen(source_fd, target_fd, status, self.writer.write)
            self.writer.end()
            os.utime(target_fd, ns=(status.st_mtime_ns, status.st_mtime_ns))
        finally:
            os.close(target_fd)

    def xattrs(self, target: int | str) -> dict[bytes, bytes]:
        """Return the attributes that are content, and take off what only the mount needed."""
        names = xattr.names(target)
        for name in names:
            if name.startswith(whiteout.XATTRS) and name != whiteout.OPAQUE:
                xattr.remove(target, name)
        return super().xattrs(target) if names else {}


def _unlink_unseen(directory_fd: int, name: str) -> None:
    """Remove a file, and leave the directory its times."""
    times = os.fstat(directory_fd)
    os.unlink(name, dir_fd=directory_fd)
    os.utime(directory_fd, ns=(times.st_atime_ns, times.st_mtime_ns))


def _hides(target: str, path: str, parents: Directory) -> bool:
    """Tell whether a directory is opaque and there is something to hide."""
    if xattr.read(target, whiteout.OPAQUE) != b"y":
        return False
    found = parents.find_path(path)
    return found is not None and found.directory is not None
