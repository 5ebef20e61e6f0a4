"""Follows a build and writes down what there is to know of it afterwards.

It stands between the solver and whoever watches: each event goes on as it came. What a build of
which everything is cached costs for it is one look at what entered the keys the time before and one
record at the end; the record of a build that does something is there from the moment it waits for a
command, so that others can read its logs while it runs.
"""

from __future__ import annotations

import time

from knarr.build.events import Explained, Finished, Printed, Started, Ticked
from knarr.build.graph import in_order
from knarr.build.reasons.values import encode
from knarr.engine.build.history.entering import compare, enter
from knarr.engine.build.history.memory import Memory
from knarr.errors import KnarrError
from knarr.oci.digest import digest_of
from knarr.store.buildhistory import BuildRun, BuildRuns
from knarr.util import jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Any, Self

    from knarr.build.events import Event, Report
    from knarr.build.graph import Vertex
    from knarr.build.reasons.values import Cause, Entered
    from knarr.build.solver import Solver
    from knarr.engine.build.history.logs import StepLog
    from knarr.engine.engine import Engine

KEPT = 100  # builds that are remembered
_MORE = 20  # that may be there beyond them: forgetting costs more than remembering
RUNNING, COMPLETED, FAILED, CANCELED = "running", "completed", "error", "canceled"


class Asked(Value):
    """What was asked for: what makes two builds builds of the same, and what else is worth telling.

    `explained` is for who wants to be told at the end why each step was done.
    """

    context: str
    dockerfile: str = ""
    target: str = ""
    platform: str = ""
    tags: tuple[str, ...] = ()
    arguments: Mapping[str, str] = {}
    explained: bool = False

    @property
    def source(self) -> str:
        """Return a name for what is built."""
        words: tuple[str, ...] = (self.context, self.dockerfile, self.target, self.platform)
        if self.context == "-":  # which says nothing about what came
            words = (*words, *self.tags)
        return digest_of("\0".join(words).encode("utf-8", "surrogateescape")).hex[:32]

    @property
    def name(self) -> str:
        """Return a name for people: the last part of the context, or of its URL, and the target."""
        place = self.context.rstrip("/").rpartition("/")[2] or self.context
        return f"{place}:{self.target}" if self.target else place

    def describe(self) -> dict[str, Any]:
        """Return what the record tells of it."""
        return {
            "context": self.context,
            "dockerfile": self.dockerfile,
            "target": self.target,
            "platform": self.platform,
            "tags": list(self.tags),
            "arguments": dict(self.arguments),
        }


class _Activity:
    """What progress tells of one thing that the build does."""

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.started_ns = time.time_ns()
        self.ended_ns = 0
        self.cached = False
        self.error = ""
        self.log: StepLog | None = None

    def finish(self, event: Finished) -> None:
        self.ended_ns = time.time_ns()
        self.cached, self.error = event.cached, event.error
        self.close(event.error, event.key)

    def close(self, error: str, key: str = "") -> None:
        """End the log."""
        if self.log is not None:
            self.log.end(error, key)
            self.log = None

    def describe(self) -> dict[str, Any]:
        """Return what the record tells of it."""
        state = "cached" if self.cached else "done"
        if self.error or not self.ended_ns:
            state = FAILED if self.error not in ("", "cancelled") else CANCELED
        if not self.ended_ns and self.log is not None:
            state = RUNNING
        return {
            "state": state,
            "number": self.number,
            "started_ns": self.started_ns,
            "ended_ns": self.ended_ns or time.time_ns(),
        }


