"""Keys by which a person leaves a terminal that is a container's: `--detach-keys`."""

from __future__ import annotations

from knarr.errors import InvalidArgument

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
CONTROL_KEYS = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_keys(text: str) -> bytes:
    """Return the bytes of a sequence of keys like `ctrl-p,ctrl-q` or `a,b`.

    Raises: InvalidArgument
    """
    keys = bytearray()
    for key in text.split(","):
        if len(key) == 1 and key.isascii():
            keys.append(ord(key))
        elif key == "DEL":
            keys.append(127)
        else:
            keys.append(_control_key(key, text))
    return bytes(keys)


def _control_key(key: str, text: str) -> int:
    name = key.removeprefix("ctrl-")
    if name == key or len(name) != 1:
        message = f"invalid detach keys ({text}): unknown character: '{key}'"
        raise InvalidArgument(message)
    if name in CONTROL_KEYS:
        return CONTROL_KEYS[name]
    if "a" <= name <= "z":
        return ord(name) - ord("a") + 1
    message = f"invalid detach keys ({text}): unknown character: '{key}'"
    raise InvalidArgument(message)
