"""Builds that are interrupted, killed, or doubled."""

from __future__ import annotations

import os
import signal
import time

import pytest

from support.workshop import Workshop

pytestmark = pytest.mark.root

SLOW = "FROM busybox\nRUN echo first > /first\nRUN echo started; sleep 30"


def remains(shop: Workshop) -> list[str]:
    builds = f"{shop.knarr.root}/builds"
    directories = [name for name in os.listdir(builds) if name not in ("contexts", "history")]
    left = shop.knarr.leftovers()
    deadline = time.monotonic() + 5
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = shop.knarr.leftovers()
    return directories + left


def start_slow(shop: Workshop) -> int:
    shop.write("Dockerfile", SLOW)
    process = shop.knarr.start("build", "--progress", "plain", str(shop.directory))
    assert process.stderr is not None
    while b"started\n" not in (line := process.stderr.readline()):
        assert line
    shop.process = process  # type: ignore[attr-defined]
    return process.pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_step_and_leaves_nothing(shop: Workshop, number: int) -> None:
    os.kill(start_slow(shop), number)
    process = shop.process  # type: ignore[attr-defined]
    process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert remains(shop) == []


def test_next_command_takes_a_killed_build_back(shop: Workshop) -> None:
    os.kill(start_slow(shop), signal.SIGKILL)
    process = shop.process  # type: ignore[attr-defined]
    process.communicate(timeout=10)
    done = shop.knarr.do("images")
    assert "took back a build that was interrupted" in done.stderr
    assert remains(shop) == []
    again = shop.build("FROM busybox\nRUN echo first > /first")
    assert again.done == []


@pytest.mark.parametrize(
    "point",
    [
        "build.run:created",
        "build.run:attached",
        "build.run:ended",
        "networks:prepared",
        "trees.publish:before-rename",
        "database:before-commit",
        "database:after-commit",
        "blobs.commit:before-rename",
        "journal:ending",
    ],
)
def test_killed_anywhere_it_leaves_nothing_and_the_next_build_works(
    shop: Workshop, point: str
) -> None:
    shop.write("x", "x")
    shop.write("Dockerfile", "FROM busybox\nCOPY x /x\nRUN cat /x > /y")
    assert shop.try_build(trace=f"{point}=kill").status == -signal.SIGKILL
    shop.knarr.do("images")
    assert remains(shop) == []
    shop.build()
    assert shop.read("cat /y") == "x"


def test_same_build_twice_at_once_does_the_work_once(shop: Workshop) -> None:
    shop.write(
        "Dockerfile", "FROM busybox\nRUN sleep 0.5; date +%s%N > /stamp\nRUN cp /stamp /copy"
    )
    processes = [
        shop.knarr.start("build", "-q", "-t", f"made{number}", str(shop.directory))
        for number in range(3)
    ]
    images = set()
    for process in processes:
        out, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        images.add(out)
    assert len(images) == 1


def test_full_disk_is_said_and_leaves_nothing(shop: Workshop) -> None:
    shop.write("x", "x")
    shop.write("Dockerfile", "FROM busybox\nCOPY x /x")
    built = shop.try_build(trace="trees.publish:before-rename=enospc")
    assert built.status == 1
    assert "no space left on device" in built.output
    assert remains(shop) == []
