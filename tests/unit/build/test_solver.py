"""What the solver does with a graph, on a worker that makes results up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from knarr.build.dockerfile.checks import Checks, Switches
from knarr.build.dockerfile.program import parse_dockerfile
from knarr.build.events import Finished, Noted, Started
from knarr.build.lower import Demand, Lowering
from knarr.build.solver import Solver
from knarr.build.steps import Surroundings
from knarr.errors import CommandFailed, NotFound
from support.worker import LINUX, FakeWorker

if TYPE_CHECKING:
    from knarr.build.events import Event
    from knarr.build.graph import Vertex


@pytest.fixture
def worker() -> FakeWorker:
    made = FakeWorker()
    made.add_image("busybox")
    made.files = {"app.py": "one", "/app.py": "one"}
    return made


class Build:
    """One build: what was done, what came from the cache, what was told."""

    def __init__(self, worker: FakeWorker, text: str, *, no_cache: bool = False) -> None:
        self.worker = worker
        self.events: list[Event] = []
        program = parse_dockerfile(text.encode())
        demand = Demand(LINUX, around=Surroundings(no_cache=no_cache))
        lowering = Lowering(program, demand, worker=worker, checks=Checks(Switches()))
        self.target: Vertex = lowering.lower().vertex
        self.solver = Solver(worker, self.events.append)
        worker.log.clear()

    def run(self) -> list[str]:
        """Solve, and return what the worker had to do."""
        self.solver.solve(self.target)
        return self.worker.log

    def cached(self) -> list[str]:
        names = {event.id: event.name for event in self.events if isinstance(event, Started)}
        return [
            names[event.id] for event in self.events if isinstance(event, Finished) and event.cached
        ]


STORY = "FROM busybox\nRUN one\nCOPY app.py /\nRUN two"


def test_second_build_does_nothing(worker: FakeWorker) -> None:
    assert Build(worker, STORY).run() == ["one", "files", "two"]
    again = Build(worker, STORY)
    assert again.run() == []
    assert len(again.cached()) == 4


def test_changed_file_repeats_what_follows(worker: FakeWorker) -> None:
    Build(worker, STORY).run()
    worker.files["app.py"] = "changed"
    assert Build(worker, STORY).run() == ["files", "two"]
    worker.files["app.py"] = "one"
    assert Build(worker, STORY).run() == []


def test_no_cache_does_everything_and_is_what_counts_from_then_on(worker: FakeWorker) -> None:
    Build(worker, STORY).run()
    fresh = Build(worker, STORY, no_cache=True)
    assert fresh.run() == ["one", "files", "two"]
    again = Build(worker, STORY)
    assert again.run() == []
    assert again.solver.results[again.target.digest].stack == (
        fresh.solver.results[fresh.target.digest].stack
    )


def test_key_is_made_of_what_enters_and_of_nothing_else(worker: FakeWorker) -> None:
    Build(worker, "FROM busybox\nENV A=1\nRUN one").run()
    same = "FROM busybox AS other\n# comment\nENV A=1\nLABEL x=y\nRUN   one"
    assert Build(worker, same).run() == []
    assert Build(worker, "FROM busybox\nENV A=2\nRUN one").run() == ["one"]
    worker.files["lib.py"] = "one"
    Build(worker, "FROM busybox\nCOPY app.py /x").run()
    assert Build(worker, "FROM busybox\nCOPY lib.py /x").run() == []
    about = next(about for about in worker.about.values() if about["kind"] == "run")
    assert "A=1" in str(about["environment"])


def test_independent_stages_run_at_once() -> None:
    worker = FakeWorker(together=2)
    worker.add_image("busybox")
    text = (
        "FROM busybox AS a\nRUN left\nFROM busybox AS b\nRUN right\n"
        "FROM scratch\nCOPY --from=a /x /\nCOPY --from=b /x /"
    )
    build = Build(worker, text)
    worker._together = 2
    build.solver._begin_ready([*_order(build.target)])
    assert worker.log == ["left", "right"]
    worker._together = 1
    build.run()
    assert worker.log == ["left", "right", "files", "files"]


def _order(target: Vertex) -> list[Vertex]:
    from knarr.build.graph import in_order

    return list(in_order(target))


def test_same_work_in_two_stages_is_done_once(worker: FakeWorker) -> None:
    text = (
        "FROM busybox AS a\nRUN same\nFROM busybox AS b\nRUN same\n"
        "FROM scratch\nCOPY --from=a /x /\nCOPY --from=b /y /"
    )
    assert Build(worker, text).run() == ["same", "files", "files"]


def test_work_of_another_process_is_waited_for(worker: FakeWorker) -> None:
    first = Build(worker, STORY)
    first.run()
    records, worker.records = worker.records, {}
    worker.held.update(records)
    second = Build(worker, STORY)

    def report(event: Event) -> None:
        second.events.append(event)
        if isinstance(event, Noted):  # the other process ends while we wait
            worker.held.clear()
            worker.records = records

    second.solver._report = report
    assert second.run() == []
    assert any(isinstance(event, Noted) for event in second.events)


def test_failure_cancels_the_rest_and_names_its_vertex() -> None:
    worker = FakeWorker(together=2)
    worker.add_image("busybox")
    worker.failing = "bad"
    text = (
        "FROM busybox AS a\nRUN good\nFROM busybox AS b\nRUN bad\n"
        "FROM scratch\nCOPY --from=a /x /\nCOPY --from=b /x /"
    )
    build = Build(worker, text)
    with pytest.raises(CommandFailed):
        build.run()
    assert build.solver.failed is not None
    assert build.solver.failed.first == 4
    assert worker.active == []
    assert worker.held == set()
    errors = [event.error for event in build.events if isinstance(event, Finished) and event.error]
    assert "it failed" in errors


def test_missing_file_names_the_word(worker: FakeWorker) -> None:
    build = Build(worker, "FROM busybox\nCOPY app.py gone.py /dst/")
    with pytest.raises(NotFound):
        build.run()
    assert build.solver.failed_word == "gone.py"


def test_failed_work_is_not_remembered(worker: FakeWorker) -> None:
    worker.failing = "two"
    with pytest.raises(CommandFailed):
        Build(worker, STORY).run()
    worker.failing = ""
    assert Build(worker, STORY).run() == ["two"]
