"""Graphs of builds as text that a person can review."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.build.graph import Files, Image, Vertex, in_order
from knarr.oci.config import encode_run_config
from knarr.util.jsontext import dumps

if TYPE_CHECKING:
    from knarr.build.dockerfile.checks import Checks
    from knarr.build.lower import Lowered
    from knarr.util.value import Value


def describe(lowered: Lowered, checks: Checks) -> str:
    """Return the vertices with their inputs by number, then the config and the history."""
    order = list(in_order(lowered.vertex))
    numbers = {vertex.digest: number for number, vertex in enumerate(order, 1)}
    lines = [line for vertex in order for line in _vertex(vertex, numbers)]
    lines.append(f"config {dumps(encode_run_config(lowered.config), sort_keys=True)}")
    if lowered.author:
        lines.append(f"author {lowered.author}")
    for entry in lowered.history:
        made = f" <- {numbers[entry.vertex]}" if entry.vertex else ""
        lines.append(f"history {entry.created_by}{made}")
    lines += [f"warning {finding}" for finding in checks.findings()]
    return "".join(f"{line}\n" for line in lines)


def _vertex(vertex: Vertex, numbers: dict[str, int]) -> list[str]:
    operation = vertex.operation
    inputs = "".join(f" {numbers[each.digest]}" for each in vertex.inputs)
    head = f"{numbers[vertex.digest]}:{inputs} {vertex.name} (line {vertex.first})"
    if isinstance(operation, Image):
        return [head]
    if isinstance(operation, Files):
        return [head, *(f"     {_fields(action)}" for action in operation.actions)]
    return [head, f"     {_fields(operation)}"]


def _fields(value: Value) -> str:
    cls = type(value)
    shown = [
        f"{name}={getattr(value, name)!r}"
        for name in cls._fields
        if getattr(value, name) != cls._defaults.get(name)
    ]
    return f"{cls.__name__} {' '.join(shown)}"
