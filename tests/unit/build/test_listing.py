"""The instructions that a build will carry out, in the order of the file."""

from __future__ import annotations

from typing import Any

from knarr.build.dockerfile.checks import Checks, Switches
from knarr.build.dockerfile.program import parse_dockerfile
from knarr.build.graph import in_order
from knarr.build.listing import list_steps
from knarr.build.lower import Demand, Lowering
from support.worker import LINUX, FakeWorker


def planned(text: str, **demand: Any) -> list[tuple[int, str, str]]:
    """Return stage and text of each instruction, with the name of what does it."""
    worker = FakeWorker()
    worker.add_image("busybox")
    program = parse_dockerfile(text.encode())
    lowering = Lowering(program, Demand(LINUX, **demand), worker=worker, checks=Checks(Switches()))
    lowered = lowering.lower()
    names = {vertex.digest: vertex.name for vertex in in_order(lowered.vertex)}
    found = list_steps(program, lowering.states, lowered.vertex).steps
    return [(step.stage, step.text, names.get(step.vertex, "")) for step in found]


def test_instructions_know_what_does_them() -> None:
    assert planned("FROM busybox\nENV A=1\nRUN make \\\n  all\nCMD sh") == [
        (0, "FROM busybox", ""),
        (0, "ENV A=1", ""),
        (0, "RUN make   all", "[2/2] RUN make   all"),
        (0, "CMD sh", ""),
    ]


def test_stages_that_nobody_needs_are_left_out() -> None:
    text = "FROM busybox AS one\nRUN 1\nFROM busybox AS two\nRUN 2\nFROM one\nRUN 3"
    assert [text for _, text, _ in planned(text)] == [
        "FROM busybox AS one",
        "RUN 1",
        "FROM one",
        "RUN 3",
    ]
    assert [number for number, _, _ in planned(text, target="two")] == [1, 1]


def test_a_base_is_told_by_its_image() -> None:
    worker = FakeWorker()
    worker.add_image("busybox")
    program = parse_dockerfile(b"FROM scratch AS none\nFROM busybox\nCOPY --from=none / /")
    lowering = Lowering(program, Demand(LINUX), worker=worker, checks=Checks(Switches()))
    steps = list_steps(program, lowering.states, lowering.lower().vertex).steps
    base = str(worker.resolve("busybox", LINUX).config.digest)
    assert [step.base for step in steps] == ["scratch", base, ""]
