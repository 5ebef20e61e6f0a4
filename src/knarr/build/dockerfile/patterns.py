"""The patterns of `${name#pattern}` and its kin: `*`, `?`, and a backslash before either."""

from __future__ import annotations

import re

from knarr.build.dockerfile.fault import Fault


def compile_pattern(pattern: str, *, greedy: bool) -> re.Pattern[str]:
    """Return the expression for `pattern`, whose stars take as much as they can or as little.

    There are no bracket expressions. `\\}` and `\\/` stand for the letter: inside `${…}` they
    cannot be written otherwise.
    """
    out = []
    letters = iter(pattern)
    for letter in letters:
        if letter == "*":
            out.append(".*" if greedy else ".*?")
        elif letter == "?":
            out.append(".")
        elif letter == "\\":
            escaped = next(letters, "")
            if escaped == "" or escaped not in "*?\\}/":
                message = (
                    f"invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'"
                )
                raise Fault(message)
            out.append(re.escape(escaped))
        else:
            out.append(re.escape(letter))
    return re.compile("".join(out))


def cut_prefix(value: str, pattern: str, *, greedy: bool) -> str:
    """Return `value` without the shortest or longest beginning that fits `pattern`."""
    match = compile_pattern(pattern, greedy=greedy).match(value)
    return value[match.end() :] if match else value


def cut_suffix(value: str, pattern: str, *, greedy: bool) -> str:
    """Return `value` without the shortest or longest end that fits `pattern`.

    Expressions find what stands leftmost, so both texts are turned around.
    """
    return cut_prefix(value[::-1], _reverse(pattern), greedy=greedy)[::-1]


def substitute(value: str, pattern: str, replacement: str, *, everywhere: bool) -> str:
    """Return `value` with the first match of `pattern`, or each, replaced."""
    expression = compile_pattern(pattern, greedy=True)
    return expression.sub(lambda _: replacement, value, count=0 if everywhere else 1)


def _reverse(pattern: str) -> str:
    pieces = []
    at = 0
    while at < len(pattern):
        width = 2 if pattern[at] == "\\" else 1
        pieces.append(pattern[at : at + width])
        at += width
    return "".join(reversed(pieces))
