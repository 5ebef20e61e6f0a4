"""A request as handlers see it: path parameters, query, headers, body, and an engine of its own.

Docker's rules for values hold: a flag is false when it is empty, `0`, `no`, `false` or `none`, and
filters come as JSON in one of two forms. The body is read when a handler asks for it, so that an
archive of gigabytes passes through.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from knarr.errors import InvalidArgument
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from knarr.engine.engine import Engine

MAXIMUM_DOCUMENT = 8 << 20  # bytes of a JSON body; archives are streams and have no limit here
CRUMB = 512  # bytes that a piece of a body counts for at least: each of them is work
_FALSE = ("", "0", "no", "false", "none")


class Spelled(dict[str, "Any"]):
    """An object whose fields are found in any case, as Go finds them.

    docker-py writes `detachKeys` and `CPURealtimePeriod`, and no Docker ever minded.
    """

    __slots__ = ("_names",)

    def __init__(self, fields: Iterable[tuple[str, Any]]) -> None:
        """Take the fields as they are spelled."""
        super().__init__(fields)
        self._names = {name.lower(): name for name in self}

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, however its name is spelled."""
        name = key if key in self else self._names.get(key.lower())
        return default if name is None else self[name]


def spelled(value: Any) -> Any:
    """Return a JSON value with all its objects `Spelled`."""
    if isinstance(value, dict):
        return Spelled((name, spelled(inner)) for name, inner in value.items())
    return [spelled(inner) for inner in value] if isinstance(value, list) else value


class Body:
    """What the client sends after the head, to be read once. `read` is all that archives need."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        """Get the next piece from `receive`, which returns nothing at the end, and then again."""
        self._receive = receive
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, fewer only at the end; all of them if it is negative."""
        pieces, wanted = [self._rest], size - len(self._rest)
        while (size < 0 or wanted > 0) and (piece := self._receive()):
            pieces.append(piece)
            wanted -= len(piece)
        data = b"".join(pieces)
        if size < 0:
            self._rest = b""
            return data
        self._rest = data[size:]
        return data[:size]

    def whole(self, limit: int) -> bytes | None:
        """Return all of it, None if that is more than `limit` bytes, or comes in crumbs."""
        pieces = []
        while piece := self._receive():
            limit -= max(len(piece), CRUMB)
            if limit < 0:
                return None
            pieces.append(piece)
        return b"".join(pieces)

    def drain(self, limit: int) -> bool:
        """Read and forget what is left; return whether that was no more than `limit`."""
        self._rest = b""
        return self.whole(limit) is not None


class Call:
    """One request.

    `version` is what the path asks for, or the newest; `parameters` are the parts of the path that
    its route names; names of headers are in lower case. `engine` belongs to the connection.
    """

    __slots__ = (
        "_query", "body", "engine", "headers", "method", "parameters", "path", "query", "server",
        "version",
    )  # fmt: skip

    def __init__(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.query = query
        self._query = parse_qs(query, keep_blank_values=True) if query else {}
        self.parameters: Mapping[str, str] = {}
        self.version: tuple[int, int] = (0, 0)
        self.body: Body
        self.engine: Engine
        self.server: Any

    def given(self, name: str) -> bool:
        """Tell whether the query has `name`."""
        return name in self._query

    def text(self, name: str, default: str = "") -> str:
        """Return the first value of `name` in the query."""
        return self._query.get(name, (default,))[0]

    def texts(self, name: str) -> list[str]:
        """Return all values of `name` in the query."""
        return self._query.get(name, [])

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a truth value of the query, as Docker reads it."""
        if name not in self._query:
            return default
        return self.text(name).strip().lower() not in _FALSE

    def number(self, name: str, default: int | None = None) -> int | None:
        """Return a whole number of the query.

        Raises: InvalidArgument
        """
        text = self.text(name)
        if not text:
            return default
        try:
            return int(text, 10)
        except ValueError:
            message = f'strconv.Atoi: parsing "{text}": invalid syntax'
            raise InvalidArgument(message, hint=f"{name} is a whole number.") from None

    def document_in(self, name: str, default: Any = None) -> Any:
        """Return the JSON value of `name` in the query.

        Raises: InvalidArgument
        """
        text = self.text(name)
        if not text:
            return default
        try:
            return jsontext.loads(text)
        except ValueError as error:
            message = f"{name} is not valid JSON: {error}"
            raise InvalidArgument(message) from None

    def filters(self, name: str = "filters") -> list[str]:
        """Return the filters as the engine takes them, `name=value`, in the order given.

        Docker: `{"label": ["a", "b"]}`, and before API 1.22 `{"label": {"a": true, "b": true}}`

        Raises: InvalidArgument
        """
        given = self.document_in(name, {})
        if not isinstance(given, dict):
            raise _bad_filters()
        found = []
        for key, values in given.items():
            if not isinstance(values, list | dict):
                raise _bad_filters()
            if isinstance(values, dict):
                values = [value for value, wanted in values.items() if wanted]
            if not all(isinstance(value, str) for value in values):
                raise _bad_filters()
            found += [f"{key}={value}" for value in values]
        return found

    def json(self) -> dict[str, Any]:
        """Return the body, a JSON object; without a body an empty one.

        Raises: InvalidArgument
        """
        data = self.body.whole(MAXIMUM_DOCUMENT)
        if data is None:
            message = f"the request body is larger than {MAXIMUM_DOCUMENT} bytes"
            raise InvalidArgument(message, hint="Or it comes in a great many chunks.")
        if not data.strip():
            return {}
        self._require_json()
        try:
            document = spelled(jsontext.loads(data))
        except (ValueError, RecursionError) as error:
            message = f"invalid JSON: {error}"
            raise InvalidArgument(message) from None
        if document is None:
            return {}
        if not isinstance(document, dict):
            message = "invalid JSON: the body is not an object"
            raise InvalidArgument(message)
        return document

    def _require_json(self) -> None:
        """See to it that the body is called JSON, by which no page in a browser can call one.

        Where the server listens without certificates, a page of anybody's could have a browser
        beside it send the order for a container. Without asking the server first, browsers send
        forms, plain text and what has no type.

        Raises: InvalidArgument
        """
        given = self.headers.get("content-type", "")
        if given.partition(";")[0].strip().lower() != "application/json":
            message = f"unsupported Content-Type header ({given}): must be 'application/json'"
            raise InvalidArgument(message)


def _bad_filters() -> InvalidArgument:
    hint = 'They are JSON: {"label": ["key=value"]}.'
    return InvalidArgument("invalid filter", hint=hint)
