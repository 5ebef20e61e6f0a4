"""What enters the steps of a build, and what of it is another than in the build before."""

from __future__ import annotations

from knarr.build.graph import Copy, Files, Image, Run
from knarr.build.reasons.values import Entered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from knarr.build.graph import Vertex
    from knarr.build.reasons.values import Cause
    from knarr.engine.build.history.memory import Memory

    Keys = Mapping[str, tuple[str, dict[str, object]]]


def enter(
    order: Sequence[Vertex], keys: Keys, lines: Sequence[str], *, first: int = 0
) -> list[Entered]:
    """Return what entered each vertex; `lines` are those of the Dockerfile.

    `first` is the number of the first of them.
    """
    numbers = {vertex.digest: number for number, vertex in enumerate(order, first)}
    return [_enter(vertex, keys, lines, numbers) for vertex in order]


def _enter(vertex: Vertex, keys: Keys, lines: Sequence[str], numbers: Mapping[str, int]) -> Entered:
    operation = vertex.operation
    about: Mapping[str, Any]
    key, about = keys.get(vertex.digest, ("", {}))
    if isinstance(operation, Image):
        about = {"kind": "image", "reference": operation.reference, "image": operation.id}
    sources: tuple[str, ...] = ()
    if isinstance(operation, Files):
        sources = tuple(each.source if isinstance(each, Copy) else "" for each in operation.actions)
    text = "\n".join(lines[vertex.first - 1 : vertex.last]) if vertex.first else vertex.name
    inputs = [numbers.get(each.digest, -1) for each in vertex.inputs]  # none for scratch
    return Entered(
        vertex.name,
        text,
        key,
        about,
        below=inputs[0] if inputs else -1,
        others=tuple(inputs[1:]),
        sources=sources,
        arguments=operation.declared if isinstance(operation, Run) else (),
        forced=vertex.no_cache,
    )


def compare(
    steps: Sequence[Entered], cached: Collection[int], memory: Memory, listings: Mapping[str, bytes]
) -> list[tuple[Cause, ...]]:
    """Return why each step was done that was not `cached`, and remember the steps.

    `listings` are those of the trees that were looked at this time.
    """
    causes: list[tuple[Cause, ...]] = [()] * len(steps)
    earlier = memory.steps
    same = list(map(_identity, steps)) == list(map(_identity, earlier))
    if same and len(cached) == len(steps):
        return causes
    from knarr.build.reasons.explain import Comparison  # noqa: PLC0415 - not if all is cached
    from knarr.build.reasons.matching import match  # noqa: PLC0415 - as above

    pairs = match(steps, earlier)
    known = {**memory.listings(), **listings}
    comparison = Comparison(steps, earlier, pairs, known)
    for number, step in enumerate(steps):
        if step.is_image:
            causes[number] = comparison.explain_base(number)
        elif step.key and number not in cached:
            causes[number] = comparison.explain(number)
    if not same:
        memory.save(
            [_known(step, number, pairs, earlier) for number, step in enumerate(steps)], known
        )
    return causes


def _identity(step: Entered) -> tuple[str, str]:
    return step.key, str(step.about.get("image", ""))


def _known(
    step: Entered, number: int, pairs: Mapping[int, int], earlier: Sequence[Entered]
) -> Entered:
    """Return what is known of a step: if the build did not come to it, that of the time before."""
    return step if step.key or step.is_image or number not in pairs else earlier[pairs[number]]
