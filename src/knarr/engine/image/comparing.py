"""What one image has otherwise than another: `image diff`.

Both file systems are looked at without mounting them, as overlay would show them. A file that both
images have from the same layer is the same; of others the contents are read. Times do not count: an
image that was built again differs where something in it does.
"""

from __future__ import annotations

import os
import stat

from knarr.linux import xattr
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.engine.engine import Engine
    from knarr.snapshot.lowers import Directory, Found

ADDED, CHANGED, DELETED = "A", "C", "D"
_CHUNK = 1 << 20


class Difference(Value):
    """One name: its `kind` as in `knarr diff`, and its sizes; one that is not there has size 0."""

    kind: str
    path: str
    old_size: int
    new_size: int


def compare(engine: Engine, old: str, new: str) -> Iterator[Difference]:
    """Yield what the image `new` has otherwise than `old`, a directory before what is in it.

    Raises: InvalidArgument, NotFound
    """
    stacks = [engine.images.stack(engine.images.get(name).id) for name in (old, new)]
    needs = [str(chain_id) for stack in stacks for chain_id in stack]
    with engine.journal.begin("image diff", f"{old} {new}", needs=needs):
        # Again: one of them may have been removed before the operation had its lease.
        stacks = [engine.images.stack(engine.images.get(name).id) for name in (old, new)]
        before, after = (engine.layers.view(stack) for stack in stacks)
        yield from _directories("", before, after)


def _directories(
    path: str, before: Directory | None, after: Directory | None
) -> Iterator[Difference]:
    if before and after and list(before.paths) == list(after.paths):
        return  # of the same layers
    names = {*(before.names() if before else ()), *(after.names() if after else ())}
    for name in sorted(names):
        old = before.find(name) if before else None
        new = after.find(name) if after else None
        below = f"{path}/{name}"
        if kind := _kind(old, new):
            yield Difference(kind, below, _size(old), _size(new))
        inside = (old.directory if old else None, new.directory if new else None)
        if any(inside):
            yield from _directories(below, *inside)


def _kind(old: Found | None, new: Found | None) -> str:
    if old is None or new is None:
        return ADDED if new else DELETED if old else ""
    return CHANGED if _differ(old, new) else ""


def _size(found: Found | None) -> int:
    return found.status.st_size if found and stat.S_ISREG(found.status.st_mode) else 0


def _differ(old: Found, new: Found) -> bool:
    if old.path == new.path:
        return False
    one, other = old.status, new.status
    if (
        (one.st_mode, one.st_uid, one.st_gid, one.st_rdev)
        != (other.st_mode, other.st_uid, other.st_gid, other.st_rdev)
    ):  # fmt: skip
        return True
    if stat.S_ISLNK(one.st_mode):
        return os.readlink(old.path) != os.readlink(new.path)
    if xattr.read(old.path, xattr.CAPABILITY) != xattr.read(new.path, xattr.CAPABILITY):
        return True
    if not stat.S_ISREG(one.st_mode):
        return False
    return one.st_size != other.st_size or not _same_contents(old.path, new.path)


def _same_contents(one: str, other: str) -> bool:
    with open(one, "rb", buffering=0) as first, open(other, "rb", buffering=0) as second:
        while data := first.read(_CHUNK):
            if data != second.read(len(data)):
                return False
    return True
