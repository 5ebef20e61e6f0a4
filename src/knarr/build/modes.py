"""The modes of `--chmod`: octal digits, or changes as chmod(1) takes them (`u=rwX,go-w`).

Man: chmod(1)
"""

from __future__ import annotations

import re

from knarr.build.dockerfile.fault import Fault
from knarr.util.value import Value

_CLAUSE = r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)"
_CHANGE = r"([-+=])([ugo]|[rwxXst]*)"
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}


class Change(Value):
    """One change: for whom, `+`, `-` or `=`, and which permissions."""

    who: str
    operator: str
    permissions: str


class Mode(Value):
    """What `--chmod` asks for: a whole mode, or changes to the one a file has."""

    absolute: int | None
    changes: tuple[Change, ...] = ()

    def apply(self, mode: int, directory: bool) -> int:  # noqa: FBT001 - who copies has this form
        """Return the permissions that a file with `mode` gets."""
        if self.absolute is not None:
            return self.absolute
        for change in self.changes:
            mode = _apply(mode, change, directory=directory)
        return mode


def parse_mode(text: str) -> Mode:
    """Return the mode that `text` means. Raises: Fault"""
    if text.isascii() and text.isdigit():
        if text.strip("01234567") or int(text, 8) > 0o7777:
            raise _invalid(text)
        return Mode(int(text, 8))
    changes = []
    for clause in text.split(","):
        match = re.fullmatch(_CLAUSE, clause)
        if match is None:
            raise _invalid(text)
        who = match[1].replace("a", "ugo") or "ugo"
        changes += [Change(who, *found) for found in re.findall(_CHANGE, match[2])]
    return Mode(None, tuple(changes))


def _invalid(text: str) -> Fault:
    message = (
        f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
    )
    return Fault(message, word="--chmod", hint="As 755, u=rwX,go=rX or +x.")


def _apply(mode: int, change: Change, *, directory: bool) -> int:
    bits = _bits(mode, change, directory=directory)
    if change.operator == "+":
        return mode | bits
    if change.operator == "-":
        return mode & ~bits
    mask = sum(7 << _SHIFTS[who] for who in set(change.who))
    mask |= 0o4000 if "u" in change.who else 0
    mask |= 0o2000 if "g" in change.who else 0
    return (mode & ~mask) | bits


def _bits(mode: int, change: Change, *, directory: bool) -> int:
    permissions = change.permissions
    if permissions in _SHIFTS:
        copied = mode >> _SHIFTS[permissions] & 7
    else:
        copied = sum(_BITS.get(letter, 0) for letter in set(permissions))
        if "X" in permissions and (directory or mode & 0o111):
            copied |= 1
    bits = 0
    for who in set(change.who):
        bits |= copied << _SHIFTS[who]
    if "s" in permissions:
        bits |= (0o4000 if "u" in change.who else 0) | (0o2000 if "g" in change.who else 0)
    return bits | (0o1000 if "t" in permissions else 0)
