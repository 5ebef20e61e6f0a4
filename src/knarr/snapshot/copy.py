"""Copying files and trees between roots: what COPY, `knarr cp` and copy-up of volumes stand on.

Source and target are descriptors of root directories (of a build context, of a mounted stack) and
paths in them; links in both paths are followed inside their root, so neither leads out. Below the
two ends no link is followed: it is copied.

Where things end up is for the caller to say, who knows Docker's rules about slashes: `copy_tree`
copies what is at one path to be exactly what is at the other. A directory is merged into one that
exists, a file replaces a file; a directory never replaces a file or a link, nor a file a directory:

* modes, times, extended attributes and names of one file (hard links) are copied, owners too unless
  the options say others;
* the top directory itself keeps its own owner and mode if it exists, and is made with 0755 if not;
  directories below it that exist get those of the source. BuildKit has it so;
* data are shared where the file system can, holes stay holes.
"""

from __future__ import annotations

import errno
import os
import stat

from knarr.errors import Conflict, InvalidArgument
from knarr.linux import files, whiteout, xattr
from knarr.linux import path as paths
from knarr.linux.tree import Walk
from knarr.snapshot.copyfile import copy_content
from knarr.snapshot.faults import storage
from knarr.snapshot.pack import kept_xattrs, open_file
from knarr.util.files import write_all
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.snapshot.contents import Contents

    Select = Callable[[str, bool], str]
    Changed = Callable[[int, bool], int]

# What a selection says about a path; `search` is for directories that are not wanted themselves,
# but may hold something that is: then they are made for it.
TAKE = "take"
SKIP = "skip"
SEARCH = "search"

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DEFAULT_ACL = "system.posix_acl_default"


class CopyOptions(Value):
    """What is different about the copy.

    `owner` is (user ID, group ID). `mode` is the mode for everything but links, or a function of
    the source's mode and whether it is a directory. `mtime_ns` is for everything, `earliest_ns`
    for what is older. `select` is asked for each path below the top, relative to it, and whether it
    is a directory: TAKE, SKIP or SEARCH. `follow` says whether a source that is a link itself is
    followed. With `resolved` no link in the target's path is followed: one that it ends in is
    replaced. With `overwrite`, what exists is removed where file and directory meet. With
    `changing`, the source is in use: what vanishes meanwhile is left out. `contents` has what was
    read of the source already, and gets what is written: for targets that become a layer.
    """

    owner: tuple[int, int] | None = None
    mode: int | Changed | None = None
    mtime_ns: int | None = None
    earliest_ns: int | None = None
    select: Select | None = None
    follow: bool = True
    resolved: bool = False
    overwrite: bool = False
    changing: bool = False
    contents: Contents | None = None


def copy_tree(
    source_fd: int,
    source_path: str,
    target_fd: int,
    target_path: str,
    options: CopyOptions | None = None,
) -> None:
    """Copy what is at `source_path` to be at `target_path`; parents are made as needed.

    FileNotFoundError if there is no source.

    Raises: Conflict, InvalidArgument
    """
    with storage(f"copying to {target_path}"):
        Copier(target_fd, options or CopyOptions()).copy(source_fd, source_path, target_path)


def copy_upper(upper_dir: str, target_dir: str) -> None:
    """Copy an upper directory as it is, with overlay's whiteouts and opaque directories."""
    source_fd = os.open(upper_dir, _DIRECTORY)
    try:
        target_fd = os.open(target_dir, _DIRECTORY)
        try:
            Copier(target_fd, CopyOptions(), kept=(whiteout.OPAQUE,)).copy(source_fd, ".", ".")
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)


class _Level:
    """A directory of the target, open while the walk is below its source."""

    __slots__ = ("descriptor", "path", "plain", "status", "wanted", "xattrs")

    def __init__(self, path: str, status: os.stat_result, xattrs: dict[bytes, bytes]) -> None:
        self.path = path
        self.status = status  # of the source
        self.xattrs = xattrs
        self.descriptor = -1  # not made yet
        self.wanted = True
        self.plain = False  # new files get mode and group as asked


