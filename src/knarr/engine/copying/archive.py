"""A container's files as archives: looked at, taken out, put in.

These are the three verbs of Docker's API on /containers/…/archive (HEAD, GET, PUT), and what
`copying` of the command line is made of. All paths are the container's, resolved inside its root
whatever links its programs have made.
"""

from __future__ import annotations

import errno
import os
import stat

from knarr.engine.copying.packing import CopyPacker, Source
from knarr.engine.copying.places import Destination, PathStat, base_name
from knarr.engine.copying.unpacking import unpack_copy
from knarr.errors import InvalidArgument, NotFound, PermissionDenied
from knarr.linux import path as paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from knarr.engine.copying.view import View
    from knarr.util.tarreader import Source as Archive
    from knarr.util.tarwriter import Sink

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Files:
    """The files of one container, as `view` has them; `name` is the container's, for messages."""

    def __init__(self, view: View, name: str) -> None:
        self._view = view
        self._root_fd = view.root_fd
        self._name = name

    def stat(self, path: str) -> PathStat:
        """Return what is at `path`; of a link itself, unless the path ends in a slash.

        Raises: NotFound
        """
        descriptor = self._open(path)
        try:
            found = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        link = ""
        if stat.S_ISLNK(found.st_mode):
            link = "/" + paths.resolve_in_root(self._root_fd, path)
        return PathStat(_shown_name(path), found.st_size, found.st_mode, found.st_mtime_ns, link)

    def destination(self, path: str) -> Destination:
        """Return what is where something is to be copied to; a link leads to where it does."""
        resolved = "/" + paths.resolve_in_root(self._root_fd, path)
        try:
            found = paths.stat_in_root(self._root_fd, path)
        except OSError as error:
            if error.errno not in _MISSING:
                raise
            slash = "/" if path.endswith(("/", "/.")) else ""
            return Destination(resolved.rstrip("/") + slash)
        return Destination(resolved, exists=True, is_directory=stat.S_ISDIR(found.st_mode))

    def get(
        self,
        wanted: Iterable[tuple[str, str]],
        out: Sink,
        *,
        owner: Callable[[int, int], tuple[int, int]] | None = None,
        follow: bool = False,
    ) -> int:
        """Write an archive of what is at each path, under the name given with it; return its size.

        Without a name it has its own. `owner` is asked with the container's numbers. With `follow`
        a source that is a link is what the link leads to.

        Raises: NotFound
        """

        def owner_of(uid: int, gid: int) -> tuple[int, int]:
            uid, gid = self._view.inside(uid, gid)
            return owner(uid, gid) if owner else (uid, gid)

        opened: list[int] = []
        try:
            sources = [self._source(path, title, opened, follow) for path, title in wanted]
            return CopyPacker(out, owner=owner_of, hidden=self._view.hidden).pack_all(sources)
        except FileNotFoundError as error:
            raise self._missing(str(error.filename)) from error
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def put(
        self,
        path: str,
        archive: Archive,
        *,
        owner: Callable[[int, int], tuple[int, int]] | None = None,
        merging: bool = True,
    ) -> None:
        """Unpack `archive` in the directory `path`.

        `owner` returns the container's numbers for an owner in the archive; without it the owner is
        kept. Without `merging`, files and directories replace each other.

        Raises: NotFound, InvalidArgument, Conflict, Corrupt, PermissionDenied
        """
        directory_fd = self._open(path.rstrip("/") + "/")
        try:
            self._view.refuse_readonly(directory_fd)
        finally:
            os.close(directory_fd)

        def owner_of(uid: int, gid: int) -> tuple[int, int]:
            return self._view.outside(*(owner(uid, gid) if owner else (uid, gid)))

        base = paths.resolve_in_root(self._root_fd, path)
        try:
            with self._view.creator():
                unpack_copy(self._root_fd, base, archive, owner=owner_of, merging=merging)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            raise PermissionDenied(f"copying to {self._name}:{path}: {error.strerror}") from error

    def identify(self, user: str) -> tuple[int, int]:
        """Return the numbers of `user[:group]` by the container's own passwd and group.

        Raises: InvalidArgument
        """
        from knarr.engine.container.users import identify, read_accounts  # noqa: PLC0415 - rare

        passwd, group = read_accounts(self._root_fd)
        found = identify(user, (), passwd=passwd, group=group)
        return found.uid, found.gid

    def matching(self, pattern: str) -> list[str]:
        """Return the paths that a pattern means: itself, if there is something of that name.

        Raises: NotFound, InvalidArgument
        """
        from knarr.build.globs import has_glob  # noqa: PLC0415 - as `_expand`

        if not has_glob(pattern) or self._exists(pattern):
            return [pattern]
        found = self._expand(pattern)
        if not found:
            raise self._missing(pattern)
        return found

    def _expand(self, pattern: str) -> list[str]:
        from knarr.build.globs import compile_glob, has_glob  # noqa: PLC0415 - for patterns alone

        found = [""]
        for part in paths.components(pattern):
            if not has_glob(part):
                found = [f"{path}/{part}" for path in found if self._exists(f"{path}/{part}")]
                continue
            matcher = compile_glob(part)
            hidden = part.startswith((".", "\\."))
            found = [
                f"{path}/{name}"
                for path in found
                for name in self._names(path)
                if matcher.fullmatch(name) and (hidden or not name.startswith("."))
            ]
        ending = "/." if pattern.endswith("/.") else "/" if pattern.endswith("/") else ""
        return [path + ending for path in found if not ending or self._exists(path + "/")]

    def _names(self, path: str) -> list[str]:
        try:
            directory_fd = paths.open_in_root(self._root_fd, path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in _MISSING:
                return []
            raise
        try:
            return sorted(os.listdir(directory_fd))
        finally:
            os.close(directory_fd)

    def _exists(self, path: str) -> bool:
        try:
            os.close(self._open(path))
        except NotFound:
            return False
        return True

    def _open(self, path: str) -> int:
        """Open what is at `path` as a place; a link itself, but for a path that means a directory.

        Raises: NotFound, InvalidArgument
        """
        flags = os.O_PATH
        flags |= os.O_DIRECTORY if path.endswith(("/", "/.")) else os.O_NOFOLLOW
        try:
            return paths.open_in_root(self._root_fd, path, flags)
        except NotADirectoryError as error:
            bare = path.removesuffix("/.").rstrip("/")
            if bare != path and self._exists(bare):
                message = f"{path} in container {self._name} is not a directory"
                raise InvalidArgument(message) from error
            raise self._missing(path) from error
        except OSError as error:
            if error.errno in _MISSING:
                raise self._missing(path) from error
            raise

    def _source(self, path: str, title: str, opened: list[int], follow: bool) -> Source:  # noqa: FBT001
        whole = path.endswith(("/", "/.", "/..")) or base_name(path) == "."
        title = title or base_name(path)
        if follow and not whole:
            path = "/" + paths.resolve_in_root(self._root_fd, path)
            whole = path == "/"
        if whole:
            opened.append(self._open(path if path.endswith("/.") else path.rstrip("/") + "/"))
            return Source(opened[-1], "", title)
        os.close(self._open(path))
        parent, _, name = path.rpartition("/")
        opened.append(self._open(parent + "/"))
        return Source(opened[-1], name, title)

    def _missing(self, path: str) -> NotFound:
        shown = "/" + path.removesuffix("/.").strip("/")
        return NotFound(f"Could not find the file {shown} in container {self._name}")


def _shown_name(path: str) -> str:
    name = base_name(path)
    return "/" if not path.strip("/") else name
