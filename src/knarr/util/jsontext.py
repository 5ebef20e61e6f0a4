"""JSON without the start-up cost of `json`.

Importing `json` costs 6 ms, most of it for the regular expressions of its pure-Python fallback. The
C accelerator below it has everything else, and is used here directly; an interpreter without it
gets the standard module. Results and errors are those of `json` in every case.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    _Encode = Callable[[object, int], tuple[str, ...]]

_json: Any
try:
    _json = __import__("_json")
except ImportError:  # pragma: no cover - another implementation of Python
    _json = None

WHITESPACE = " \t\n\r"


class _Context:
    """What the C scanner wants to know: every default of `json.loads`."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def loads(text: str | bytes) -> Any:
    """Return the value of the JSON document `text` (UTF-8 when bytes).

    Raises: ValueError
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogatepass")
    start = len(text) - len(text.lstrip(WHITESPACE))
    try:
        value, end = _scan(text, start)
    except (StopIteration, SystemError, ValueError):
        # The scanner alone cannot say what is wrong: it looks for the class of its error in a
        # module that is not loaded.
        return _explain(text)
    except RecursionError:
        message = "it is nested too deeply"
        raise ValueError(message) from None
    if text[end:].strip(WHITESPACE):
        return _explain(text)
    return value


def _explain(text: str) -> Any:
    import json  # noqa: PLC0415 - the slow way, for its error alone

    return json.loads(text)


def dumps(value: object, *, sort_keys: bool = False, ascii_only: bool = True) -> str:
    """Return `value` as JSON in one line without spaces, characters beyond ASCII escaped."""
    encode = _encoder(sort_keys=sort_keys, ascii_only=ascii_only)
    return "".join(encode(value, 0))


def pretty(value: object, indent: str) -> str:
    """Return `value` as JSON for people: each level further in by `indent`, nothing escaped."""
    parts: list[str] = []
    _lay_out(value, "\n", indent, _encoder(sort_keys=False, ascii_only=False), parts.append)
    return "".join(parts)


def _lay_out(
    value: object, line: str, indent: str, encode: _Encode, put: Callable[[str], object]
) -> None:
    """Put the parts of `value`; `line` begins a line that is as far in as `value`."""
    further = line + indent
    if isinstance(value, dict) and value:
        before = "{"
        for name, member in value.items():
            put(f"{before}{further}{''.join(encode(name, 0))}: ")
            _lay_out(member, further, indent, encode, put)
            before = ","
        put(line + "}")
    elif isinstance(value, list | tuple) and value:
        before = "["
        for member in value:
            put(before + further)
            _lay_out(member, further, indent, encode, put)
            before = ","
        put(line + "]")
    else:
        put("".join(encode(value, 0)))


def _refuse(value: object) -> object:
    message = f"a {type(value).__name__} has no form in JSON"
    raise TypeError(message)


if _json is not None:
    _scan: Callable[[str, int], tuple[Any, int]] = _json.make_scanner(_Context())

    def _encoder(*, sort_keys: bool, ascii_only: bool) -> _Encode:
        string = _json.encode_basestring_ascii if ascii_only else _json.encode_basestring
        skip_keys, allow_nan = False, False
        made: _Encode = _json.make_encoder(
            {}, _refuse, string, None, ":", ",", sort_keys, skip_keys, allow_nan
        )
        return made

else:  # pragma: no cover - another implementation of Python
    import json

    _scan = json.JSONDecoder().raw_decode

    def _encoder(*, sort_keys: bool, ascii_only: bool) -> _Encode:
        encoder = json.JSONEncoder(
            default=_refuse, sort_keys=sort_keys, separators=(",", ":"), allow_nan=False,
            ensure_ascii=ascii_only,
        )  # fmt: skip
        return lambda value, _: (encoder.encode(value),)
