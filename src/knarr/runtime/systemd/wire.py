"""D-Bus messages as bytes: what calls to systemd need of the format, and no more.

A value is written by its type: a letter for a basic one, `a` before that of an array's elements,
brackets around those of a struct, braces around those of a dictionary's entry. A value of type `v`
(variant) is a pair of type and value. Everything begins at a multiple of its own size, counted from
the start of the message, so there is one buffer for header and body, and both begin at a multiple
of 8.

Spec: D-Bus Specification, "Marshaling (Wire Format)", "Message Format"
"""

from __future__ import annotations

from struct import calcsize, pack, unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
# Header fields.
PATH, INTERFACE, MEMBER, ERROR_NAME, DESTINATION, SIGNATURE = 1, 2, 3, 4, 6, 8
REPLY_SERIAL = 5

_NUMBERS = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q"}
_NUMBERS |= {"d": "d", "h": "I"}
_ALIGNMENTS = {"s": 4, "o": 4, "a": 4, "g": 1, "v": 1, "(": 8, "{": 8}


def _alignment(kind: str) -> int:
    return _ALIGNMENTS.get(kind[0]) or calcsize(_NUMBERS[kind[0]])


def split(signature: str) -> list[str]:
    """Return the complete types of which a signature is made: `sa(sv)u` has three."""
    kinds, start, depth = [], 0, 0
    for at, letter in enumerate(signature):
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(letter, 0)
        if depth == 0 and letter != "a":
            kinds.append(signature[start : at + 1])
            start = at + 1
    return kinds


def put(data: bytearray, kind: str, value: Any) -> None:
    """Append a value of the type `kind`."""
    data += bytes(-len(data) % _alignment(kind))
    if kind in _NUMBERS:
        data += pack(f"<{_NUMBERS[kind]}", value)
    elif kind in "so":
        text = value.encode()
        data += pack("<I", len(text)) + text + b"\0"
    elif kind == "g":
        data += bytes((len(value),)) + value.encode() + b"\0"
    elif kind == "v":
        put(data, "g", value[0])
        put(data, value[0], value[1])
    elif kind[0] == "a":
        _put_array(data, kind[1:], value)
    else:
        for part, each in zip(split(kind[1:-1]), value, strict=True):
            put(data, part, each)


def _put_array(data: bytearray, kind: str, values: Sequence[Any]) -> None:
    """Append the elements after their length, in which the padding before the first is not."""
    place = len(data)
    data += bytes(4)
    data += bytes(-len(data) % _alignment(kind))
    start = len(data)
    for value in values:
        put(data, kind, value)
    data[place : place + 4] = pack("<I", len(data) - start)


def take(data: bytes, at: int, kind: str) -> tuple[Any, int]:
    """Return a value of the type `kind` and the place after it."""
    at += -at % _alignment(kind)
    if kind in _NUMBERS:
        form = f"<{_NUMBERS[kind]}"
        return unpack_from(form, data, at)[0], at + calcsize(form)
    if kind in "so":
        (length,) = unpack_from("<I", data, at)
        return data[at + 4 : at + 4 + length].decode(), at + 5 + length
    if kind == "g":
        return data[at + 1 : at + 1 + data[at]].decode(), at + 2 + data[at]
    if kind == "v":
        inner, at = take(data, at, "g")
        return take(data, at, inner)
    values = []
    if kind[0] == "a":
        (length,) = unpack_from("<I", data, at)
        at += 4
        at += -at % _alignment(kind[1:])
        end = at + length
        while at < end:
            value, at = take(data, at, kind[1:])
            values.append(value)
        return values, at
    for part in split(kind[1:-1]):
        value, at = take(data, at, part)
        values.append(value)
    return values, at


def call(serial: int, fields: dict[int, str], signature: str, values: Sequence[Any]) -> bytes:
    """Return the message of a method call; `fields` are those of its header that are texts."""
    body = bytearray()
    for kind, value in zip(split(signature), values, strict=True):
        put(body, kind, value)
    kinds = {PATH: "o"}
    header = [(code, (kinds.get(code, "s"), text)) for code, text in fields.items()]
    header.append((SIGNATURE, ("g", signature)))
    data = bytearray(b"l" + bytes((CALL, 0, 1)) + pack("<II", len(body), serial))
    put(data, "a(yv)", header)
    data += bytes(-len(data) % 8)
    return bytes(data + body)


def size_of(start: bytes) -> int:
    """Return the size of the message that begins with these 16 bytes."""
    body, _, fields = unpack_from("<III", start, 4)
    return int(16 + fields + -fields % 8 + body)


class Message:
    """What came: its sort, the fields of its header, the values in its body."""

    __slots__ = ("fields", "kind", "values")

    def __init__(self, data: bytes) -> None:
        """Read a whole message; systemd answers in the byte order of the machine.

        Raises: ValueError
        """
        if data[:1] != b"l":
            message = "a message in an unknown byte order"
            raise ValueError(message)
        self.kind = data[1]
        fields, at = take(data, 12, "a(yv)")
        self.fields: dict[int, Any] = dict(fields)
        at += -at % 8
        self.values = []
        for kind in split(self.fields.get(SIGNATURE, "")):
            value, at = take(data, at, kind)
            self.values.append(value)