class Copier:
    """Copies into the root `target_fd`. Hard links are kept within one copier."""

    def __init__(self, target_fd: int, options: CopyOptions, *, kept: tuple[str, ...] = ()) -> None:
        """Prepare; `target_fd` stays the caller's.

        `kept` are attributes of directories that are copied though they are not content.
        """
        self._target_fd = target_fd
        self._options = options
        self._contents = options.contents
        self._kept = kept
        self._names: dict[tuple[int, int], str] = {}
        self._ids = (os.geteuid(), os.getegid())
        # What the umask takes from a new file, and writing and a new owner from any.
        self._set_later = files.umask() | 0o6000
        self._base = ""
        self._levels: list[_Level] = []

    def copy(self, source_fd: int, source_path: str, target_path: str) -> None:
        """Copy one file or tree."""
        resolved = self._options.resolved
        self._base = (
            target_path if resolved else paths.resolve_in_root(self._target_fd, target_path)
        )
        flags = os.O_PATH if self._options.follow else os.O_PATH | os.O_NOFOLLOW
        top_fd = paths.open_in_root(source_fd, source_path, flags)
        try:
            status = os.fstat(top_fd)
            if stat.S_ISDIR(status.st_mode):
                self._tree(top_fd, status)
            else:
                self._single(source_fd, source_path, status)
        finally:
            os.close(top_fd)

    def _single(self, source_fd: int, source_path: str, status: os.stat_result) -> None:
        """Copy what is not a directory."""
        parent, _, name = self._base.rpartition("/")
        if not name:
            message = f"cannot replace the root directory with {source_path}"
            raise Conflict(message)
        if self._options.follow:
            source_path = paths.resolve_in_root(source_fd, source_path)
        directory_fd = self._make_parents(parent)
        try:
            with paths.Parent(source_fd, source_path) as (from_fd, from_name):
                self._file(from_fd, from_name, status, directory_fd, name)
        finally:
            os.close(directory_fd)

    def _make_parents(self, path: str) -> int:
        mode = self._mode(0o755, directory=True) if self._options.mode is not None else 0o755
        try:
            return paths.make_directories(
                self._target_fd, path, mode, owner=self._options.owner or (0, 0)
            )
        except NotADirectoryError as error:
            message = f"cannot copy to /{self._base}: /{path} is or is below a file"
            raise Conflict(message) from error

    def _tree(self, top_fd: int, status: os.stat_result) -> None:
        """Copy a directory's content."""
        top = _Level("", status, {})
        path_fd = self._make_parents(self._base)
        try:
            top.descriptor = paths.open_plain(path_fd, ".", _DIRECTORY)
        finally:
            os.close(path_fd)
        top.plain = _plain(top.descriptor)
        self._levels = [top]
        walk = Walk(top_fd)
        try:
            for path, directory_fd, name, child in walk:
                self._go_up_to(path.rpartition("/")[0])
                is_directory = stat.S_ISDIR(child.st_mode)
                choice = self._options.select(path, is_directory) if self._options.select else TAKE
                if choice == SKIP or stat.S_ISSOCK(child.st_mode):
                    walk.prune()
                elif is_directory:
                    xattrs = self._directory_xattrs(xattr.place(directory_fd, name))
                    self._enter(_Level(path, child, xattrs), wanted=choice == TAKE)
                elif choice == TAKE:
                    self._present(directory_fd, name, child)
            self._go_up_to("")
            times = self._times(status)
            os.utime(top.descriptor, ns=times)
        finally:
            for level in self._levels:
                if level.descriptor >= 0:
                    os.close(level.descriptor)
            self._levels = []

    def _present(self, directory_fd: int, name: str, status: os.stat_result) -> None:
        """Copy one file of a tree, if it is still there."""
        to_fd = self._current_fd()
        try:
            self._file(directory_fd, name, status, to_fd, name)
        except FileNotFoundError:
            if not self._options.changing:
                raise

    def _directory_xattrs(self, place: str) -> dict[bytes, bytes]:
        found = kept_xattrs(place)
        for name in self._kept:
            value = xattr.read(place, name)
            if value is not None:
                found[os.fsencode(name)] = value
        return found

    def _enter(self, level: _Level, *, wanted: bool) -> None:
        self._levels.append(level)
        if wanted:
            self._current_fd()

    def _current_fd(self) -> int:
        """Return the directory of the target that we are in; make those that were waited with."""
        if self._levels[-1].descriptor >= 0:
            return self._levels[-1].descriptor
        for above, level in zip(self._levels, self._levels[1:], strict=False):
            if level.descriptor < 0:
                name = level.path.rpartition("/")[2]
                level.descriptor = self._directory(above.descriptor, name)
                level.plain = _plain(level.descriptor)
        return self._levels[-1].descriptor

    def _directory(self, parent_fd: int, name: str) -> int:
        """Open the directory `name`, and make it if there is nothing."""
        try:
            os.mkdir(name, 0o700, dir_fd=parent_fd)
        except FileExistsError:
            pass
        try:
            return os.open(name, _DIRECTORY, dir_fd=parent_fd)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            if self._options.overwrite:
                os.unlink(name, dir_fd=parent_fd)
                return self._directory(parent_fd, name)
            message = f"cannot copy to non-directory: {self._shown(name)}"
            raise Conflict(message) from error

    def _go_up_to(self, path: str) -> None:
        """Finish the directories that the walk has left."""
        while self._levels[-1].path != path:
            level = self._levels.pop()
            if level.descriptor < 0:
                continue
            try:
                self._attributes(level.descriptor, level.status, level.xattrs, always=True)
            finally:
                os.close(level.descriptor)

    def _file(
        self, from_fd: int, from_name: str, status: os.stat_result, to_fd: int, name: str
    ) -> None:
        """Copy anything but a directory to `name` in the directory `to_fd`."""
        if self._is_further_name(status, to_fd, name):
            return
        if stat.S_ISREG(status.st_mode):
            known = self._contents.find(status) if self._contents else None
            if known is None:
                self._regular(from_fd, from_name, to_fd, name)
            else:
                self._written(known, status, to_fd, name)
        elif stat.S_ISLNK(status.st_mode):
            link = os.readlink(from_name, dir_fd=from_fd)
            self._create(to_fd, name, os.symlink, link, name, dir_fd=to_fd)
            self._attributes_by_name(from_fd, from_name, status, to_fd, name)
        else:
            mode = self._mode(status.st_mode, directory=False)
            kind = stat.S_IFMT(status.st_mode)
            self._create(to_fd, name, os.mknod, name, kind | mode, status.st_rdev, dir_fd=to_fd)
            self._attributes_by_name(from_fd, from_name, status, to_fd, name)
            descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=to_fd)
            try:
                os.chmod(f"/proc/self/fd/{descriptor}", mode)
            finally:
                os.close(descriptor)

    def _is_further_name(self, status: os.stat_result, to_fd: int, name: str) -> bool:
        """Make `name` a hard link, if its file was copied under another name."""
        if status.st_nlink < 2:
            return False
        where = self._where(name)
        first = self._names.setdefault((status.st_dev, status.st_ino), where)
        if first is where:
            return False
        with paths.Parent(self._target_fd, first) as (first_fd, first_name):
            self._create(
                to_fd, name, os.link, first_name, name,
                src_dir_fd=first_fd, dst_dir_fd=to_fd, follow_symlinks=False,
            )  # fmt: skip
        return True

    def _path(self, name: str) -> tuple[str, ...]:
        return (self._levels[-1].path, name) if self._levels else ()

    def _create(
        self, to_fd: int, name: str, make: Callable[..., int | None], *args: object, **more: object
    ) -> int | None:
        """Call `make`, which makes `name`; if there is something, remove that first."""
        try:
            return make(*args, **more)
        except FileExistsError:
            self._clear(to_fd, name)
            return make(*args, **more)

    def _clear(self, to_fd: int, name: str) -> None:
        if self._contents:
            self._contents.forget(self._place(name))
        try:
            os.unlink(name, dir_fd=to_fd)
        except IsADirectoryError as error:
            if self._options.overwrite:
                from knarr.linux.tree import remove_tree  # noqa: PLC0415 - hardly ever

                remove_tree(to_fd, name)
                return
            message = f"cannot replace the directory {self._shown(name)} with a file"
            raise Conflict(message) from error

    def _shown(self, name: str) -> str:
        return f"/{self._where(name)}"

    def _where(self, name: str) -> str:
        return "/".join(part for part in (self._base, *self._path(name)) if part)

    def _place(self, name: str) -> bytes:
        return os.fsencode(self._where(name))

    def _regular(self, from_fd: int, from_name: str, to_fd: int, name: str) -> None:
        source = open_file(from_fd, from_name)
        try:
            status = os.fstat(source)
            xattrs = kept_xattrs(source)
            target = self._new_file(to_fd, name, status)
            try:
                if xattrs or self._contents is None:
                    copy_content(source, target, status)
                elif self._contents.postpone(self._place(name), source, status):
                    os.ftruncate(target, status.st_size)
                else:
                    content = copy_content(source, target, status)
                    if content is not None:
                        self._contents.place(self._place(name), content)
                self._attributes(target, status, xattrs, always=not self._plain)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _written(self, content: bytes, status: os.stat_result, to_fd: int, name: str) -> None:
        """Make a file of which the content is known."""
        assert self._contents is not None
        target = self._new_file(to_fd, name, status)
        try:
            write_all(target, content)
            self._contents.place(self._place(name), content)
            self._attributes(target, status, {}, always=not self._plain)
        finally:
            os.close(target)

    def _new_file(self, to_fd: int, name: str, status: os.stat_result) -> int:
        mode = self._mode(status.st_mode, directory=False)
        target = self._create(to_fd, name, os.open, name, _CREATE, mode, dir_fd=to_fd)
        assert target is not None
        return target

    @property
    def _plain(self) -> bool:
        """Whether new files here get mode and group as asked."""
        return bool(self._levels) and self._levels[-1].plain

    def _attributes(
        self, descriptor: int, status: os.stat_result, xattrs: dict[bytes, bytes], *, always: bool
    ) -> None:
        """Set owner, extended attributes, mode and times, in the order that keeps them."""
        owner = self._options.owner or (status.st_uid, status.st_gid)
        mode = self._mode(status.st_mode, directory=stat.S_ISDIR(status.st_mode))
        if always or owner != self._ids:
            os.fchown(descriptor, *owner)
        _set_xattrs(descriptor, xattrs)
        if always or mode & self._set_later:
            os.fchmod(descriptor, mode)
        os.utime(descriptor, ns=self._times(status))

    def _attributes_by_name(
        self, from_fd: int, from_name: str, status: os.stat_result, to_fd: int, name: str
    ) -> None:
        """Set owner, extended attributes and times of what cannot be opened."""
        owner = self._options.owner or (status.st_uid, status.st_gid)
        os.chown(name, *owner, dir_fd=to_fd, follow_symlinks=False)
        _set_xattrs(xattr.place(to_fd, name), kept_xattrs(xattr.place(from_fd, from_name)))
        os.utime(name, ns=self._times(status), dir_fd=to_fd, follow_symlinks=False)

    def _mode(self, mode: int, *, directory: bool) -> int:
        wanted = self._options.mode
        if wanted is None:
            return mode & 0o7777
        return wanted if isinstance(wanted, int) else wanted(mode & 0o7777, directory)

    def _times(self, status: os.stat_result) -> tuple[int, int]:
        mtime_ns, earliest_ns = self._options.mtime_ns, self._options.earliest_ns
        if mtime_ns is None:
            mtime_ns = status.st_mtime_ns
        return (mtime_ns if earliest_ns is None else max(mtime_ns, earliest_ns),) * 2


def _plain(directory_fd: int) -> bool:
    """Tell whether new files in a directory get group and mode as their maker asks."""
    return not os.fstat(directory_fd).st_mode & stat.S_ISGID and (
        xattr.read(directory_fd, _DEFAULT_ACL) is None
    )


def _set_xattrs(target: int | str, xattrs: dict[bytes, bytes]) -> None:
    for name, value in xattrs.items():
        try:
            xattr.write(target, os.fsdecode(name), value)
        except OSError as error:
            if error.errno == errno.ENOTSUP and not name.startswith(b"security."):
                continue  # the target's file system cannot keep it; Docker leaves it out too
            message = f"cannot copy the attribute {os.fsdecode(name)}: {error.strerror}"
            raise InvalidArgument(message) from error
