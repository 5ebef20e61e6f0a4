"""What is wrong, found by checks that look at everything, and mended if that is wanted.

A check is two functions. `find` compares what is recorded with what is there and changes nothing;
`repair` gets what it found and mends what can be mended. A finding says in `repair` what would be
done about it; an empty text means that no program can decide that.

Other processes work on the same root meanwhile: a container that is being made has a directory and
no record yet. What somebody holds a lock on is left out by the checks; for the rest, everything is
looked at twice, and counts only if it is found both times.
"""

from __future__ import annotations

import time

from knarr.errors import KnarrError
from knarr.util.files import FileLock
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from knarr.engine.engine import Engine

# The modules of checks, in the order in which they look and mend: what ran before what it left.
CHECKED = ("life", "traces", "records", "images")

AGAIN_AFTER = 0.3  # seconds: longer than a step of an operation takes that holds no lock yet


class Finding(Value):
    """Something wrong: a `kind` of object, which one, what about it, and what mends it."""

    kind: str
    object: str
    problem: str
    repair: str = ""


class Check(Value):
    """One comparison, and what mends what it finds."""

    find: Callable[[Engine], Iterable[Finding]]
    repair: Callable[[Engine, Sequence[Finding]], object] | None = None


def examine(engine: Engine) -> list[Finding]:
    """Return everything that is wrong, changing nothing."""
    return [finding for _, found in _examine(engine) for finding in found]


def repair(engine: Engine) -> tuple[list[Finding], list[Finding]]:
    """Mend what can be mended; return what was found, and what of it, or new, is left.

    What a repair itself fails with is put to `engine.notices`.
    """
    with FileLock(engine.paths.recovery_lock_path):
        before = list(_examine(engine))
        for check, found in before:
            # What was repaired already may have taken this with it.
            wanted = [one for one in check.find(engine) if one.repair and one in found]
            if wanted and check.repair is not None:
                try:
                    check.repair(engine, wanted)
                except (KnarrError, OSError) as error:
                    engine.notices.append(f"could not repair: {error}")
    everything = [finding for _, found in before for finding in found]
    return everything, examine(engine) if everything else []


def _examine(engine: Engine) -> Iterable[tuple[Check, list[Finding]]]:
    """Yield each check that found something with what is still so a moment later."""
    for name in CHECKED:
        for check in _load(name):
            found = list(check.find(engine))
            if found:
                time.sleep(AGAIN_AFTER)
                again = set(check.find(engine))
                found = [finding for finding in found if finding in again]
            if found:
                yield check, found


def _load(name: str) -> tuple[Check, ...]:
    checks: tuple[Check, ...] = __import__(
        f"knarr.engine.checking.{name}", fromlist=["CHECKS"]
    ).CHECKS
    return checks
