"""Builds in a process of their own, as a program with threads starts them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.build.events import Finished, Planned, Printed, Started
from knarr.engine.build.apart import Apart, cancel
from knarr.engine.builds import BuildOptions
from knarr.errors import CommandFailed, Failed, SyntaxFault, Unavailable
from support.images import archive

if TYPE_CHECKING:
    from knarr.build.events import Event
    from support.engine import Knarr

pytestmark = pytest.mark.root


def build(knarr: Knarr, dockerfile: str) -> tuple[list[Event], str]:
    wanted = BuildOptions("-", tags=("made",))
    with Apart(knarr.engine.paths, wanted) as build:
        build.feed(archive({"Dockerfile": dockerfile.encode(), "file": b"content\n"}))
        events = [event for event in build.events() if event is not None]
        return events, str(build.result.image_id)


def test_its_events_and_its_image_come_from_another_process(knarr: Knarr) -> None:
    events, image_id = build(knarr, "FROM busybox\nCOPY file /\nRUN cat /file; echo no >&2")
    assert any(isinstance(event, Planned) for event in events)
    printed = [(e.stream, e.data) for e in events if isinstance(e, Printed)]
    assert sorted(printed) == [(1, b"content\n"), (2, b"no\n")]
    assert {e.id for e in events if isinstance(e, Started)} == {
        e.id for e in events if isinstance(e, Finished)
    }
    assert str(knarr.engine.images.get("made").id) == image_id


def test_what_fails_there_is_raised_here(knarr: Knarr) -> None:
    with pytest.raises(CommandFailed) as caught:
        build(knarr, "FROM busybox\nRUN exit 7")
    assert caught.value.status == 7
    with pytest.raises(SyntaxFault) as fault:
        build(knarr, "FROM busybox\nNONSENSE")
    assert fault.value.line == 2


def test_a_fault_there_is_told_here(knarr: Knarr, capfd: pytest.CaptureFixture[str]) -> None:
    wanted = BuildOptions("-", tags=(5,))  # type: ignore[arg-type]
    with (
        pytest.raises(Failed, match=r"internal error: (Type|Attribute)Error: .*int") as caught,
        Apart(knarr.engine.paths, wanted) as build,
    ):
        build.feed(archive({"Dockerfile": b"FROM busybox"}))
        list(build.events())
    assert "standard error of the program that asked" in caught.value.hint
    assert "Traceback" in capfd.readouterr().err


def test_what_the_system_refuses_there_is_told_here(knarr: Knarr) -> None:
    in_the_way = Path(knarr.root) / "builds"
    in_the_way.write_text("no directory")
    with pytest.raises(Failed, match=r"file exists: /.*/builds$"):
        build(knarr, "FROM busybox\nRUN true")
    in_the_way.unlink()


def test_leaving_early_ends_what_runs(knarr: Knarr) -> None:
    wanted = BuildOptions("-")
    with Apart(knarr.engine.paths, wanted) as build:
        build.feed(archive({"Dockerfile": b"FROM busybox\nRUN echo up; sleep 1000"}))
        for event in build.events():
            if isinstance(event, Printed):
                break
        pid = build.pid
    assert not os.path.exists(f"/proc/{pid}")
    assert not os.listdir(f"{knarr.root}/journal")
    assert set(os.listdir(f"{knarr.root}/builds")) <= {"contexts", "history"}


def test_anybody_may_cancel_a_build_by_its_name(knarr: Knarr) -> None:
    paths = knarr.engine.paths
    with Apart(paths, BuildOptions("-"), name="a/b") as build:
        build.feed(archive({"Dockerfile": b"FROM busybox\nRUN echo up; sleep 1000"}))
        events = build.events()
        while not isinstance(next(events), Printed):
            pass
        assert cancel(paths, "a/b")
        with pytest.raises(Unavailable, match="canceled"):
            list(events)
    assert not cancel(paths, "a/b")


PROGRAM = """
import sys
from knarr.build.events import Printed
from knarr.engine.build.apart import Apart, cancel
from knarr.engine.builds import BuildOptions
from knarr.engine.engine import Engine

engine = Engine(sys.argv[1], sys.argv[2])
with Apart(engine.paths, BuildOptions("-")) as build:
    build.feed(sys.stdin.buffer.read())
    for event in build.events():
        if isinstance(event, Printed):
            print(build.pid, flush=True)
"""


def test_it_ends_with_the_program_that_asked_for_it(knarr: Knarr) -> None:
    context = archive({"Dockerfile": b"FROM busybox\nRUN echo up; sleep 1000"})
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, knarr.root, knarr.run_dir],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(context)
    program.stdin.close()
    pid = int(program.stdout.readline())
    program.kill()
    program.wait()
    program.stdout.close()
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not os.listdir(f"{knarr.root}/journal")
