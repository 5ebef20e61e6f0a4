"""`build --verify`: whether a second build, without the cache, comes to the same result.

What is compared are layers as their archives have them: names, kinds, modes, owners, times held
down to the epoch, contents, links, attributes. The lowest layer that differs is looked into, and
the first file of it that differs is named, with how it differs.
"""

from __future__ import annotations

import os
import stat

from knarr.build.events import Finished, Noted, Planned, Printed, Started, Warned
from knarr.errors import Failed
from knarr.linux import xattr
from knarr.linux.tree import Walk
from knarr.snapshot.diff import latest_of
from knarr.snapshot.pack import kept_xattrs, open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from knarr.build.events import Event, Report
    from knarr.build.graph import Stack, Vertex
    from knarr.build.worker import Cached
    from knarr.engine.engine import Engine

_PIECE = 1 << 18
_AGAIN = "again "
_TIMES = "time"


def as_second(report: Report) -> Report:
    """Return what tells `report` of a second build, whose steps have names of their own."""

    def tell(event: Event) -> None:
        match event:
            case Started():
                event = event.replace(id=_AGAIN + event.id, name=f"{event.name} (again)")
            case Finished():
                event = event.replace(id=_AGAIN + event.id, key="")
            case Printed() | Noted():
                event = event.replace(id=_AGAIN + event.id)
            case Warned() | Planned():
                return
        report(event)

    return tell


def refuse_difference(
    engine: Engine, first: Stack, second: Stack, order: Sequence[Vertex], made: Mapping[str, Cached]
) -> None:
    """Say where two results of the same build differ, if they do.

    `order` are the vertices of the first build, `made` their results.

    Raises: Failed
    """
    if first == second:
        return
    below = next(
        number for number, pair in enumerate(zip(first, second, strict=True)) if len({*pair}) > 1
    )
    step = _step_of(first[: below + 1], order, made)
    paths = engine.layers.path(first[below]), engine.layers.path(second[below])
    found = list(_differences(*paths))
    path, how = found[0] if found else ("/", "the form of its archive")
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    message = f"built twice, it is not the same: {step} gave {path} another {how}{more}"
    hint = "A command of the step writes something that changes: a date, a random number, a cache."
    raise Failed(message, hint=hint)


def _step_of(stack: Stack, order: Sequence[Vertex], made: Mapping[str, Cached]) -> str:
    for vertex in order:
        if vertex.digest in made and made[vertex.digest].stack == stack:
            line = f" (line {vertex.first})" if vertex.first else ""
            return f"{vertex.name}{line}"
    return "a step"


def _differences(first: str, second: str) -> Iterator[tuple[str, str]]:
    """Yield the path of each entry that differs in two trees, with what is different."""
    trees = [_Tree(path) for path in (first, second)]
    try:
        names = sorted({name for tree in trees for name in tree.found})
        for name in names:
            entries = [tree.found.get(name) for tree in trees]
            how = _how(*entries) if entries[0] != entries[1] else ""
            how = how or _content(name, *trees)
            if how:
                yield f"/{name}", how
    finally:
        for tree in trees:
            tree.close()


class _Tree:
    """The entries of a layer: kind and permissions, owner, time, size, link, attributes."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        latest_ns = latest_of(self.descriptor)
        self.found = {"": _entry(os.fstat(self.descriptor), self.descriptor, "", latest_ns)}
        for name, directory_fd, last, status in Walk(self.descriptor):
            place = xattr.place(directory_fd, last)
            link = os.readlink(last, dir_fd=directory_fd) if stat.S_ISLNK(status.st_mode) else ""
            self.found[name] = _entry(status, place, link, latest_ns)

    def close(self) -> None:
        os.close(self.descriptor)


def _entry(
    status: os.stat_result, place: int | str, link: str, latest_ns: int | None
) -> dict[str, object]:
    time_ns = status.st_mtime_ns if latest_ns is None else min(status.st_mtime_ns, latest_ns)
    return {
        "kind": stat.S_IFMT(status.st_mode),
        "target": link,
        "size": status.st_size if stat.S_ISREG(status.st_mode) else 0,
        "mode": stat.S_IMODE(status.st_mode),
        "owner": (status.st_uid, status.st_gid),
        "device": status.st_rdev,
        "attributes": kept_xattrs(place),
        _TIMES: time_ns,
    }


def _how(first: dict[str, object] | None, second: dict[str, object] | None) -> str:
    """Return what two entries of one name have otherwise; nothing if only their sizes differ."""
    if first is None or second is None:
        return "presence: only the {} build has it".format("second" if first is None else "first")
    for name, value in first.items():
        if value != second[name]:
            return "" if name == "size" else _told(name, value, second[name])
    return ""


def _told(name: str, first: object, second: object) -> str:
    shown = {"mode": "{:o}", "owner": "{0[0]}:{0[1]}", "target": "{}", _TIMES: "{}"}.get(name)
    if shown is None:
        return name
    return f"{name}: {shown.format(first)}, then {shown.format(second)}"


def _content(name: str, first: _Tree, second: _Tree) -> str:
    """Return from which byte on two files differ, if both are files and do."""
    entries = first.found.get(name), second.found.get(name)
    if any(entry is None or entry["kind"] != stat.S_IFREG for entry in entries):
        return ""
    files = [open_file(tree.descriptor, name) for tree in (first, second)]
    try:
        offset = 0
        while True:
            pieces = [os.read(descriptor, _PIECE) for descriptor in files]
            if pieces[0] != pieces[1]:
                return f"content, from byte {offset + _common(*pieces)} on"
            if not pieces[0]:
                return ""
            offset += len(pieces[0])
    finally:
        for descriptor in files:
            os.close(descriptor)


def _common(first: bytes, second: bytes) -> int:
    """Return how many bytes two pieces have in common at their begin."""
    for number, pair in enumerate(zip(first, second, strict=False)):
        if len({*pair}) > 1:
            return number
    return min(len(first), len(second))
