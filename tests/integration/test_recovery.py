"""What processes leave that are killed, and what the next command makes of it."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from knarr.engine import recovery
from support.children import wait_stopped

if TYPE_CHECKING:
    from pathlib import Path

    from knarr.store.journal import Entry
    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")
SLEEP = ("busybox", "sleep", "1000")

CREATING = [
    "journal:begun", "database:before-commit", "database:after-commit", "create:recorded",
    "create:prepared", "journal:ending",
]  # fmt: skip
STARTING = ["networks:prepared", "start:created", "start:attached", "start:started"]
ENDING = ["cleanup:begun", "remove:record-gone", "remove:aside", "remove:directory-gone"]


def task(knarr: Knarr, name: str) -> dict[str, int]:
    container = knarr.engine.containers.get(name)
    with open(f"{knarr.engine.paths.container(container.id)}/task.json") as file:
        fields: dict[str, int] = json.load(file)
    return fields


def killed(knarr: Knarr, point: str, *words: str) -> None:
    """Run a command that is killed at a trace point."""
    done = knarr.do(*words, trace=f"{point}=kill")
    assert done.returncode == -signal.SIGKILL, (point, done)


def settle(knarr: Knarr) -> str:
    """Run the next command, and return what it says about what it found."""
    return knarr.do("ps", "-aq").stderr


@pytest.mark.parametrize("point", CREATING)
def test_a_creation_cut_short_leaves_nothing(knarr: Knarr, point: str) -> None:
    killed(knarr, point, "create", *NONE, "--name", "one", "-v", "/anonymous", "busybox")
    said = settle(knarr)
    left = knarr("ps", "-aq", "--no-trunc").split()
    assert left == []
    assert "whose creation was interrupted" in said
    assert knarr("volume", "ls", "-q") == ""
    knarr.assert_clean()


@pytest.mark.parametrize("network", ["none", "bridge"])
@pytest.mark.parametrize("point", [*CREATING, *STARTING, *ENDING])
def test_a_run_cut_short_is_taken_back_or_goes_on(knarr: Knarr, point: str, network: str) -> None:
    killed(knarr, point, "run", "--rm", "--network", network, "busybox", "true")
    # What it leaves may be its supervisor's to clean up, or the next command's, if that was killed.
    knarr.wait_until(lambda: settle(knarr) == "" and knarr.leftovers() == [])
    assert knarr("ps", "-aq") == ""


@pytest.mark.parametrize("point", STARTING)
def test_a_start_cut_short_can_be_tried_again(knarr: Knarr, point: str) -> None:
    knarr("create", "--name", "one", "-p", "127.0.0.1::80", *SLEEP)
    killed(knarr, point, "start", "one")
    settle(knarr)
    assert knarr("start", "one") == "one\n"
    assert knarr("inspect", "-f", "{{.State.Status}}", "one") == "running\n"


@pytest.mark.parametrize("point", ["journal:begun", *ENDING[1:]])
def test_a_removal_cut_short_is_finished(knarr: Knarr, point: str) -> None:
    knarr("create", *NONE, "--name", "one", "-v", "/data", "busybox")
    killed(knarr, point, "rm", "-v", "one")
    assert "finished the removal" in settle(knarr)
    assert knarr("ps", "-aq") == ""
    assert knarr("volume", "ls", "-q") == ""
    knarr.assert_clean()


def test_what_is_being_made_is_nobodys_leftover(knarr: Knarr) -> None:
    made = "a" * 64
    with knarr.engine.journal.begin("create", made):
        directory = knarr.engine.paths.container(made)
        os.mkdir(directory)
        killed(knarr, "create:recorded", "create", *NONE, "busybox")
        assert "whose creation was interrupted" in settle(knarr)
        assert os.path.isdir(directory)
        os.rmdir(directory)


def test_a_start_that_ends_meanwhile_keeps_its_address(
    knarr: Knarr, monkeypatch: pytest.MonkeyPatch
) -> None:
    knarr("create", "--name", "one", *SLEEP)
    starting = knarr.start("start", "one", trace="start:created=stop")
    wait_stopped(starting)
    journal = knarr.engine.journal
    look = journal.living

    def living() -> list[Entry]:
        """Look when the start is over, wherever that look comes among the others."""
        starting.send_signal(signal.SIGCONT)
        assert starting.communicate(timeout=30) == (b"one\n", b"")
        return look()

    monkeypatch.setattr(journal, "living", living)
    assert recovery.dead_sandboxes(knarr.engine) == set()


def test_a_killed_supervisor_gets_a_successor(knarr: Knarr) -> None:
    knarr("run", "-d", *NONE, "--name", "one", "busybox", "sh", "-c",
          "trap 'exit 7' TERM; while :; do sleep 0.1; done")  # fmt: skip
    os.kill(task(knarr, "one")["supervisor_pid"], signal.SIGKILL)
    knarr.wait_until(lambda: "gave container one a new supervisor" in settle(knarr), timeout=2)
    assert settle(knarr) == ""
    knarr("stop", "one")
    assert knarr("inspect", "-f", "{{.State.ExitCode}}", "one") == "7\n"


def test_a_successor_holds_the_ports(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "one", "-p", "127.0.0.1::80", *SLEEP)
    port = int(knarr("port", "one", "80").rpartition(":")[2])
    os.kill(task(knarr, "one")["supervisor_pid"], signal.SIGKILL)
    knarr.wait_until(lambda: "gave container one a new supervisor" in settle(knarr), timeout=2)
    with socket.socket() as ours, pytest.raises(OSError, match="in use"):
        ours.bind(("127.0.0.1", port))


def test_a_container_that_died_unseen_is_recorded(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "one", *SLEEP)
    before = task(knarr, "one")
    os.kill(before["supervisor_pid"], signal.SIGKILL)
    os.kill(before["pid"], signal.SIGKILL)
    knarr.wait_until(lambda: "ended while nobody watched" in settle(knarr), timeout=2)
    assert knarr("ps", "-a", "--format", "{{.Status}}").startswith("Exited (255) ")
    knarr("start", "one")
    assert knarr("inspect", "-f", "{{.State.Status}}", "one") == "running\n"


def test_with_rm_it_is_removed_then(knarr: Knarr) -> None:
    knarr("run", "-d", "--rm", "--name", "one", "-v", "/data", *SLEEP)
    before = task(knarr, "one")
    os.kill(before["supervisor_pid"], signal.SIGKILL)
    os.kill(before["pid"], signal.SIGKILL)
    knarr.wait_until(lambda: "removed container one" in settle(knarr), timeout=2)
    assert knarr("volume", "ls", "-q") == ""
    knarr.assert_clean()


def test_a_restart_policy_is_kept_by_the_next_command(knarr: Knarr) -> None:
    knarr("run", "-d", "--restart", "always", "--name", "one", *NONE, *SLEEP)
    before = task(knarr, "one")
    os.kill(before["supervisor_pid"], signal.SIGKILL)
    os.kill(before["pid"], signal.SIGKILL)
    knarr.wait_until(lambda: "was started again" in settle(knarr), timeout=2)
    assert knarr("inspect", "-f", "{{.State.Status}}", "one") == "running\n"


def test_nothing_runs_after_a_reboot(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "one", *SLEEP)
    knarr("run", "-d", "--rm", "--name", "two", *SLEEP)
    for name in ("one", "two"):
        before = task(knarr, name)
        os.kill(before["supervisor_pid"], signal.SIGKILL)
        os.kill(before["pid"], signal.SIGKILL)
        _pretend_other_boot(knarr, name)
    with open(knarr.engine.paths.boot_id_path, "w") as file:
        file.write("00000000-0000-0000-0000-000000000000\n")
    said = settle(knarr)
    assert "removed container two" in said
    assert knarr("ps", "-a", "--format", "{{.Names}} {{.Status}}").startswith("one Exited (255) ")
    assert knarr("ps", "-q") == ""
    assert knarr.engine.networks.published() == {}
    assert settle(knarr) == ""


def _pretend_other_boot(knarr: Knarr, name: str) -> None:
    fields = task(knarr, name) | {"boot_id": "00000000-0000-0000-0000-000000000000"}
    container = knarr.engine.containers.get(name)
    with open(f"{knarr.engine.paths.container(container.id)}/task.json", "w") as file:
        json.dump(fields, file)


def test_nobody_looks_for_leftovers_twice(knarr: Knarr, tmp_path: Path) -> None:
    killed(knarr, "create:recorded", "create", *NONE, "--name", "one", "busybox")
    commands = [knarr.start("ps", "-a") for _ in range(5)]
    said = [command.communicate()[1].decode() for command in commands]
    assert sum("whose creation was interrupted" in words for words in said) == 1
    assert [command.returncode for command in commands] == [0] * 5
