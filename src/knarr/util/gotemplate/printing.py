"""Values as Go's `fmt` prints them, since that is what users of Docker's templates see.

Values are those of JSON: None, bool, int, float, str, list and dict. A dict stands for a Go map and
prints its keys in order.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

INTEGER_VERBS = {"d": "d", "x": "x", "X": "X", "o": "o", "b": "b", "c": "c"}
FLOAT_VERBS = frozenset("eEfFgG")


def show(value: object) -> str:
    """Return `value` as the verb `%v` prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return show_float(value)
    if isinstance(value, dict):
        pairs = sorted((show(key), show(item)) for key, item in value.items())
        return f"map[{' '.join(f'{key}:{item}' for key, item in pairs)}]"
    if isinstance(value, list | tuple):
        return f"[{' '.join(show(item) for item in value)}]"
    return str(value)


def show_float(value: float) -> str:
    """Return the shortest text of `value`, with an exponent below 1e-4 and from 1e21 on."""
    if value != value:  # noqa: PLR0124 - the definition of NaN
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    if value and not 1e-4 <= abs(value) < 1e21:
        digits, _, exponent = f"{value:e}".partition("e")
        shortest = repr(value).partition("e")[0]
        return f"{shortest if 'e' in repr(value) else digits}e{exponent}"
    if value == int(value):
        return str(int(value))
    text = repr(value)
    if "e" not in text:
        return text
    return f"{value:.20f}".rstrip("0")


def kind(value: object) -> str:
    """Return what Go calls the type of `value`."""
    names: dict[type, str] = {bool: "bool", int: "int", float: "float64", str: "string"}
    if value is None:
        return "<nil>"
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, list | tuple):
        return "[]interface {}"
    return names.get(type(value), type(value).__name__)


def quote(text: str) -> str:
    """Return `text` as a Go string literal."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    escapes |= {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}
    parts = []
    for character in text:
        if character in escapes:
            parts.append(escapes[character])
        elif character.isprintable():
            parts.append(character)
        elif ord(character) < 0x80:
            parts.append(f"\\x{ord(character):02x}")
        else:
            code = ord(character)
            parts.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return f'"{"".join(parts)}"'


def print_(values: Sequence[object]) -> str:
    """Return what `print` makes of `values`: a space between two that are not strings."""
    text = ""
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            text += " "
        text += show(value)
    return text


def printf(pattern: str, values: Sequence[object]) -> str:
    """Return what `printf` makes of `pattern` and `values`, mistakes marked in the text as Go does.

    Known are the flags `-+# 0`, width and precision, and the verbs of plain values.
    """
    text, rest = "", list(values)
    index, end = 0, len(pattern)
    while index < end:
        at = pattern.find("%", index)
        if at < 0:
            text += pattern[index:]
            break
        text += pattern[index:at]
        stop = at + 1
        while stop < end and pattern[stop] in "-+# 0123456789.*":
            stop += 1
        if stop == end:
            text += "%!(NOVERB)"
            break
        options, verb = pattern[at + 1 : stop], pattern[stop]
        while "*" in options:
            options = options.replace("*", str(rest.pop(0) if rest else ""), 1)
        if verb == "%":
            text += "%"
        elif not rest:
            text += f"%!{verb}(MISSING)"
        else:
            text += _verb(verb, options, rest.pop(0))
        index = stop + 1
    if rest:
        extra = ", ".join(f"{kind(value)}={show(value)}" for value in rest)
        text += f"%!(EXTRA {extra})"
    return text


def _verb(verb: str, options: str, value: object) -> str:
    """Return `value` as `verb` prints it with flags, width and precision as `options` say."""
    flags = options[: len(options) - len(options.lstrip("-+# 0"))]
    width, dot, precision = options[len(flags) :].partition(".")
    digits = int(precision or "0") if dot else None
    text = _plain(verb, flags, value, digits)
    if text is None:
        return f"%!{verb}({kind(value)}={show(value)})" if value is not None else f"%!{verb}(<nil>)"
    size = int(width or "0")
    if "-" in flags:
        return text.ljust(size)
    number = isinstance(value, int | float) and verb != "c"
    if "0" in flags and number:
        sign = text[:1] if text[:1] in ("-", "+") else ""
        return sign + text[len(sign) :].rjust(size - len(sign), "0")
    return text.rjust(size)


def _plain(verb: str, flags: str, value: object, precision: int | None) -> str | None:
    """Return the text of `value` before padding, or None if `verb` is not for it."""
    if verb in "Tv":
        return kind(value) if verb == "T" else _signed(show(value), flags, value)
    if isinstance(value, bool):
        return show(value) if verb == "t" else None
    if isinstance(value, str):
        return _string(verb, value, precision)
    if isinstance(value, int):
        return _integer(verb, flags, value)
    if isinstance(value, float):
        return _float(verb, flags, value, precision)
    return _collection(verb, value)


def _integer(verb: str, flags: str, value: int) -> str | None:
    if verb == "U":
        return f"U+{value:04X}"
    if verb == "q":
        return f"'{chr(value)}'"
    form = INTEGER_VERBS.get(verb)
    return None if form is None else _signed(format(value, form), flags, value)


def _float(verb: str, flags: str, value: float, precision: int | None) -> str | None:
    if verb not in FLOAT_VERBS:
        return None
    if verb in "gG" and precision is None:
        return _signed(show(value), flags, value)
    places = 6 if precision is None else precision
    return _signed(format(value, f".{places}{verb}"), flags, value)


def _collection(verb: str, value: object) -> str | None:
    if isinstance(value, list | tuple):
        return f"[{' '.join(_verb(verb, '', item) for item in value)}]"
    if isinstance(value, dict):
        pairs = sorted((_verb(verb, "", k), _verb(verb, "", v)) for k, v in value.items())
        return f"map[{' '.join(f'{k}:{v}' for k, v in pairs)}]"
    return None


def _string(verb: str, value: str, precision: int | None) -> str | None:
    text = value if precision is None else value[:precision]
    if verb == "s":
        return text
    if verb == "q":
        return quote(text)
    if verb in "xX":
        digits = text.encode().hex()
        return digits.upper() if verb == "X" else digits
    return None


def _signed(text: str, flags: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return text
    return f"+{text}" if "+" in flags else f" {text}" if " " in flags else text
