"""The word a person meant when the one typed does not exist."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_FAR = 3  # edits from which on two words are no longer taken for each other


def distance(one: str, other: str) -> int:
    """Return how many letters were added, left out, changed or swapped with their neighbour."""
    before: list[int] = []
    above = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            edits = min(above[j] + 1, row[-1] + 1, above[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                edits = min(edits, before[j - 2] + 1)
            row.append(edits)
        before, above = above, row
    return above[-1]


def nearest(word: str, choices: Iterable[str], *, case_sensitive: bool = True) -> str:
    """Return the choice that `word` is a slip of the pen from, or "" when none is near.

    Without `case_sensitive` the answer is written as `word` is, all upper or all lower case. A
    word that is among the choices gets no suggestion: something else is wrong with it.
    """
    typed = word if case_sensitive else word.lower()
    best, least = "", _FAR
    for choice in sorted(choices):
        wanted = choice if case_sensitive else choice.lower()
        if wanted == typed:
            return ""
        edits = distance(typed, wanted)
        if edits < least:
            best, least = wanted, edits
    if case_sensitive or word == word.lower():
        return best
    return best.upper() if word == word.upper() else best


def did_you_mean(word: str, choices: Iterable[str], *, case_sensitive: bool = True) -> str:
    """Return ` (did you mean …?)` to append to a message, or ""."""
    match = nearest(word, choices, case_sensitive=case_sensitive)
    return f" (did you mean {match}?)" if match else ""


def closest(word: str, choices: Iterable[str]) -> list[str]:
    """Return at most three choices that `word` may be a slip of the pen for, nearest first.

    Short words are near to many others, so they must differ by no more than one letter.
    """
    far = _FAR if len(word) > 3 else 2
    near = sorted((distance(word, choice), choice) for choice in choices)
    return [choice for edits, choice in near if edits < far][:3]
