"""Yes and no, in the words that every option of Docker's tools takes.

Docker: strconv.ParseBool of Go reads them
"""

from __future__ import annotations

_WORDS = {
    **dict.fromkeys(("1", "t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("0", "f", "F", "false", "False", "FALSE"), False),
}


def find_boolean(text: str) -> bool | None:
    """Return what `text` says, None if it is none of the words."""
    return _WORDS.get(text)
