"""JSON documents that others wrote, read with care.

Every document has a limit of size and of depth; every field is taken through `Fields`, which knows
where in the document it is and raises Corrupt with that place. JSON's null stands for an absent
field, as everywhere in this field. What a reader does not know is kept aside by `rest`, so that a
document derived from another loses nothing.

Encoding is deterministic: sorted keys, no spaces. The same contents have the same digest.
"""

from __future__ import annotations

from knarr.errors import Corrupt
from knarr.oci.digest import Digest
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

MAX_SIZE = 4 << 20
MAX_DEPTH = 64
MAX_ITEMS = 100_000


class FrozenDict(dict[str, "Any"]):
    """A dictionary that stays as it was made, and can be part of a value."""

    def __hash__(self) -> int:  # type: ignore[override]
        """Hash the keys: values may be lists."""
        return hash(frozenset(self))

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        message = "a FrozenDict never changes"
        raise TypeError(message)

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by way of the constructor."""
        return FrozenDict, (dict(self),)


EMPTY = FrozenDict()


def load(raw: bytes, what: str, *, limit: int = MAX_SIZE) -> Fields:
    """Return the fields of the JSON object `raw`, a document of the kind `what`.

    Raises: Corrupt
    """
    if len(raw) > limit:
        message = f"{what} has {len(raw)} bytes, more than {limit}"
        raise Corrupt(message)
    try:
        text = raw.decode()
        if "NaN" in text or "Infinity" in text:
            _refuse_constants(text)
        value = jsontext.loads(text)
        if "\\u" in text:
            _refuse_half_characters(value)
    except (ValueError, RecursionError) as error:
        message = f"{what} is not valid JSON: {error}"
        raise Corrupt(message) from error
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        message = f"{what} is nested more than {MAX_DEPTH} deep"
        raise Corrupt(message)
    if not isinstance(value, dict):
        message = f"{what} is not a JSON object"
        raise Corrupt(message)
    return Fields(value, what)


def dump(value: object) -> bytes:
    """Return `value` as JSON: sorted keys, no spaces, UTF-8."""
    return jsontext.dumps(value, sort_keys=True).encode()


def _refuse_half_characters(value: object) -> None:
    """Raise ValueError for an escape that is half of a character: no file or column takes it."""
    import json  # noqa: PLC0415 - only for documents with escapes

    json.dumps(value, ensure_ascii=False).encode()


def _refuse_constants(text: str) -> None:
    import json  # noqa: PLC0415 - only for documents that hold such a word

    def refuse(name: str) -> NoReturn:
        message = f"{name} is not a number of JSON"
        raise ValueError(message)

    json.loads(text, parse_constant=refuse)


def _depth(value: object) -> int:
    deepest = 0
    waiting = [(value, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            deepest = max(deepest, depth)
            waiting += [(item, depth + 1) for item in value if isinstance(item, dict | list)]
    return deepest


class Fields:
    """The fields of one JSON object, by type. Absent and null are the same."""

    __slots__ = ("object", "where")

    def __init__(self, value: dict[str, Any], where: str) -> None:
        """Read from `value`; `where` names it in errors."""
        self.object = value
        self.where = where

    def text(self, key: str, default: str = "") -> str:
        """Return a string."""
        value = self.object.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self.refuse(key, "a string")
        return self._clean(key, value)

    def integer(self, key: str, default: int = 0, *, lowest: int = 0) -> int:
        """Return a whole number that fits 63 bits."""
        value = self.object.get(key)
        if value is None:
            return default
        if type(value) is not int or not lowest <= value < 1 << 63:
            self.refuse(key, f"a whole number of at least {lowest}")
        return value

    def boolean(self, key: str) -> bool:
        """Return a truth value, false when absent."""
        value = self.object.get(key)
        if value is not None and not isinstance(value, bool):
            self.refuse(key, "true or false")
        return bool(value)

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Return a list of strings; None when absent, which may differ from empty."""
        value = self.object.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(key, "a list of strings")
        return tuple([self._clean(key, item) for item in self._counted(key, value)])

    def integers(self, key: str) -> tuple[int, ...]:
        """Return a list of whole numbers that are not negative."""
        value = self.object.get(key) or []
        if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
            self.refuse(key, "a list of whole numbers of at least 0")
        return tuple(self._counted(key, value))

    def mapping(self, key: str) -> FrozenDict:
        """Return a dictionary of strings."""
        value = self.object.get(key)
        if value is None:
            return EMPTY
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            self.refuse(key, "an object of strings")
        self._counted(key, value)
        return FrozenDict({self._clean(key, name): self._clean(key, value[name]) for name in value})

    def keys(self, key: str) -> tuple[str, ...]:
        """Return the sorted names of an object whose values say nothing, as Go writes sets."""
        value = self.object.get(key)
        if value is None:
            return ()
        if not isinstance(value, dict):
            self.refuse(key, "an object")
        return tuple(sorted(self._clean(key, name) for name in self._counted(key, value)))

    def child(self, key: str) -> Fields | None:
        """Return the fields of an object within this one."""
        value = self.object.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.refuse(key, "an object")
        return Fields(value, f"{self.where}: {key}")

    def children(self, key: str) -> list[Fields]:
        """Return the fields of each object in a list."""
        value = self.object.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.refuse(key, "a list of objects")
        self._counted(key, value)
        return [Fields(item, f"{self.where}: {key}[{n}]") for n, item in enumerate(value)]

    def digest(self, key: str) -> Digest:
        """Return a digest, which must be there."""
        value = self.object.get(key)
        if not isinstance(value, str):
            self.refuse(key, "a digest")
        try:
            return Digest(value)
        except Corrupt as error:
            message = f"{self.where}: {key}: {error}"
            raise Corrupt(message) from error

    def rest(self, known: frozenset[str]) -> FrozenDict:
        """Return what the reader does not know."""
        if self.object.keys() <= known:
            return EMPTY
        return FrozenDict({k: v for k, v in self.object.items() if k not in known})

    def refuse(self, key: str, wanted: str) -> NoReturn:
        """Raise Corrupt for the field `key`."""
        message = f"{self.where}: {key} must be {wanted}"
        raise Corrupt(message)

    def _clean(self, key: str, text: str) -> str:
        # No C program takes a NUL; a document with one hides what follows it from someone.
        if "\0" in text:
            self.refuse(key, "without NUL")
        return text

    def _counted(self, key: str, items: Any) -> Iterable[Any]:
        if len(items) > MAX_ITEMS:
            self.refuse(key, f"of at most {MAX_ITEMS} items")
        found: Iterable[Any] = items
        return found
