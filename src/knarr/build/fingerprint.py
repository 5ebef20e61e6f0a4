"""Digests of what a COPY takes: names, kinds, modes, owners and contents, as far as they arrive.

Reading every file for that would make a build that has nothing to do slow. What a regular file
holds is remembered by its inode, size and times (`StatCache`), as version control systems do it,
and read again only when one of these differs. A file that was changed so recently that another
change could have the same time is not remembered.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time

from knarr.build.modes import parse_mode
from knarr.linux import xattr
from knarr.util import jsontext
from knarr.util.files import read_file, write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from knarr.build.graph import Copy
    from knarr.build.selection import Entry, Root, Tree

    Contents = Callable[[Tree, Entry], str]

_CHUNK = 1 << 20
_TICK_NS = 20_000_000  # twice the coarsest clock by which the kernel dates files
_KEPT_UNSEEN = 1000
_VERSION = 1
_LETTERS = {
    stat.S_IFREG: "f",
    stat.S_IFDIR: "d",
    stat.S_IFLNK: "l",
    stat.S_IFIFO: "p",
    stat.S_IFCHR: "c",
    stat.S_IFBLK: "b",
}
# Overlay's own, and what a security module of the host thinks.
_FOREIGN = ("trusted.", "security.selinux", "security.ima", "security.evm")


def fingerprint(tree: Tree, roots: Sequence[Root], copy: Copy, contents: Contents) -> str:
    """Return a digest of what arrives when `roots` are copied as `copy` says."""
    whole = hashlib.sha256()
    mode_counts = not copy.chmod or parse_mode(copy.chmod).absolute is None
    for root in roots:
        whole.update(f"\0{'' if root.is_directory else root.base}\0".encode(*_TEXT))
        for entry in root.entries:
            whole.update(_line(tree, entry, contents, copy, mode_counts=mode_counts))
    return f"sha256:{whole.hexdigest()}"


_TEXT = ("utf-8", "surrogateescape")


def _line(tree: Tree, entry: Entry, contents: Contents, copy: Copy, *, mode_counts: bool) -> bytes:
    status = entry.status
    kind = stat.S_IFMT(status.st_mode)
    content = ""
    if kind == stat.S_IFREG:
        content = contents(tree, entry)
    elif kind == stat.S_IFLNK:
        content = os.readlink(tree.where(entry.path))
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        content = str(status.st_rdev)
    mode = stat.S_IMODE(status.st_mode) if mode_counts and kind != stat.S_IFLNK else 0
    owner = f"{status.st_uid}:{status.st_gid}" if tree.owned and not copy.chown else ""
    line = f"{_LETTERS[kind]}\0{entry.name}\0{mode:o}\0{owner}\0{content}"
    if tree.owned and kind != stat.S_IFLNK:
        line += "".join(f"\0{key}={value.hex()}" for key, value in attributes(tree, entry))
    return f"{line}\n".encode(*_TEXT)


def attributes(tree: Tree, entry: Entry) -> list[tuple[str, bytes]]:
    """Return the extended attributes of a file that are its own and go where it goes."""
    found = xattr.read_all(tree.where(entry.path))
    return sorted((key, value) for key, value in found.items() if not key.startswith(_FOREIGN))


def read_contents(tree: Tree, entry: Entry) -> str:
    """Return a digest of what a regular file holds."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    found = hashlib.sha256()
    with open(os.open(tree.where(entry.path), flags), "rb", buffering=0) as file:
        while data := file.read(_CHUNK):
            found.update(data)
    return found.hexdigest()


class StatCache:
    """Remembers the digests of files of one context, in a file of its own."""

    def __init__(self, path: str) -> None:
        """Remember where; read when first asked."""
        self._path = path
        self._known: dict[str, list[object]] | None = None
        self._seen: dict[str, list[object]] = {}
        self._changed = False

    def contents(self, tree: Tree, entry: Entry) -> str:
        """Return a digest of what a regular file holds, without reading it if that is known."""
        if self._known is None:
            self._known = self._load()
        status = entry.status
        mark = [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        found = self._known.get(entry.path)
        if found is not None and found[:4] == mark:
            self._seen[entry.path] = found
            return str(found[4])
        begun = time.time_ns()
        digest = read_contents(tree, entry)
        if begun - max(status.st_mtime_ns, status.st_ctime_ns) > _TICK_NS:
            self._seen[entry.path] = [*mark, digest]
            self._changed = True
        return digest

    def save(self) -> None:
        """Write down what was learned, if anything was."""
        if not self._changed:
            return
        unseen = {
            path: mark for path, mark in (self._known or {}).items() if path not in self._seen
        }
        # What this build did not look at may be gone; some of it may be another target's.
        kept = dict(list(unseen.items())[: len(self._seen) + _KEPT_UNSEEN])
        value = {"version": _VERSION, "files": {**kept, **self._seen}}
        os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
        data = jsontext.dumps(value).encode("utf-8", "surrogatepass")
        write_atomically(self._path, data, durable=False)
        self._changed = False

    def _load(self) -> dict[str, list[object]]:
        try:
            value = jsontext.loads(read_file(self._path))
            if value["version"] == _VERSION:
                found: dict[str, list[object]] = value["files"]
                return found
        except (OSError, ValueError, KeyError, TypeError):
            pass  # it is only a cache
        return {}
