"""Go's filepath.Match: the patterns of COPY's sources and, extended, of .dockerignore.

`*` and `?` stop at a slash, `[a-z]` and `[^a-z]` are classes, a backslash takes the meaning from
the next letter.
"""

from __future__ import annotations

import re

from knarr.errors import InvalidArgument


def has_glob(text: str) -> bool:
    """Tell whether a path has a letter that makes it a pattern."""
    return first_glob(text) >= 0


def first_glob(text: str) -> int:
    """Return where the first letter stands that makes a path a pattern, or -1."""
    at = 0
    while at < len(text):
        if text[at] in "*?[":
            return at
        at += 2 if text[at] == "\\" else 1
    return -1


def compile_glob(pattern: str) -> re.Pattern[str]:
    """Return the expression whose fullmatch does what Go's Match does.

    Raises: InvalidArgument
    """
    out = []
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "*":
            out.append("[^/]*")
        elif letter == "?":
            out.append("[^/]")
        elif letter == "[":
            expression, at = compile_class(pattern, at)
            out.append(expression)
        elif letter == "\\":
            if at == len(pattern):
                raise bad_pattern(pattern)
            out.append(re.escape(pattern[at]))
            at += 1
        else:
            out.append(re.escape(letter))
    return re.compile("".join(out), re.DOTALL)


def compile_class(pattern: str, at: int, *, strict: bool = False) -> tuple[str, int]:
    """Return the expression for the class whose inside begins at `at`, and where it ends.

    A range that runs backwards matches nothing, or with `strict` is refused.

    Raises: InvalidArgument
    """
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[str] = []
    while not (ranges and pattern.startswith("]", at)):
        low, at = _class_letter(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _class_letter(pattern, at + 1)
        if strict and high < low:
            raise bad_pattern(pattern)
        ranges.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
    inside = "".join(ranges)
    if not inside:
        return (r"[\s\S]" if negated else r"[^\s\S]"), at + 1
    return f"[{'^' if negated else ''}{inside}]", at + 1


def bad_pattern(pattern: str) -> InvalidArgument:
    """Return Go's error for a pattern that makes no sense."""
    return InvalidArgument(f"syntax error in pattern: {pattern}")


def _class_letter(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at : at + 1] in ("", "-", "]"):
        raise bad_pattern(pattern)
    if pattern[at] == "\\":
        at += 1
    if at >= len(pattern) - 1:  # a class must still be closed
        raise bad_pattern(pattern)
    return pattern[at], at + 1
