"""Which step of a build was which step of the build before.

An instruction that is written as it was is the same one, wherever it stands now. Of the others,
those of one kind are taken in turn for what was changed: a `RUN` whose command is another.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.build.reasons.values import Entered


def match(steps: Sequence[Entered], earlier: Sequence[Entered]) -> dict[int, int]:
    """Return the number among `earlier` of each of `steps` that has one."""
    found: dict[int, int] = {}
    taken: set[int] = set()
    for alike in (_same_text, _same_kind):
        for number, step in enumerate(steps):
            if number in found:
                continue
            for other, candidate in enumerate(earlier):
                if other not in taken and alike(step, candidate):
                    found[number] = other
                    taken.add(other)
                    break
    return found


def _same_text(one: Entered, other: Entered) -> bool:
    return one.text == other.text and one.is_image == other.is_image


def _same_kind(one: Entered, other: Entered) -> bool:
    return one.is_image == other.is_image and keyword(one.text) == keyword(other.text)


def keyword(text: str) -> str:
    """Return the word that an instruction begins with."""
    return text.partition(" ")[0].upper()
