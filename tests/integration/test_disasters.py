"""The disk full while a container writes its log, and everything killed at once."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from knarr.linux import mount, namespaces
from knarr.supervise import task
from support.engine import Knarr, lent_engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Small = Callable[[Callable[[Knarr], None]], None]

pytestmark = pytest.mark.root

NONE = ("--network", "none")
COUNTING = "i=0; while :; do i=$((i+1)); echo line $i; done"


@pytest.fixture
def small(tmp_path: Path) -> Small:
    """Have a part of a test carried out with an engine whose disk has 16 MB.

    In a child with a mount namespace of its own: what is mounted there, nobody else sees.
    """

    def carry_out(part: Callable[[Knarr], None]) -> None:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                place = tmp_path / "small"
                place.mkdir()
                namespaces.unshare(namespaces.CLONE_NEWNS)
                mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE, None)
                mount.mount("none", str(place), "tmpfs", 0, "size=16m")
                with lent_engine(place) as lent:
                    part(lent)
                status = 0
            except BaseException:  # noqa: BLE001 - the top of this process
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        assert status == 0

    return carry_out


def log_of(knarr: Knarr, name: str) -> str:
    container_id = knarr.engine.containers.get(name).id
    return f"{knarr.engine.paths.container(container_id)}/{container_id}-json.log"


def fields(knarr: Knarr, name: str) -> dict[str, Any]:
    found = task.read(knarr.engine.paths.container(knarr.engine.containers.get(name).id))
    assert found
    return found


def fill(knarr: Knarr) -> str:
    """Use up what is left of the disk, and return the file that does."""
    path = f"{knarr.root}/filler"
    with open(path, "wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            return path
    raise AssertionError


def test_a_container_runs_on_while_the_disk_is_full(small: Small) -> None:
    small(_runs_on)


def _runs_on(small: Knarr) -> None:
    script = f"({COUNTING}) & sleep 1000"
    small("run", "-d", *NONE, "--name", "one", "--log-opt", "max-size=100m", "busybox", "sh", "-c",
          script)  # fmt: skip
    path = log_of(small, "one")
    small.wait_until(lambda: os.path.getsize(path) > 100_000)
    filler = fill(small)
    size = os.path.getsize(path)
    small.wait_until(lambda: os.path.getsize(path) <= size + 8192)
    assert fields(small, "one")["status"] == "running"
    assert small.do("exec", "one", "true").returncode == 0
    os.unlink(filler)
    noted = "of output are missing here"
    small.wait_until(lambda: noted in small.do("logs", "one").stderr, timeout=30)
    small("kill", "one")
    small.wait_until(lambda: fields(small, "one")["status"] == "exited")
    with open(path, "rb") as file:
        entries = [json.loads(line) for line in file]
    numbers = [int(e["log"].split()[1]) for e in entries if e["log"].startswith("line ")]
    assert numbers == sorted(numbers)
    notes = [entry for entry in entries if entry.get("attrs")]
    assert notes  # more than one, if the disk was full again meanwhile
    assert {(note["attrs"]["knarr"], note["stream"]) for note in notes} == {("note", "stderr")}
    fill(small)
    small("rm", "one")  # what fills the disk can always be removed


def test_an_end_is_recorded_on_a_full_disk(small: Small) -> None:
    small(_ends)


def _ends(small: Knarr) -> None:
    small(
        "run",
        "-d",
        *NONE,
        "--name",
        "one",
        "busybox",
        "sh",
        "-c",
        "trap 'exit 7' TERM; sleep 99 & wait",
    )
    filler = fill(small)
    os.kill(fields(small, "one")["pid"], signal.SIGTERM)
    small.wait_until(lambda: fields(small, "one")["status"] == "exited")
    assert fields(small, "one")["exit_code"] == 7
    os.unlink(filler)
    assert small("inspect", "-f", "{{.State.ExitCode}}", "one") == "7\n"


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_a_container_that_fills_the_disk_has_its_own_status(small: Small, network: str) -> None:
    def part(lent: Knarr) -> None:
        fill_up = "dd if=/dev/zero of=/big bs=1M count=30 2>/dev/null; exit 7"
        command = ("--network", network, "busybox", "sh", "-c", fill_up)
        done = lent.do("run", "--rm", *command)
        assert (done.returncode, done.stderr) == (7, "")
        assert lent("ps", "-aq") == ""
        assert lent.do("run", "--name", "one", *command).returncode == 7
        lent("rm", "one")

    small(part)


def test_everything_killed_at_once(knarr: Knarr) -> None:
    """As by an out-of-memory killer gone wild, in the middle of writing logs, attached and not."""
    client = knarr.start("run", *NONE, "--name", "one", "busybox", "sh", "-c", COUNTING)
    knarr("run", "-d", "--name", "two", "--restart", "always", "busybox", "sh", "-c", COUNTING)
    knarr.wait_until(lambda: knarr.do("logs", "-n", "1", "one").stdout.startswith("line "))
    knarr.wait_until(lambda: knarr.do("logs", "-n", "1", "two").stdout.startswith("line "))
    doomed = [client.pid, *(pid for pid, _ in knarr.processes())]
    for pid in doomed:
        os.kill(pid, signal.SIGSTOP)
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)
    client.communicate()
    knarr.wait_until(lambda: not set(doomed) & {pid for pid, _ in knarr.processes()})
    said = knarr.do("ps", "-a", "--format", "{{.Names}} {{.Status}}")
    assert "container one ended while nobody watched" in said.stderr
    assert "container two ended while nobody watched, and was started again" in said.stderr
    states = dict(line.split(" ", 1) for line in said.stdout.splitlines())
    assert states["one"].startswith("Exited (255)")
    assert states["two"].startswith("Up ")
    numbers = [int(line.split()[1]) for line in knarr("logs", "one").splitlines()]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    knarr("start", "one")
    knarr.wait_until(lambda: knarr("logs", "one").count("line 1\n") == 2)
    assert knarr("system", "check") == "Everything is as it should be.\n"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("rm", "-f", "one"), id="rm"),
        pytest.param(("kill", "one"), id="kill"),
        pytest.param(("stop", "-t", "0", "one"), id="stop"),
        pytest.param(("exec", "one", "true"), id="exec"),
        pytest.param(("restart", "-t", "0", "one"), id="restart"),
    ],
)
def test_a_supervisor_that_somebody_stopped_goes_on(knarr: Knarr, words: tuple[str, ...]) -> None:
    knarr("run", "-d", *NONE, "--name", "one", "busybox", "sleep", "1000")
    os.kill(fields(knarr, "one")["supervisor_pid"], signal.SIGSTOP)
    assert knarr.do(*words, timeout=20).returncode == 0


def test_a_supervisor_that_fails_says_why(knarr: Knarr) -> None:
    done = knarr.do("run", "--rm", *NONE, "busybox", "true", trace="supervise:ordered=enospc")
    assert done.returncode == 125
    assert "the supervisor ended before the container was created" in done.stderr
    assert "OSError: [Errno 28] No space left on device" in done.stderr
    assert knarr("ps", "-aq") == ""
