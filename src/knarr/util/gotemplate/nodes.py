"""The actions of a template: what stands for text, and appends it to `run.parts`."""

from __future__ import annotations

from knarr.util.gotemplate.expressions import NoValue
from knarr.util.gotemplate.functions import truth
from knarr.util.gotemplate.printing import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    from knarr.util.gotemplate.expressions import Pipeline, Place, Run
else:
    Protocol = object


# Go allows 100000; nobody needs as many as the interpreter's stack allows.
DEEPEST = 60


class Writer(Protocol):
    """A node that stands for text."""

    def write(self, run: Run) -> None:
        """Append the text to `run.parts`."""


class BreakLoop(Exception):
    """`{{break}}`."""


class ContinueLoop(Exception):
    """`{{continue}}`."""


class Text:
    """What stands outside of actions."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def write(self, run: Run) -> None:
        """Append the text to `run.parts`."""
        run.parts.append(self.text)


class Action:
    """`{{pipeline}}`."""

    __slots__ = ("pipeline",)

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def write(self, run: Run) -> None:
        """Append the text to `run.parts`."""
        value = self.pipeline.value(run)
        if self.pipeline.names:
            self.pipeline.keep(run, value)
        else:
            run.parts.append("<no value>" if value is None else show(value))


class Branch:
    """`{{if}}` and, with `sets_dot`, `{{with}}`."""

    __slots__ = ("body", "otherwise", "pipeline", "sets_dot")

    def __init__(
        self,
        pipeline: Pipeline,
        body: Sequence[Writer],
        otherwise: Sequence[Writer],
        *,
        sets_dot: bool,
    ) -> None:
        self.pipeline = pipeline
        self.body = body
        self.otherwise = otherwise
        self.sets_dot = sets_dot

    def write(self, run: Run) -> None:
        """Append the text to `run.parts`."""
        mark, dot = len(run.variables), run.dot
        value = self.pipeline.value(run)
        self.pipeline.keep(run, *([value] if self.pipeline.names else []))
        if truth(value):
            if self.sets_dot:
                run.dot = value
            write_all(self.body, run)
        else:
            write_all(self.otherwise, run)
        run.dot = dot
        del run.variables[mark:]


class Range:
    """`{{range}}` over a list, a map in the order of its keys, or the numbers below an int."""

    __slots__ = ("body", "otherwise", "pipeline")

    def __init__(
        self, pipeline: Pipeline, body: Sequence[Writer], otherwise: Sequence[Writer]
    ) -> None:
        self.pipeline = pipeline
        self.body = body
        self.otherwise = otherwise

    def write(self, run: Run) -> None:
        """Append the text to `run.parts`."""
        mark, dot = len(run.variables), run.dot
        entries = self._entries(self.pipeline.value(run))
        for key, value in entries:
            self.pipeline.keep(run, key, value)
            run.dot = value
            try:
                write_all(self.body, run)
            except BreakLoop:
                break
            except ContinueLoop:
                pass
            finally:
                run.dot = dot
                del run.variables[mark:]
        if not entries:
            write_all(self.otherwise, run)
        del run.variables[mark:]

    def _entries(self, value: object) -> list[tuple[object, object]]:
        if value is None or isinstance(value, NoValue) or value == "":
            return []
        if isinstance(value, dict):
            return sorted(value.items())
        if isinstance(value, list | tuple):
            return list(enumerate(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return [(number, number) for number in range(value)]
        raise self.pipeline.place.fault(f"range can't iterate over {show(value)}")


class Jump:
    """`{{break}}` or `{{continue}}`."""

    __slots__ = ("signal",)

    def __init__(self, signal: type[Exception]) -> None:
        self.signal = signal

    def write(self, run: Run) -> None:  # noqa: ARG002 - as all nodes
        """Append the text to `run.parts`."""
        raise self.signal


class Invoke:
    """`{{template "name" pipeline}}`: a named template, which sees no variables of ours but `$`.

    `definitions` are those of the whole text, since a template may be defined after its use.
    """

    __slots__ = ("definitions", "name", "pipeline", "place")

    def __init__(
        self,
        place: Place,
        name: str,
        pipeline: Pipeline | None,
        definitions: Mapping[str, Sequence[Writer]],
    ) -> None:
        self.place = place
        self.name = name
        self.pipeline = pipeline
        self.definitions = definitions

    def write(self, run: Run) -> None:
        """Append the text to `run.parts`."""
        body = self.definitions.get(self.name)
        if body is None:
            raise self.place.fault(f'template "{self.name}" not defined')
        if run.depth == DEEPEST:
            raise self.place.fault(f"exceeded maximum template depth ({DEEPEST})")
        dot, variables = run.dot, run.variables
        value = self.pipeline.value(run) if self.pipeline else None
        run.dot, run.variables = value, [("$", value)]
        run.depth += 1
        write_all(body, run)
        run.depth -= 1
        run.dot, run.variables = dot, variables


def write_all(nodes: Sequence[Writer], run: Run) -> None:
    """Write all of `nodes`; variables they declare end with them."""
    mark = len(run.variables)
    for node in nodes:
        node.write(run)
    del run.variables[mark:]
