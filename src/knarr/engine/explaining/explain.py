"""The explanation of facts: which rules are asked, in which order. Pure.

What runs and what never ran have rules of their own. For what has ended, what knarr and the kernel
know comes first, then what the log says, then the bare exit code. A container that is started
again and again is told so, with the cause of its last end.
"""

from __future__ import annotations

from knarr.engine.explaining import endrules, startrules
from knarr.engine.explaining.facts import Explanation
from knarr.engine.explaining.liverules import LIVE_RULES
from knarr.engine.explaining.logrules import LOG_RULES
from knarr.engine.explaining.rules import first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.explaining.facts import Facts
    from knarr.engine.explaining.rules import Rule

END_RULES = (
    *endrules.FIRST_RULES,
    *endrules.QUIET_RULES,
    *endrules.SIGNAL_RULES,
    *LOG_RULES,
    *endrules.LATE_RULES,
    *endrules.LAST_RULES,
)
ALL_RULES = (
    *startrules.REFUSAL_RULES,
    *startrules.PROGRAM_RULES,
    *startrules.ERROR_RULES,
    *END_RULES,
    *LIVE_RULES,
)
LOOP = "restart-loop"
_OFTEN = 3  # starts again from which on it is called a loop


def explain(facts: Facts) -> Explanation:
    """Return the explanation of a container's state."""
    if facts.failed:
        return _found(startrules.rules_for(facts), facts)
    if not facts.ended:
        return _found(LIVE_RULES, facts)
    if facts.unexecuted_late:
        found = first(startrules.PROGRAM_RULES, facts)
        if found is not None:
            return found
    if facts.error and not facts.lost:  # it could not be started again
        found = first(startrules.rules_for(facts), facts)
        if found is not None and found.cause != "could-not-start":
            return found
    found = _found(END_RULES, facts)
    if facts.status == "restarting" or facts.restart_count >= _OFTEN:
        return _loop(facts, found)
    return found


def explain_refusal(facts: Facts) -> Explanation | None:
    """Return why a container could not even be made, from the error alone."""
    return first((*startrules.REFUSAL_RULES, *startrules.ERROR_RULES[:-1]), facts)


def _loop(facts: Facts, found: Explanation) -> Explanation:
    """Return the same cause as that of a program which is started again and again."""
    times = f"{facts.restart_count} time{'s' if facts.restart_count != 1 else ''}"
    begins = f"It was started again {times} (--restart {facts.restart_policy})"
    goes_on = f", next in {facts.delay}" if facts.status == "restarting" else ", and is given up"
    sentence = f"{begins}{goes_on}, because each time it ends; the last time: {found.sentence}"
    return found.replace(cause=LOOP, sentence=sentence, aloud=False)


def _found(rules: tuple[Rule, ...], facts: Facts) -> Explanation:
    return first(rules, facts) or Explanation("unknown", f"It is {facts.status}.")
