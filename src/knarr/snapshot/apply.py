"""Unpacking the tar of a layer into a tree that overlay can use.

What image-spec adds to an archive, and what becomes of it here:

* `.wh.NAME`: NAME of a lower layer is gone. Becomes overlay's whiteout, unless this layer has a
  NAME itself: "files that are present in the same layer as a whiteout file can only be hidden by
  whiteout files in subsequent layers". A directory NAME becomes opaque, to hide the lower one.
* `.wh..wh..opq`: the directory it is in shows nothing of lower layers. Becomes overlay's opaque; in
  the root directory, where overlay does not look for that, whiteouts of everything below.
* other names that begin with `.wh..wh.` are AUFS's own and skipped, as Docker does.

Whiteouts of what is not there are left out: they would be seen in a stack of one layer.

A layer may name `a/b` and not `a`: then `a` is made with the attributes it has in the layers below,
or 0755 of root; whatever else is called `a` there is replaced. The root directory itself likewise.
A hard link to a file of a lower layer brings that file into this one, as writing to it would.

Spec: image-spec layer.md, "Representing Changes", "Whiteouts"
"""

from __future__ import annotations

import errno
import os
import stat

from knarr.linux import path as paths
from knarr.linux import whiteout, xattr
from knarr.oci.digest import Digest, hasher
from knarr.snapshot.copyfile import copy_content
from knarr.snapshot.unpack import Unpacker, exists, refusal
from knarr.util import tar
from knarr.util.tarreader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.snapshot.lowers import Directory, Found
    from knarr.snapshot.snapshotter import Limits
    from knarr.util.tarreader import Source

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
_AUFS = b".wh..wh."
_DIRECTORY = os.O_PATH | os.O_DIRECTORY


class HashingReader:
    """Hands on what it reads, and knows the digest of it."""

    def __init__(self, source: Source, progress: Callable[[int], object] | None = None) -> None:
        """Read from `source`; `progress` hears the number of bytes of each read."""
        self._source = source
        self._progress = progress
        self._hash = hasher()
        self.size = 0

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        data = self._source.read(size)
        self._hash.update(data)
        self.size += len(data)
        if self._progress:
            self._progress(len(data))
        return data

    def digest(self) -> Digest:
        """Return the digest of what was read so far."""
        return Digest(f"sha256:{self._hash.hexdigest()}")


def unpack_layer(source: Source, root_fd: int, *, parents: Directory, limits: Limits) -> int:
    """Unpack a layer into the empty directory `root_fd`; return the size of its files.

    `source` is read to its end.

    Raises: Corrupt, InvalidArgument
    """
    reader = Reader(source, max_headers=limits.entries)
    unpacker = LayerUnpacker(root_fd, reader, limits, parents)
    unpacker.unpack()
    reader.drain()
    return unpacker.final_size()