class Recorder:
    """Records one build, for a `with` statement around all of it."""

    def __init__(self, engine: Engine, build_id: str, asked: Asked, report: Report) -> None:
        """Follow the build `build_id`; events go on to `report`."""
        self.image_id = ""
        self._engine = engine
        self._id = build_id
        self._asked = asked
        self._report = report
        self._started_ns = time.time_ns()
        self._activities: dict[str, _Activity] = {}
        self._parts: list[tuple[Solver, list[Vertex]]] = []
        self._lines: tuple[str, ...] = ()
        self._listings: dict[str, bytes] = {}
        self._announced = False

    def __call__(self, event: Event) -> None:
        """Take an event, and hand it on."""
        match event:
            case Started():
                number = len(self._activities) + 1
                self._activities[event.id] = _Activity(number, event.name)
            case Printed():
                self._print(self._activities[event.id], event)
            case Finished():
                self._activities[event.id].finish(event)
                if self._announced and not event.cached:
                    self._put(RUNNING, 0, {"steps": self._so_far()})
            case Ticked():
                self._announce()
        self._report(event)

    def watch(self, solver: Solver, target: Vertex, lines: tuple[str, ...]) -> None:
        """Know what is to be done: `target` by `solver`, of a Dockerfile with these lines.

        A build for several platforms comes here for each; what they share counts once.
        """
        known = {vertex.digest for _, order in self._parts for vertex in order}
        order = [
            each for each in in_order(target) if each.name != "scratch" and each.digest not in known
        ]
        self._parts.append((solver, order))
        self._lines = lines

    def keep(self, digest: str, listing: bytes) -> None:
        """Take what the digest of a tree is of."""
        self._listings[digest] = listing

    def _print(self, activity: _Activity, event: Printed) -> None:
        self._announce()
        if activity.log is None:
            from knarr.engine.build.history.logs import StepLog, logs_dir  # noqa: PLC0415

            directory = logs_dir(self._engine.paths)
            activity.log = StepLog(directory, self._id, activity.number, activity.name)
        activity.log.write(event.stream, event.data)

    def _announce(self) -> None:
        """Let others know, once, that this build is under way."""
        if not self._announced:
            self._announced = True
            self._put(RUNNING, 0, {"steps": self._so_far()})

    def __enter__(self) -> Self:
        """Do nothing: there is nothing to tell yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Record how the build ended. That this fails does not hide why the build did."""
        try:
            self._record(error)
        except KnarrError as failure:
            if error is None:
                raise
            error.add_note(str(failure))

    def _record(self, error: BaseException | None) -> None:
        for activity in self._activities.values():
            activity.close(CANCELED)
        steps = self._describe_steps()
        status = COMPLETED
        if error is not None:
            status = CANCELED if isinstance(error, KeyboardInterrupt) else FAILED
        words = str(error) if error is not None else ""
        self._put(status, time.time_ns(), {"image": self.image_id, "error": words, "steps": steps})
        beyond = BuildRuns(self._engine.database).beyond(KEPT)
        if len(beyond) > _MORE:
            from knarr.engine.build.history.removing import remove_runs  # noqa: PLC0415 - seldom

            remove_runs(self._engine, beyond)
        if self._asked.explained:
            from knarr.engine.build.history.telling import explain  # noqa: PLC0415

            self._report(Explained(tuple(explain(steps, time.time_ns()))))

    def _put(self, status: str, ended_ns: int, about: Mapping[str, Any]) -> None:
        asked = self._asked
        detail = jsontext.dumps({**asked.describe(), **about})
        times = self._started_ns, ended_ns
        row = BuildRun(self._id, asked.source, asked.name, *times, status, detail)
        BuildRuns(self._engine.database).put(row)

    def _enter(self) -> tuple[list[tuple[Solver, Vertex]], list[Entered]]:
        """Return the steps with what entered them, as far as the build has come."""
        steps: list[Entered] = []
        vertices: list[tuple[Solver, Vertex]] = []
        for solver, order in self._parts:
            steps += enter(order, solver.keys, self._lines, first=len(steps))
            vertices += [(solver, vertex) for vertex in order]
        return vertices, steps

    def _so_far(self) -> list[dict[str, Any]]:
        """Return what can be told of the steps while the build runs."""
        return [
            self._describe(*whose, step, ()) for whose, step in zip(*self._enter(), strict=True)
        ]

    def _describe_steps(self) -> list[dict[str, Any]]:
        """Return what the record tells of each step; remember what entered it for the next time."""
        vertices, steps = self._enter()
        cached = {
            number
            for number, (_, vertex) in enumerate(vertices)
            if (activity := self._activities.get(vertex.digest)) is not None and activity.cached
        }
        memory = Memory(self._engine.paths, self._asked.source)
        causes = compare(steps, cached, memory, self._listings)
        return [
            self._describe(*whose, step, why)
            for whose, step, why in zip(vertices, steps, causes, strict=True)
        ]

    def _describe(
        self, solver: Solver, vertex: Vertex, step: Entered, causes: Sequence[Cause]
    ) -> dict[str, Any]:
        activity = self._activities.get(vertex.digest)
        result = solver.results.get(vertex.digest)
        found: dict[str, Any] = {"name": step.name, "line": vertex.first, "key": step.key}
        if step.is_image:
            found["image"] = step.about["image"]
        if causes:
            found["causes"] = [encode(each) for each in causes]
        if result is not None:
            found["made_ns"] = result.created_ns
        return found | (activity.describe() if activity else {"state": "waiting"})
