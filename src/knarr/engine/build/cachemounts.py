"""The caches of `RUN --mount=type=cache` as records of the build cache: to be listed, and to go.

What a step finds in such a cache is its own affair, so nothing but their size and the time of their
last use is known of them. A cache that a step uses at this moment stays. Its directory and lock
stay in any case: whoever waits for the lock waits for this one.

    data             what steps see
    data.removed     what is being removed: steps never find a cache of which a part is gone
    id               what the cache is called, written with it
    lock             its time is that of the last use
"""

from __future__ import annotations

import os

from knarr.engine.build.workplace import builds_dir
from knarr.linux.tree import remove_path
from knarr.store.buildcache import CacheRow
from knarr.util import jsontext
from knarr.util.files import FileLock, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.engine import Engine
    from knarr.engine.paths import Paths

KIND = "cache mount"
TYPE = "exec.cachemount"  # BuildKit's word
_REMOVED = "data.removed"


def caches_dir(paths: Paths) -> str:
    """Return the directory that holds a directory for each cache."""
    return f"{builds_dir(paths)}/caches"


def note_use(directory: str, name: str) -> None:
    """Write down what the cache in `directory`, whose lock is held, is called, and this use."""
    os.utime(f"{directory}/lock")
    path = f"{directory}/id"
    if not os.path.exists(path):
        with open(path, "wb") as file:
            file.write(name.encode("utf-8", "surrogateescape"))


def cache_mounts(engine: Engine) -> list[CacheRow]:
    """Return the caches that there are. Their trees are walked."""
    parent = caches_dir(engine.paths)
    names = sorted(os.listdir(parent)) if os.path.isdir(parent) else []
    found = (_row(engine, f"{parent}/{name}", name) for name in names)
    return [row for row in found if row is not None]


def _row(engine: Engine, directory: str, name: str) -> CacheRow | None:
    try:
        size = engine.layers.usage(f"{directory}/data").size
        used_ns = os.stat(f"{directory}/lock").st_mtime_ns
    except FileNotFoundError:  # it was never filled, or goes at this moment
        return None
    called, created_ns = name, used_ns
    try:
        called = read_file(f"{directory}/id").decode("utf-8", "surrogateescape")
        created_ns = os.stat(f"{directory}/id").st_mtime_ns
    except FileNotFoundError:  # it is of a time when caches had none
        pass
    detail = jsontext.dumps({"about": {"kind": KIND, "id": called}})
    return CacheRow(name, None, size, created_ns, used_ns, 0, detail)


def is_cache_mount(row: CacheRow) -> bool:
    """Tell a cache of steps from results of steps."""
    about = jsontext.loads(row.detail).get("about", {})
    return bool(about.get("kind") == KIND)


def remove(engine: Engine, rows: Iterable[CacheRow], *, dry_run: bool) -> list[CacheRow]:
    """Remove caches, but those in use; return those that went, with `dry_run` would."""
    parent = caches_dir(engine.paths)
    return [row for row in rows if _remove(f"{parent}/{row.key}", dry_run=dry_run)]


def _remove(directory: str, *, dry_run: bool) -> bool:
    lock = FileLock(f"{directory}/lock")
    if not lock.acquire(wait=False):
        return False
    try:
        if not dry_run:
            os.rename(f"{directory}/data", f"{directory}/{_REMOVED}")
            remove_path(f"{directory}/{_REMOVED}")
    except FileNotFoundError:  # somebody was faster
        return False
    finally:
        lock.release()
    return True


def sweep(engine: Engine) -> None:
    """Remove what is left of removals that were cut short."""
    parent = caches_dir(engine.paths)
    for name in os.listdir(parent) if os.path.isdir(parent) else ():
        if os.path.exists(f"{parent}/{name}/{_REMOVED}"):
            with FileLock(f"{parent}/{name}/lock"):
                remove_path(f"{parent}/{name}/{_REMOVED}")
