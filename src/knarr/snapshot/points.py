"""Mount points that a stack lacks, in a tree of their own between the stack and the changes to it.

A container's kernel file systems and files such as /etc/hosts are mounted on something. Where the
image has nothing, a directory or an empty file has to be made, which is no change of the
container's: were it made in the upper directory, `diff` would show it and `commit` would keep it.
So it is made in `<active>/points`, the topmost lower directory. Directories above a point are the
stack's, and repeated with their owner, mode, attributes and times, since overlay shows those of the
topmost one.

Docker: the "init layer" of a container
"""

from __future__ import annotations

import os

from knarr.snapshot.overlay import copy_attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.snapshot.lowers import Directory

# What is at the end of a path: "/" a directory, "" an empty file, else a link to that.
DIRECTORY = "/"
FILE = ""


def make_points(points_dir: str, root: Directory, points: Iterable[tuple[str, str]]) -> None:
    """Make those of `points`, each a relative path and what it is, that `root` does not show.

    Nothing is made if there are none, or where a link or a file is in the way.
    """
    for path, kind in points:
        parents = _parents(root, path)
        if parents is None:
            continue
        if not os.path.isdir(points_dir):
            _make_directory(points_dir, root.path)
        above = points_dir
        for name, source in parents:
            above = f"{above}/{name}"
            if not os.path.isdir(above):
                _make_directory(above, source)
        _make_point(f"{points_dir}/{path}", kind)
    _set_times(points_dir, root)


def _parents(root: Directory, path: str) -> list[tuple[str, str]] | None:
    """Return name and source of each directory above `path`, None if the point is not wanted.

    An empty source is a directory that the stack has not either.
    """
    directory: Directory | None = root
    parents = []
    *names, last = path.split("/")
    for name in names:
        found = directory.find(name) if directory else None
        if found is not None and found.directory is None:
            return None
        directory = found.directory if found else None
        parents.append((name, found.path if found else ""))
    return None if directory and directory.find(last) else parents


def _make_directory(path: str, source: str) -> None:
    os.mkdir(path, 0o755)
    if source:
        copy_attributes(source, path)


def _make_point(path: str, kind: str) -> None:
    if kind == DIRECTORY:
        os.mkdir(path, 0o755)
    elif kind == FILE:  # executable, as who looks for /.dockerenv has always found it
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o755))
    else:
        os.symlink(kind, path)


def _set_times(points_dir: str, root: Directory) -> None:
    """Give the stack's directories their times again, which making something in them changed."""
    if not os.path.isdir(points_dir):
        return
    for name in ("", *os.listdir(points_dir)):
        source = f"{root.path}/{name}"
        found = root.find(name) if name else None
        if found is not None and found.directory is not None:
            source = found.path
        elif name:
            continue
        status = os.lstat(source)
        os.utime(f"{points_dir}/{name}", ns=(status.st_mtime_ns, status.st_mtime_ns))
