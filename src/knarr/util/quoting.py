"""Text in double quotes as Go's %q prints it: Docker's messages and history are full of it."""

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
