"""What the build cache holds, record by record, and the filters that choose among records."""

from __future__ import annotations

import time

from knarr.engine.build import cachemounts
from knarr.engine.filters import boolean, parse_filters
from knarr.store.buildcache import CacheRecords
from knarr.store.images import ImageRecords
from knarr.store.layers import LayerRecords
from knarr.util import jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.store.buildcache import CacheRow

AGES = ("until", "unused-for")
CHOOSING = frozenset((*AGES, "id", "type"))
KNOWN = CHOOSING | {"shared"}
_ID = "sha256:"


class Usage(Value):
    """One record. `shared`: an image has its layer too, so forgetting the record frees nothing."""

    row: CacheRow
    type: str
    description: str
    parent: str
    size: int
    shared: bool

    @property
    def id(self) -> str:
        return self.row.key.removeprefix(_ID)


def usage(engine: Engine, filters: Iterable[str] = ()) -> list[Usage]:
    """Return what passes the filters, the least recently used first. Raises: InvalidArgument"""
    filters = list(filters)
    wanted = choose(filters, KNOWN)
    given = parse_filters(filters, KNOWN)
    shared = boolean("shared", given["shared"]) if "shared" in given else None
    held = ImageRecords(engine.database).used_chains()
    sizes = {row.chain_id: row.size for row in LayerRecords(engine.database).all()}
    found = [_usage(row, sizes, held) for row in everything(engine) if wanted(row)]
    return [each for each in found if shared in (None, each.shared)]


def everything(engine: Engine) -> list[CacheRow]:
    """Return the records of results and of steps' caches, the least recently used first."""
    rows = [*CacheRecords(engine.database).all(), *cachemounts.cache_mounts(engine)]
    return sorted(rows, key=lambda row: (row.used_ns, row.key))


def choose(filters: Iterable[str], known: frozenset[str] = CHOOSING) -> Callable[[CacheRow], bool]:
    """Return what tells whether a record passes the filters. Raises: InvalidArgument"""
    given = parse_filters(filters, known)
    before_ns = _before([text for name in AGES for text in given.get(name, ())])
    ids = [text.removeprefix(_ID) for text in given.get("id", ())]
    types = given.get("type", [])

    def passes(row: CacheRow) -> bool:
        if before_ns is not None and row.used_ns >= before_ns:
            return False
        if ids and not any(row.key.removeprefix(_ID).startswith(each) for each in ids):
            return False
        return not types or _type(row, _about(row)) in types

    return passes


def _before(texts: list[str]) -> int | None:
    if not texts:
        return None
    from knarr.util.times import parse_when  # noqa: PLC0415 - for who asks for it

    return min(parse_when(text, now_ns=time.time_ns()) for text in texts)


def _usage(row: CacheRow, sizes: dict[Any, int], held: frozenset[str]) -> Usage:
    about = _about(row)
    size = row.size if row.chain is None else sizes.get(row.chain, row.size)
    parent = str(about.get("parent", ""))
    shared = row.chain is not None and row.chain in held
    return Usage(row, _type(row, about), _describe(about), parent, size, shared)


def _about(row: CacheRow) -> dict[str, Any]:
    """Return what the key was made of."""
    found: dict[str, Any] = jsontext.loads(row.detail).get("about", {})
    return found


def _type(row: CacheRow, about: dict[str, Any]) -> str:
    """Return the kind of a record, in BuildKit's words."""
    if about.get("kind") == cachemounts.KIND:
        return cachemounts.TYPE
    if row.chain is None:
        return "internal"
    return f"source.{about['from']}" if about.get("kind") == "fetch" else "regular"


def _describe(about: dict[str, Any]) -> str:
    match about.get("kind"):
        case cachemounts.KIND:
            return f"cached mount {about['id']}"
        case "run":
            return f"RUN {' '.join(about['arguments'])}"
        case "fetch":
            return str(about.get("url") or about["name"])
        case "files":
            places = [each.get("destination") or each["directory"] for each in about["actions"]]
            return f"files to {', '.join(dict.fromkeys(places))}"
    return ""