class LayerUnpacker(Unpacker):
    """Puts a layer into an empty directory."""

    def __init__(self, root_fd: int, reader: Reader, limits: Limits, parents: Directory) -> None:
        """Prepare; `parents` is the root of the layers below."""
        super().__init__(root_fd, reader, limits, fresh=True)
        self._lower = parents
        self._opaque: set[bytes] = set()
        self.directories[b""] = _attributes(parents.path)

    def final_size(self) -> int:
        """Return the size of all files; what was replaced does not count."""
        if not self.replaced:
            return self.size
        from knarr.snapshot import usage  # noqa: PLC0415 - hardly ever

        return usage.of(f"/proc/self/fd/{self.root_fd}").size

    def place(self, path: bytes, entry: tar.Entry) -> None:
        """Put one entry at `path`, or remember what it hides."""
        if WHITEOUT in path and self._special_name(path, entry):
            return
        if entry.kind == tar.CHARACTER_DEVICE and not entry.major and not entry.minor:
            self._whiteout(path, entry)  # as other tools leave overlay's own in their layers
            return
        super().place(path, entry)

    def _special_name(self, path: bytes, entry: tar.Entry) -> bool:
        """Handle names of whiteouts; return False if this is none."""
        *above, name = path.split(b"/")
        if any(part.startswith(_AUFS) for part in above):
            return True
        if any(part.startswith(WHITEOUT) for part in above):
            raise refusal(entry.name, "is below a whiteout")
        if not name.startswith(WHITEOUT):
            return False
        parent = path.rpartition(b"/")[0]
        if name == OPAQUE:
            self._hide(parent, entry)
        elif not name.startswith(_AUFS):
            hidden = name[len(WHITEOUT) :]
            if hidden in (b"", b".", b".."):
                raise refusal(entry.name, "is a whiteout of nothing")
            self._whiteout(parent + b"/" + hidden if parent else hidden, entry)
        return True

    def _hide(self, path: bytes, entry: tar.Entry) -> None:
        """Remember that the directory `path` shows nothing of lower layers."""
        self.parent(path, entry)
        self._opaque.add(path)

    def _whiteout(self, path: bytes, entry: tar.Entry) -> None:
        """Hide `path` of the lower layers."""
        if not path:
            raise refusal(entry.name, "is a whiteout of the root directory")
        if not self._found_below(path):
            return
        parent, _, name = path.rpartition(b"/")
        directory_fd = self.parent(parent, entry)
        try:
            os.mknod(name, stat.S_IFCHR, whiteout.DEVICE, dir_fd=directory_fd)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(name, dir_fd=directory_fd).st_mode):
                self._opaque.add(path)

    def _found_below(self, path: bytes) -> Found | None:
        return self._lower.find_path(os.fsdecode(path))

    def meet(self, path: bytes, directory_fd: int, name: bytes) -> None:
        """Make a directory where something is: where a whiteout is, one that hides."""
        if whiteout.is_whiteout(os.lstat(name, dir_fd=directory_fd)):
            self._opaque.add(path)
        super().meet(path, directory_fd, name)

    def open_parent(self, path: bytes, entry: tar.Entry) -> int:
        """Open a directory of this layer, or make it and its parents as they are below."""
        try:
            return paths.open_plain(self.root_fd, path, _DIRECTORY)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
        parent, _, name = path.rpartition(b"/")
        directory_fd = self.parent(parent, entry)
        try:
            os.mkdir(name, 0o700, dir_fd=directory_fd)
        except FileExistsError as error:
            if not whiteout.is_whiteout(os.lstat(name, dir_fd=directory_fd)):
                reason = f"goes through {tar.shown(path)}, which is no directory in this layer"
                raise refusal(entry.name, reason) from error
            self.meet(path, directory_fd, name)
        self.directories[path] = self._attributes_below(path)
        return paths.open_plain(directory_fd, name, _DIRECTORY)

    def _attributes_below(self, path: bytes) -> tar.Entry:
        """Return what a directory that the layer does not name is like."""
        found = None if self._hidden(path) else self._found_below(path)
        if found and found.directory:
            return _attributes(found.path)
        return tar.Entry(path, tar.DIRECTORY, 0o755)

    def _hidden(self, path: bytes) -> bool:
        """Tell whether `path` or a directory it is in was made opaque so far."""
        while path and path not in self._opaque:
            path = path.rpartition(b"/")[0]
        return path in self._opaque

    def link_source(self, path: bytes, parent: bytes, name: bytes, entry: tar.Entry) -> int:
        """Return the directory that has the file to link to, brought from below if need be."""
        directory_fd = self.parent(parent, entry)
        if not exists(directory_fd, name):
            found = self._found_below(path)
            if found and not found.directory:
                self._bring(found, path, directory_fd, name)
                return directory_fd
        elif not whiteout.is_whiteout(os.lstat(name, dir_fd=directory_fd)):
            return directory_fd
        raise refusal(entry.name, f"is a hard link to {tar.shown(path)}, which is missing")

    def _bring(self, found: Found, path: bytes, directory_fd: int, name: bytes) -> None:
        """Copy a file of a lower layer into this one."""
        status = found.status
        copied = _attributes(found.path)
        copied.name = path
        if stat.S_ISREG(status.st_mode):
            source_fd = os.open(found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                target_fd = os.open(name, flags, 0o600, dir_fd=directory_fd)
                try:
                    copy_content(source_fd, target_fd, status)
                    self.attributes(target_fd, copied)
                finally:
                    os.close(target_fd)
            finally:
                os.close(source_fd)
            self.size += status.st_size
        elif stat.S_ISLNK(status.st_mode):
            copied.link = os.fsencode(os.readlink(found.path))
            self.symlink(path, directory_fd, name, copied)
        else:
            copied.major, copied.minor = os.major(status.st_rdev), os.minor(status.st_rdev)
            self.special(path, directory_fd, name, copied)

    def finish_directories(self) -> None:
        """Make directories opaque that have something to hide, then finish them all."""
        if b"" in self._opaque:
            self._opaque.discard(b"")
            self._hide_everything()
        super().finish_directories()

    def _hide_everything(self) -> None:
        for name in self._lower.names():
            self._whiteout(os.fsencode(name), tar.Entry(OPAQUE))

    def finish_directory(self, path: bytes, descriptor: int, entry: tar.Entry) -> None:
        """Give one directory what its entry says, and whether it is opaque."""
        if path in self._opaque:
            found = self._found_below(path)
            if found and found.directory:
                xattr.write(descriptor, whiteout.OPAQUE, b"y")
        super().finish_directory(path, descriptor, entry)


def _attributes(path: str) -> tar.Entry:
    """Return what is at `path` as an entry, without name and data."""
    status = os.lstat(path)
    kinds = {
        stat.S_IFDIR: tar.DIRECTORY,
        stat.S_IFLNK: tar.SYMLINK,
        stat.S_IFCHR: tar.CHARACTER_DEVICE,
        stat.S_IFBLK: tar.BLOCK_DEVICE,
        stat.S_IFIFO: tar.FIFO,
    }
    entry = tar.Entry(
        b"",
        kinds.get(stat.S_IFMT(status.st_mode), tar.REGULAR),
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        mtime_ns=status.st_mtime_ns,
    )
    entry.xattrs = {os.fsencode(name): value for name, value in xattr.read_all(path).items()}
    return entry
