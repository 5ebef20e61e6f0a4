"""Putting the entries of an archive into a directory, whatever they say.

An archive is a list of orders from someone we do not know. What keeps it inside the directory:

* A name is taken apart here. Empty parts and `.` are dropped, so `/etc` and `./etc` mean `etc`; a
  `..` that leads out is refused, as is any path that is too long or too deep.
* A parent directory is opened by the kernel below the root, with openat2(2). The subclass says
  whether a link on the way is refused or followed inside; one that the archive itself has made is
  always refused.
* Everything else is done to one name in an open directory, with calls that do not follow it.
* Hard links lead to names taken apart the same way, symbolic links only to places inside.

Later entries win over earlier ones of the same name, of whatever type, as in a tar appended to.
Directories get their owner, mode, attributes and times at the end, deepest first: until then they
are ours alone, so that neither what is put into them nor their own mode disturbs the result.
"""

from __future__ import annotations

import errno
import os
import stat

from knarr.errors import Corrupt, InvalidArgument, KnarrError
from knarr.linux import files, tree, xattr
from knarr.linux import path as paths
from knarr.snapshot import holes
from knarr.snapshot.faults import meaning_of
from knarr.util import tar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.snapshot.snapshotter import Limits
    from knarr.util.tarreader import Reader

# Names by which overlay would take orders from an archive, as root and in a user namespace.
_OVERLAY_XATTRS = (b"trusted.overlay.", b"user.overlay.")
# What a file system may be unable to keep without harm; Docker leaves it out too.
_OPTIONAL_XATTRS = (b"user.", b"system.", b"security.selinux")

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_FAULTS_OF_THE_ARCHIVE = (
    errno.E2BIG, errno.EEXIST, errno.EFBIG, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ELOOP,
    errno.EMLINK, errno.ENAMETOOLONG, errno.ENODEV, errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY,
    errno.ENOTSUP, errno.EOVERFLOW, errno.ERANGE, errno.EXDEV,
)  # fmt: skip


