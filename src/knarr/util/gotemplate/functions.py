"""The functions that templates may call: those of Go's text/template and those Docker adds.

A function takes the evaluated arguments and raises ValueError with Go's words; the caller adds
where in the template that was.
"""

from __future__ import annotations

from knarr.util.gotemplate.printing import kind, print_, printf, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[..., object]


def truth(value: object) -> bool:
    """Tell whether `if` takes `value` for true: it is not zero, empty or nil."""
    return bool(value)


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    message = f"error calling {name}: wrong type for value; expected string; got {kind(value)}"
    raise ValueError(message)


def _number(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    message = f"error calling {name}: wrong type for value; expected int; got {kind(value)}"
    raise ValueError(message)


def _json(value: object) -> str:
    from knarr.util import jsontext  # noqa: PLC0415 - for who calls it

    document = getattr(value, "document", None)  # of a record that is not as it is to be printed
    value = value if document is None else document()
    return jsontext.dumps(value, ascii_only=False)


def _join(values: object, separator: object) -> str:
    if not isinstance(values, list | tuple):
        message = f"error calling join: wrong type for value; expected []string; got {kind(values)}"
        raise ValueError(message)
    return _text("join", separator).join(show(value) for value in values)


def _split(text: object, separator: object) -> list[str]:
    whole, mark = _text("split", text), _text("split", separator)
    return whole.split(mark) if mark else list(whole)


def _title(text: object) -> str:
    result, before = "", " "
    for character in _text("title", text):
        inside = before.isalnum() or before == "_"
        result += character if inside else character.upper()
        before = character
    return result


def _pad(text: object, before: object, after: object) -> str:
    whole = _text("pad", text)
    if not whole:
        return whole
    return " " * _number("pad", before) + whole + " " * _number("pad", after)


def _truncate(text: object, length: object) -> str:
    return _text("truncate", text)[: _number("truncate", length)]


def _len(value: object) -> int:
    if value is None:  # a list or map that is not there
        return 0
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list | tuple | dict):
        return len(value)
    message = f"error calling len: len of type {kind(value)}"
    raise ValueError(message)


def _index(value: object, *keys: object) -> object:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(_text("index", key), "")
        elif isinstance(value, list | tuple | str):
            place = _number("index", key)
            if not 0 <= place < len(value):
                message = f"error calling index: index out of range: {place}"
                raise ValueError(message)
            value = ord(value[place]) if isinstance(value, str) else value[place]
        elif value is None:
            message = "error calling index: index of untyped nil"
            raise ValueError(message)
        else:
            message = f"error calling index: can't index item of type {kind(value)}"
            raise ValueError(message)
    return value


def _slice(value: object, *bounds: object) -> object:
    if not isinstance(value, list | tuple | str):
        message = f"error calling slice: can't slice item of type {kind(value)}"
        raise ValueError(message)
    low, high, *_ = (*(_number("slice", bound) for bound in bounds), *([None] * 2))[:2]
    start, end = low or 0, len(value) if high is None else high
    if not 0 <= start <= end <= len(value):
        message = f"error calling slice: index out of range: {end if end > len(value) else start}"
        raise ValueError(message)
    return value[start:end]


def _family(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "int" if isinstance(value, int) else "float"
    return "string" if isinstance(value, str) else "other"


def _eq(first: object, *others: object) -> bool:
    if not others:
        message = "error calling eq: missing argument for comparison"
        raise ValueError(message)
    return any(_equal(first, other) for other in others)


def _equal(one: object, other: object) -> bool:
    if one is None or other is None:
        return one is other
    if _family(one) != _family(other):
        message = "error calling eq: incompatible types for comparison"
        raise ValueError(message)
    return one == other


def _ordering(name: str, holds: Callable[[int], bool]) -> Function:
    def compare(one: object, other: object) -> bool:
        if isinstance(one, str) and isinstance(other, str):
            return holds((one > other) - (one < other))
        if isinstance(one, int | float) and isinstance(other, int | float):
            if _family(one) == _family(other) != "bool":
                return holds((one > other) - (one < other))
            message = f"error calling {name}: invalid type for comparison"
            raise ValueError(message)
        message = f"error calling {name}: incompatible types for comparison"
        raise ValueError(message)

    return compare


def _html(*values: object) -> str:
    text = print_(values)
    for plain, escaped in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ('"', "&#34;"),
        ("'", "&#39;"),
    ):
        text = text.replace(plain, escaped)
    return text


def _js(*values: object) -> str:
    return "".join(_script_letter(letter) for letter in print_(values))


def _script_letter(letter: str) -> str:
    """Return a character so that it is safe within a string of JavaScript, in Go's spelling."""
    if letter in "\\'\"":
        return f"\\{letter}"
    if letter in "<>&=" or ord(letter) < 0x20 or not letter.isprintable():
        return f"\\u{ord(letter):04X}"
    return letter


def _urlquery(*values: object) -> str:
    from urllib.parse import quote_plus  # noqa: PLC0415 - for who calls it

    return quote_plus(print_(values))


FUNCTIONS: dict[str, Function] = {
    "eq": _eq,
    "ge": _ordering("ge", lambda order: order >= 0),
    "gt": _ordering("gt", lambda order: order > 0),
    "html": _html,
    "index": _index,
    "join": _join,
    "js": _js,
    "json": _json,
    "le": _ordering("le", lambda order: order <= 0),
    "len": _len,
    "lower": lambda text: _text("lower", text).lower(),
    "lt": _ordering("lt", lambda order: order < 0),
    "ne": lambda one, other: not _equal(one, other),
    "not": lambda value: not truth(value),
    "pad": _pad,
    "print": lambda *values: print_(values),
    "printf": lambda pattern, *values: printf(_text("printf", pattern), values),
    "println": lambda *values: " ".join(show(value) for value in values) + "\n",
    "slice": _slice,
    "split": _split,
    "title": _title,
    "truncate": _truncate,
    "upper": lambda text: _text("upper", text).upper(),
    "urlquery": _urlquery,
}

# How many arguments each takes: (least, most); most -1: any number. Checked before the call, so
# that a wrong number reads as in Go.
ARITY: dict[str, tuple[int, int]] = {
    "eq": (1, -1),
    "html": (0, -1),
    "index": (1, -1),
    "js": (0, -1),
    "json": (1, 1),
    "len": (1, 1),
    "lower": (1, 1),
    "not": (1, 1),
    "pad": (3, 3),
    "print": (0, -1),
    "printf": (1, -1),
    "println": (0, -1),
    "slice": (1, 3),
    "title": (1, 1),
    "upper": (1, 1),
    "urlquery": (0, -1),
}

# In the header of a table these leave the name of the column alone.
# Docker: formatter.Context, "table {{json .ID}}" is headed CONTAINER ID
HEADER_FUNCTIONS: dict[str, Function] = {
    name: lambda value, *_: value
    for name in ("join", "json", "lower", "split", "title", "truncate", "upper")
}
