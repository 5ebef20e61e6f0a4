"""Rules: when they hold, and what they then say. The first that holds explains.

The words are templates: `{f.name}` is a field of the facts, `{where}` a group of the pattern that
was found in what knarr itself said (`error`) or in the last lines of the log (`log`).

What programs say is their own word and may mean anything: a rule by the log alone is not
`certain`, and says "most likely". One that is certain rests on what knarr or the kernel has seen.
`aloud` rules are for ends of which the program itself could not say a word: a command in the
foreground does.
"""

from __future__ import annotations

import re

from knarr.engine.explaining.facts import Explanation
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from knarr.engine.explaining.facts import Facts

PROBABLY = "most likely"


class Rule(Value):
    """A cause that facts show: its short name, what it is about, the sentence and the fix."""

    cause: str
    about: str
    says: str
    fix: str = ""
    when: Callable[[Facts], bool] | None = None
    error: str = ""
    log: str = ""
    certain: bool = True
    aloud: bool = False

    def explain(self, facts: Facts) -> Explanation | None:
        """Return the explanation if the rule holds."""
        groups: dict[str, str] = {}
        for pattern, text in ((self.error, facts.error), (self.log, facts.end_of_log)):
            if pattern:
                found = _last(pattern, text)
                if found is None:
                    return None
                groups |= {name: value or "" for name, value in found.groupdict().items()}
        if self.when is not None and not self.when(facts):
            return None
        says, fix = (each.format(f=facts, **groups) for each in (self.says, self.fix))
        return Explanation(self.cause, says, fix, self.certain, self.aloud)


def _last(pattern: str, text: str) -> re.Match[str] | None:
    found = None
    for match in re.finditer(pattern, text, re.IGNORECASE | re.MULTILINE):
        found = match
    return found


def first(rules: Iterable[Rule], facts: Facts) -> Explanation | None:
    """Return what the first rule that holds says."""
    for rule in rules:
        found = rule.explain(facts)
        if found is not None:
            return found
    return None