class Unpacker:
    """Puts entries below `root_fd`. A subclass says how parent directories come about.

    With `fresh` the directory was empty and is nobody else's: new files then get mode and group as
    asked, and need not be told again.
    """

    def __init__(self, root_fd: int, reader: Reader, limits: Limits, *, fresh: bool) -> None:
        """Prepare."""
        self.root_fd = root_fd
        self.reader = reader
        self.limits = limits
        self.parents = paths.Directories(root_fd)
        self.directories: dict[bytes, tar.Entry] = {}
        self.depth = 0  # of the place to unpack to, below the root of the file system
        self.size = 0
        self.replaced = False
        self._fresh = fresh
        self._ids = (os.geteuid(), os.getegid()) if fresh else (-1, -1)
        self._umask = files.umask() if fresh else 0o7777
        self._bytes_left = limits.size
        self._types: dict[bytes, Callable[[bytes, int, bytes, tar.Entry], None]] = {
            tar.REGULAR: self.regular,
            tar.HARD_LINK: self.hard_link,
            tar.SYMLINK: self.symlink,
            tar.CHARACTER_DEVICE: self.special,
            tar.BLOCK_DEVICE: self.special,
            tar.FIFO: self.special,
        }

    def unpack(self) -> None:
        """Unpack everything the reader has.

        Raises: Corrupt, InvalidArgument
        """
        try:
            for entry in self.reader:
                try:
                    self.place(self.simplify(entry.name, entry), entry)
                except OSError as error:
                    if isinstance(error, KnarrError):
                        raise
                    raise _fault(entry, error) from error
                except OverflowError as error:
                    raise refusal(entry.name, "has a number that is too large") from error
            self.finish_directories()
        finally:
            self.parents.close()

    def place(self, path: bytes, entry: tar.Entry) -> None:
        """Put one entry at `path`, which is relative and plain; empty means the root."""
        if entry.kind == tar.DIRECTORY:
            self.directory(path, entry)
            return
        if not path:
            raise refusal(entry.name, "would replace the root directory")
        parent, _, name = path.rpartition(b"/")
        self._types[entry.kind](path, self.parent(parent, entry), name, entry)

    def parent(self, path: bytes, entry: tar.Entry) -> int:
        """Return the open directory `path`, made if need be; not to be closed."""
        found = self.parents.find(path)
        if found is None:
            found = self.open_parent(path, entry)
            self.parents.keep(path, found)
        return found

    def open_parent(self, path: bytes, entry: tar.Entry) -> int:
        """Open the directory `path` that something is to be put into, or make it."""
        raise NotImplementedError

    def simplify(self, name: bytes, entry: tar.Entry) -> bytes:
        """Return `name`, that or the hard link's target of `entry`, as a plain relative path.

        Raises: InvalidArgument
        """
        if name[0] in b"/." or b"/." in name or b"//" in name or name[-1] == 0x2F:
            name = self._take_apart(name, entry)
        if len(name) > self.limits.name or name.count(b"/") >= self.limits.depth:
            raise refusal(name[:200], "is too long or too deep")
        return name

    @staticmethod
    def _take_apart(name: bytes, entry: tar.Entry) -> bytes:
        parts: list[bytes] = []
        for part in name.split(b"/"):
            if part == b"..":
                if not parts:
                    link = (
                        "" if name == entry.name else f"is a hard link to {tar.shown(name)}, which "
                    )
                    raise refusal(entry.name, f"{link}leads out of the root directory")
                parts.pop()
            elif part not in (b"", b"."):
                parts.append(part)
        return b"/".join(parts)

    def directory(self, path: bytes, entry: tar.Entry) -> None:
        """Make a directory, or take over the attributes of one that exists."""
        if path:
            parent, _, name = path.rpartition(b"/")
            directory_fd = self.parent(parent, entry)
            try:
                os.mkdir(name, 0o700, dir_fd=directory_fd)
            except FileExistsError:
                self.meet(path, directory_fd, name)
        self.directories[path] = entry

    def meet(self, path: bytes, directory_fd: int, name: bytes) -> None:
        """Make a directory where something is already: a directory is kept."""
        if not stat.S_ISDIR(os.lstat(name, dir_fd=directory_fd).st_mode):
            directory_fd = self.clear(path, directory_fd, name)
            os.mkdir(name, 0o700, dir_fd=directory_fd)

    def clear(self, path: bytes, directory_fd: int, name: bytes) -> int:
        """Remove what an earlier entry, or somebody before, has put there.

        Return the parent directory again: the descriptor may be another one.
        """
        self.replaced = True
        try:
            os.unlink(name, dir_fd=directory_fd)
        except IsADirectoryError:
            # Directories below may be remembered under names that will mean something else.
            parent = path.rpartition(b"/")[0]
            kept = os.dup(directory_fd) if parent else self.root_fd
            self.parents.close()
            if parent:
                self.parents.keep(parent, kept)
            tree.remove_tree(kept, os.fsdecode(name))
            return kept
        return directory_fd

    def regular(self, path: bytes, directory_fd: int, name: bytes, entry: tar.Entry) -> None:
        """Make a regular file."""
        self._bytes_left -= entry.stored
        if self._bytes_left < 0:
            raise refusal(entry.name, f"and what comes before have over {self.limits.size} bytes")
        try:
            descriptor = os.open(name, _CREATE, entry.mode, dir_fd=directory_fd)
        except FileExistsError:
            directory_fd = self.clear(path, directory_fd, name)
            descriptor = os.open(name, _CREATE, entry.mode, dir_fd=directory_fd)
        try:
            if entry.segments is None and entry.size < holes.WORTHWHILE:
                write_all(descriptor, self.reader.content())
            else:
                holes.write(descriptor, self.reader.pieces(), entry.size, entry.segments)
            self.attributes(descriptor, entry)
        finally:
            os.close(descriptor)
        self.size += entry.size

    def attributes(self, descriptor: int, entry: tar.Entry) -> None:
        """Set owner, extended attributes, mode and times of an open file, as far as needed.

        In this order: changing the owner takes away capabilities and setuid.
        """
        changed = (entry.uid, entry.gid) != self._ids
        if changed:
            os.fchown(descriptor, entry.uid, entry.gid)
        if entry.xattrs:
            set_xattrs(descriptor, entry)
        if entry.mode & self._umask or (changed and entry.mode & 0o6000) or not self._fresh:
            os.fchmod(descriptor, entry.mode)
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))

    def symlink(self, path: bytes, directory_fd: int, name: bytes, entry: tar.Entry) -> None:
        """Make a symbolic link."""
        check_link(entry, path.count(b"/") + self.depth)
        try:
            os.symlink(entry.link, name, dir_fd=directory_fd)
        except FileExistsError:
            directory_fd = self.clear(path, directory_fd, name)
            os.symlink(entry.link, name, dir_fd=directory_fd)
        if not self._fresh or (entry.uid, entry.gid) != self._ids:
            os.chown(name, entry.uid, entry.gid, dir_fd=directory_fd, follow_symlinks=False)
        if entry.xattrs:
            set_xattrs(xattr.place(directory_fd, os.fsdecode(name)), entry)
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(name, ns=times, dir_fd=directory_fd, follow_symlinks=False)
        self.size += len(entry.link)

    def special(self, path: bytes, directory_fd: int, name: bytes, entry: tar.Entry) -> None:
        """Make a device or a FIFO."""
        kinds = {
            tar.CHARACTER_DEVICE: stat.S_IFCHR,
            tar.BLOCK_DEVICE: stat.S_IFBLK,
            tar.FIFO: stat.S_IFIFO,
        }
        if entry.major >= 1 << 12 or entry.minor >= 1 << 20:
            raise refusal(entry.name, f"is no device that exists: {entry.major}:{entry.minor}")
        mode = kinds[entry.kind] | entry.mode
        device = os.makedev(entry.major, entry.minor)
        try:
            os.mknod(name, mode, device, dir_fd=directory_fd)
        except FileExistsError:
            directory_fd = self.clear(path, directory_fd, name)
            os.mknod(name, mode, device, dir_fd=directory_fd)
        # By a descriptor: a name that someone replaces by a link would be followed by chmod(2).
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory_fd)
        try:
            link = f"/proc/self/fd/{descriptor}"
            os.chown(link, entry.uid, entry.gid)
            set_xattrs(xattr.place(directory_fd, os.fsdecode(name)), entry)
            os.chmod(link, entry.mode)
            os.utime(link, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(descriptor)

    def hard_link(self, path: bytes, directory_fd: int, name: bytes, entry: tar.Entry) -> None:
        """Make a further name of a file."""
        existing = self.simplify(entry.link or b"/", entry)
        if existing in (path, b""):
            raise refusal(entry.name, "is a hard link to itself or to nothing")
        parent, _, target = existing.rpartition(b"/")
        # Opening one parent may push the other out of the cache: hold on to it.
        held = os.dup(directory_fd)
        try:
            source_fd = self.link_source(existing, parent, target, entry)
            if stat.S_ISDIR(os.lstat(target, dir_fd=source_fd).st_mode):
                raise refusal(entry.name, "is a hard link to a directory")
            try:
                os.link(target, name, src_dir_fd=source_fd, dst_dir_fd=held, follow_symlinks=False)
            except FileExistsError:
                self.clear(path, held, name)
                source_fd = self.link_source(existing, parent, target, entry)
                os.link(target, name, src_dir_fd=source_fd, dst_dir_fd=held, follow_symlinks=False)
        finally:
            os.close(held)

    def link_source(self, path: bytes, parent: bytes, name: bytes, entry: tar.Entry) -> int:
        """Return the open directory that has the file to link to.

        Raises: InvalidArgument
        """
        directory_fd = self.parent(parent, entry)
        if not exists(directory_fd, name):
            raise refusal(entry.name, f"is a hard link to {tar.shown(path)}, which is missing")
        return directory_fd

    def finish_directories(self) -> None:
        """Give directories their owner, attributes, mode and times.

        Those that later entries have replaced are not there any more.
        """
        for path, entry in reversed(self.directories.items()):
            try:
                descriptor = self.open_directory(path)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    continue
                raise
            try:
                self.finish_directory(path, descriptor, entry)
            except OSError as error:
                raise _fault(entry, error) from error
            finally:
                os.close(descriptor)

    def open_directory(self, path: bytes) -> int:
        """Open a directory that an entry named, to finish it."""
        return paths.open_plain(self.root_fd, path, DIRECTORY)

    def finish_directory(self, path: bytes, descriptor: int, entry: tar.Entry) -> None:  # noqa: ARG002 - for subclasses
        """Give one directory what its entry says."""
        os.fchown(descriptor, entry.uid, entry.gid)
        set_xattrs(descriptor, entry)
        os.fchmod(descriptor, entry.mode)
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))


