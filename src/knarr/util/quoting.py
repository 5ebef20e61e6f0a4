"""Text with what cannot be printed escaped as Go's %q does it.

In double quotes it is what Docker's messages and history are full of. `harmless` is for whatever
images, containers, registries and archives have named and a person is to read: on a terminal, what
is no letter is a command to that terminal (move up, be another title, hide what follows).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMED = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}


def quote(text: str) -> str:
    """Return `text` in double quotes, with Go's escapes for what cannot be printed."""
    return '"' + "".join(_escape(letter) for letter in text) + '"'


def quote_list(texts: Iterable[str]) -> str:
    """Return the texts as Go prints a slice with %q: `["a" "b"]`."""
    return "[" + " ".join(quote(text) for text in texts) + "]"


def harmless(text: str, *, lines: bool = True) -> str:
    """Return `text` with all that would command a terminal, or reorder what it shows, escaped.

    Ends of lines and tabs stay, unless `lines` is false: then it stays in its line and column.
    """
    return text.translate(_COMMANDS if lines else _ANY_COMMANDS)


def _escape(letter: str) -> str:
    named = _NAMED.get(letter)
    if named is not None:
        return named
    if letter.isprintable():
        return letter
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, as surrogateescape keeps it
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


# Control characters of both sets, and those that let a line be read in another order than written.
_ANY_COMMANDS = {
    code: _escape(chr(code))
    for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
_COMMANDS = {code: shown for code, shown in _ANY_COMMANDS.items() if code not in (9, 10)}
