"""The fields of config.json, taken one by one, each with its type and its place.

What the spec does not allow is an error that names the place, before anything is created:
`config.json: linux.namespaces[2].type: "nett" is none of …`. JSON's null stands for an absent
field, as in the reference runtimes.
"""

from __future__ import annotations

from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any, NoReturn

# Of what this runtime writes; the same as knarr.oci.runtime.VERSION, without loading that.
SPEC_VERSION = "1.2.1"

_KINDS = {
    str: "a string",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


class Node:
    """One JSON object of a spec, and where in the document it is."""

    __slots__ = ("fields", "where")

    def __init__(self, fields: Mapping[str, Any], where: str = "config.json") -> None:
        """Read from `fields`; `where` begins every complaint."""
        self.fields = fields
        self.where = where

    def __contains__(self, key: str) -> bool:
        """Tell whether the field is there and not null."""
        return self.fields.get(key) is not None

    def text(self, key: str, default: str = "") -> str:
        """Return a string without NUL."""
        value = self._take(key, str)
        if value is None:
            return default
        if "\0" in value:
            self.refuse(key, "must not contain NUL")
        return str(value)

    def required(self, key: str) -> str:
        """Return a string that must be there and not be empty."""
        value = self.text(key)
        if not value:
            self.refuse(key, "is required")
        return value

    def choice(self, key: str, choices: Collection[str], default: str = "") -> str:
        """Return one of `choices`."""
        value = self.text(key, default)
        if value not in choices:
            self.refuse(key, f'"{value}" is none of {", ".join(sorted(choices))}')
        return value

    def integer(self, key: str) -> int | None:
        """Return a whole number, or None."""
        value = self._take(key, int)
        if isinstance(value, bool) or (value is not None and not -(1 << 63) <= value < 1 << 64):
            self.refuse(key, "must be a whole number of 64 bits")
        return value  # type: ignore[no-any-return]

    def natural(self, key: str, default: int = 0, *, limit: int = (1 << 32) - 1) -> int:
        """Return a whole number from 0 to `limit`."""
        value = self.integer(key)
        if value is None:
            return default
        if not 0 <= value <= limit:
            self.refuse(key, f"must be from 0 to {limit}, not {value}")
        return value

    def boolean(self, key: str) -> bool:
        """Return a truth value, false when absent."""
        return bool(self._take(key, bool))

    def texts(self, key: str) -> list[str]:
        """Return a list of strings without NUL, empty when absent."""
        values = self._take(key, list) or []
        for value in values:
            if not isinstance(value, str) or "\0" in value:
                self.refuse(key, "must be a list of strings without NUL")
        return list(values)

    def integers(self, key: str) -> list[int]:
        """Return a list of whole numbers from 0 to 2^32 - 1, empty when absent."""
        values = self._take(key, list) or []
        for value in values:
            if type(value) is not int or not 0 <= value < 1 << 32:
                self.refuse(key, "must be a list of whole numbers of 32 bits")
        return list(values)

    def node(self, key: str) -> Node:
        """Return the object at `key`, an empty one when absent."""
        return Node(self._take(key, dict) or {}, self._place(key))

    def nodes(self, key: str) -> list[Node]:
        """Return the objects in the list at `key`, none when absent."""
        values = self._take(key, list) or []
        for value in values:
            if not isinstance(value, dict):
                self.refuse(key, "must be a list of objects")
        return [Node(value, f"{self._place(key)}[{n}]") for n, value in enumerate(values)]

    def items(self, key: str) -> list[tuple[str, str]]:
        """Return the object at `key`, whose values are strings, as pairs."""
        values = self._take(key, dict) or {}
        for name, value in values.items():
            if not isinstance(value, str) or "\0" in name + value:
                self.refuse(f"{key}.{name}", "must be a string without NUL")
        return list(values.items())

    def raw(self, key: str) -> Any:
        """Return whatever is at `key`."""
        return self.fields.get(key)

    def refuse(self, key: str, why: str) -> NoReturn:
        """Raise InvalidArgument: the field at `key` is not right, as `why` says."""
        message = f"{self._place(key)}: {why}"
        raise InvalidArgument(message)

    def _place(self, key: str) -> str:
        return f"{self.where}{': ' if self.where == 'config.json' else '.'}{key}"

    def _take(self, key: str, kind: type) -> Any:
        value = self.fields.get(key)
        if value is not None and not isinstance(value, kind):
            self.refuse(key, f"must be {_KINDS[kind]}")
        return value