def check_link(entry: tar.Entry, depth: int) -> None:
    """Refuse a symbolic link, `depth` directories below the root, that climbs out of it.

    Absolute ones begin at the root.

    Docker: "invalid symlink"; a process in the container could not climb out by it, but others who
    follow links without care could.
    """
    link = entry.link
    if not link or b"\0" in link:
        raise refusal(entry.name, "is a symbolic link to nothing")
    if b".." not in link:
        return
    level = 0 if link.startswith(b"/") else depth
    for part in link.split(b"/"):
        if part == b"..":
            level -= 1
        elif part not in (b"", b"."):
            level += 1
        if level < 0:
            raise refusal(entry.name, f"is a link that leads out of the root: {tar.shown(link)}")


def set_xattrs(target: int | str, entry: tar.Entry) -> None:
    """Set extended attributes, but none that would give overlay orders."""
    for name, value in entry.xattrs.items():
        if name.startswith(_OVERLAY_XATTRS):
            continue
        if not name or b"\0" in name:
            raise refusal(entry.name, "has an extended attribute without a name")
        try:
            xattr.write(target, os.fsdecode(name), value)
        except OSError as error:
            unable = error.errno in (errno.ENOTSUP, errno.EPERM)
            if unable and name.startswith(_OPTIONAL_XATTRS):
                continue
            raise


def exists(directory_fd: int, name: bytes) -> bool:
    """Tell whether there is anything called `name`."""
    try:
        os.lstat(name, dir_fd=directory_fd)
    except FileNotFoundError:
        return False
    return True


def write_all(descriptor: int, data: bytes) -> None:
    """Write `data` to a new file."""
    while data:
        data = data[os.write(descriptor, data) :]


def refusal(name: bytes, reason: str) -> InvalidArgument:
    """Return the error for an entry that is not done: `name` as the archive has it."""
    return InvalidArgument(f"archive entry {tar.shown(name)} {reason}")


def _fault(entry: tar.Entry, error: OSError) -> Exception:
    """Return what a failed call means: the entry's fault, the disk's, or nobody's we know."""
    name = tar.shown(entry.name)
    meaning = meaning_of(error, f"unpacking {name}")
    if meaning:
        return meaning
    if error.errno in _FAULTS_OF_THE_ARCHIVE:
        return Corrupt(f"archive entry {name} cannot be unpacked: {error.strerror}")
    return error
