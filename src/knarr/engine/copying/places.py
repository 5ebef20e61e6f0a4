"""Where copies begin and end up: Docker's rules about names, slashes and what is there already.

Docker: the table of "docker cp". A source that ends in `/.` means the contents of a directory; a
destination that ends in `/` must be a directory unless the source is one, which then gets that
name.
"""

from __future__ import annotations

import posixpath
import stat

from knarr.errors import Conflict, InvalidArgument, NotFound
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class PathStat(Value):
    """What is at a path. `link` is where a symbolic link leads, as a path in the same root."""

    name: str
    size: int
    mode: int
    mtime_ns: int
    link: str = ""

    @property
    def is_directory(self) -> bool:
        """Tell whether it is a directory itself."""
        return stat.S_ISDIR(self.mode)

    def document(self) -> dict[str, Any]:
        """Return what Docker's API puts, as JSON, into X-Docker-Container-Path-Stat."""
        from knarr.util.times import render_rfc3339  # noqa: PLC0415 - for an API alone

        return {
            "name": self.name,
            "size": self.size,
            "mode": _go_mode(self.mode),
            "mtime": render_rfc3339(self.mtime_ns),
            "linkTarget": self.link,
        }


# Go's os.FileMode: the nine bits of permission, and these.
_GO_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


def _go_mode(mode: int) -> int:
    bits = mode & 0o777 | _GO_TYPES.get(stat.S_IFMT(mode), 0)
    return bits | sum(go for unix, go in _GO_BITS if mode & unix)


class Destination(Value):
    """A path to copy to, links followed, and what is there."""

    path: str
    exists: bool = False
    is_directory: bool = False


class Landing(Value):
    """The directory that an archive is unpacked in, and the name its top is given there."""

    directory: str
    name: str


def split_argument(text: str) -> tuple[str, str]:
    """Return container and path of an argument; the container is empty for a path of the host.

    Docker: what begins with `/` or `.` is a path, whatever colons are in it
    """
    container, colon, path = text.partition(":")
    if text.startswith("/") or not colon or container.startswith("."):
        return "", text
    return container, path


def clean(path: str) -> str:
    """Return a container's path from its root, without `..`, with what says it is a directory.

    Docker: as its client cleans a path, before any link is looked at
    """
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    if path.endswith("/.") or path == ".":
        return cleaned.rstrip("/") + "/."
    return cleaned.rstrip("/") + "/" if path.endswith("/") else cleaned


def base_name(path: str) -> str:
    """Return the name that a source has in an archive: `.` for the contents of a directory."""
    if path.endswith("/.") or path == ".":
        return "."
    return path.rstrip("/").rpartition("/")[2] or "."


def asserts_directory(path: str) -> bool:
    """Tell whether only a directory can be meant."""
    return path.endswith(("/", "/.", "/..")) or path in (".", "..")


def land(
    source: str, destination: Destination, *, directory: bool, several: bool = False
) -> Landing:
    """Return where `source`, which is a `directory` or not, is put.

    Raises: Conflict, NotFound, InvalidArgument
    """
    name = base_name(source)
    if destination.exists and destination.is_directory:
        return Landing(destination.path, name)
    if several:
        message = f'destination "{destination.path}" must be a directory'
        raise InvalidArgument(message, hint="The pattern matches more than one file.")
    if destination.exists and directory:
        message = f"cannot copy directory {source} to {destination.path}, which is none"
        raise Conflict(message)
    if not destination.exists and not directory and asserts_directory(destination.path):
        message = f"no such directory: {destination.path}"
        raise NotFound(message)
    parent, _, name = _cleaned(destination.path).rpartition("/")
    return Landing(parent or "/", name)


def _cleaned(path: str) -> str:
    return path.removesuffix("/.").rstrip("/")
