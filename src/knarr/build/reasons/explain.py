"""From what entered a step, this time and the time before, to why it was done again.

A step is looked at by itself: if the files below it are others, the cause is the step below, whose
own causes say the rest.
"""

from __future__ import annotations

from knarr.build.reasons.listings import compare_copies
from knarr.build.reasons.values import Cause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from knarr.build.reasons.values import Entered

_WORDS = 200
_OPTIONS = {
    "directory": "the working directory",
    "user": "the user",
    "network": "the network",
    "hosts": "the added hosts",
    "hostname": "the name of the host",
    "epoch": "the time that files are given",
    "owner": "the owner",
    "mode": "the mode",
    "destination": "the destination",
    "unpack": "whether archives are unpacked",
    "git": "whether .git is kept",
    "submodules": "whether there are submodules",
    "version": "how this version of knarr does it",
}


class Comparison:
    """The steps of a build with those of the build before.

    `match` has the number of each step that was there before among `earlier`; `listings` are those
    of copied trees by digest.
    """

    def __init__(
        self,
        steps: Sequence[Entered],
        earlier: Sequence[Entered],
        match: Mapping[int, int],
        listings: Mapping[str, bytes],
    ) -> None:
        self._steps = steps
        self._earlier = earlier
        self._match = match
        self._listings = listings

    def explain(self, number: int) -> tuple[Cause, ...]:
        """Return why step `number` was not found in the cache, the first cause first."""
        step = self._steps[number]
        if step.forced:
            return (Cause("no-cache"),)
        if not self._earlier:
            return (Cause("first"),)
        if number not in self._match:
            return (Cause("new-step"),)
        before = self._earlier[self._match[number]]
        if not before.key:
            return (Cause("unfinished"),)
        if step.key == before.key:
            return (Cause("forgotten"),)
        return tuple(self._compare(number, step, before)) or (Cause("unknown"),)

    def explain_base(self, number: int) -> tuple[Cause, ...]:
        """Return in what an image differs from that of the time before."""
        if number not in self._match:
            return ()
        now, before = self._steps[number], self._earlier[self._match[number]]
        if now.about == before.about:
            return ()
        if now.about["reference"] != before.about["reference"]:
            return (Cause("base-name", "", before.about["reference"], now.about["reference"]),)
        return (self._base(now, before),)

    @staticmethod
    def _base(now: Entered, before: Entered) -> Cause:
        reference, was, is_ = now.about["reference"], before.about["image"], now.about["image"]
        return Cause("base", reference, was, is_)

    def _compare(self, number: int, step: Entered, before: Entered) -> list[Cause]:
        was, now = before.about, step.about
        found: list[Cause] = []
        if was.get("kind") != now.get("kind"):
            return [Cause("instruction", "", before.text, step.text)]
        if was.get("arguments") != now.get("arguments") or was.get("script") != now.get("script"):
            found.append(_instruction(step, before))
        found += self._environment(step, before)
        found += [
            Cause("option", words, _short(was.get(name)), _short(now.get(name)))
            for name, words in _OPTIONS.items()
            if was.get(name) != now.get(name)
        ]
        found += self._mounts(step, before)
        found += self._actions(number, step, before)
        if was.get("state") != now.get("state") or was.get("url") != now.get("url"):
            found.append(Cause("source", str(now.get("url") or now.get("name"))))
        if was.get("parent") != now.get("parent"):
            found.append(self._below(step))
        return found

    def _below(self, step: Entered) -> Cause:
        """Return why the files that the step changes are others."""
        if step.below < 0:
            return Cause("below")
        below = self._steps[step.below]
        if not below.is_image:
            return Cause("below", below.name)
        if step.below in self._match:
            before = self._earlier[self._match[step.below]]
            if before.is_image and before.about["reference"] == below.about["reference"]:
                return self._base(below, before)
            if before.is_image:
                names = before.about["reference"], below.about["reference"]
                return Cause("base-name", "", *names)
        return Cause("below", below.name)

    @staticmethod
    def _environment(step: Entered, before: Entered) -> list[Cause]:
        was, now = (_variables(each.about.get("environment", ())) for each in (before, step))
        found = []
        for name in sorted(was.keys() | now.keys()):
            if was.get(name) == now.get(name):
                continue
            word = "ARG" if name in (*step.arguments, *before.arguments) else "ENV"
            if name not in was:
                found.append(Cause("variable-added", f"{word} {name}", "", _short(now[name])))
            elif name not in now:
                found.append(Cause("variable-removed", f"{word} {name}", _short(was[name])))
            else:
                values = _short(was[name]), _short(now[name])
                found.append(Cause("variable", f"{word} {name}", *values))
        return found

    def _mounts(self, step: Entered, before: Entered) -> list[Cause]:
        was = {each["target"]: each for each in before.about.get("mounts", ())}
        now = {each["target"]: each for each in step.about.get("mounts", ())}
        found = []
        for target in sorted(was.keys() | now.keys()):
            old, new = was.get(target), now.get(target)
            if old == new:
                continue
            if old is None or new is None or {**old, "content": ""} != {**new, "content": ""}:
                found.append(Cause("mount", target))
            else:
                found.append(Cause("mounted", target))
        return found

    def _actions(self, number: int, step: Entered, before: Entered) -> list[Cause]:
        was, now = before.about.get("actions", ()), step.about.get("actions", ())
        if len(was) != len(now):
            return [_instruction(step, before)]
        found = []
        for position, (old, new) in enumerate(zip(was, now, strict=True)):
            found += self._action(number, position, old, new)
        return found

    def _action(
        self, number: int, position: int, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> list[Cause]:
        found = [
            Cause("option", words, _short(old.get(name)), _short(new.get(name)))
            for name, words in _OPTIONS.items()
            if old.get(name) != new.get(name)
        ]
        if old.get("copy") == new.get("copy"):
            return found
        if old.get("name") or new.get("name"):
            return [*found, Cause("heredoc", str(new.get("name")))]
        sources = self._steps[number].sources
        source = sources[position] if position < len(sources) else ""
        return found + compare_copies(
            source, str(old.get("copy")), str(new.get("copy")), self._listings
        )


def _instruction(step: Entered, before: Entered) -> Cause:
    if step.text == before.text:
        return Cause("command")
    return Cause("instruction", "", _short(before.text), _short(step.text))


def _variables(entries: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}


def _short(value: object) -> str:
    """Return a value as text that fits a line."""
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    text = "" if value is None else str(value)
    return text if len(text) <= _WORDS else f"{text[: _WORDS - 3]}..."
