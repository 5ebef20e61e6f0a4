"""Why each step of a build was done again or not, in words, from what the build's record says."""

from __future__ import annotations

from knarr.build.reasons.values import decode_causes
from knarr.build.reasons.wording import sentences
from knarr.util.text import human_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

_STATES = {
    "done": "done",
    "error": "failed",
    "canceled": "not finished",
    "waiting": "not begun, since another step failed",
}


def explain(steps: Sequence[Mapping[str, Any]], now_ns: int) -> Iterator[str]:
    """Yield a line for each step, and one for each cause below it."""
    for step in steps:
        why = sentences(decode_causes(step.get("causes", ())))
        if "image" in step:
            yield step["name"]
        elif step["state"] == "cached":
            yield f"{step['name']}: cached, done {_ago(step['made_ns'], now_ns)} ago"
        else:
            yield f"{step['name']}: {_STATES[step['state']]}{', for' if why else ''}"
        for sentence in why:
            yield f"    {sentence}"


def _ago(then_ns: int, now_ns: int) -> str:
    return human_duration(max(0, now_ns - then_ns) / 1e9).lower()
