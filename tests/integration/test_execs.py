"""`exec` beyond its streams: clients that vanish, many at once, files, keys to detach with."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from support.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")
# A command with a child of its own, and one that has left it, its session and its group.
FAMILY = "sleep 1001 & (setsid sleep 1002 &); sleep 0.1; touch /tmp/up; sleep 1003"


@pytest.fixture
def box(knarr: Knarr) -> Knarr:
    """Return an engine in which the container `box` sleeps."""
    knarr("run", "-d", *NONE, "--name", "box", "busybox", "sleep", "1000")
    return knarr


def sleepers(box: Knarr) -> set[str]:
    """Return for how long those sleep that execs have started."""
    rows = box("top", "box", "-o", "pid,args").splitlines()[1:]
    words = [row.split()[1:] for row in rows]
    return {args[-1] for args in words if args[:1] == ["sleep"]} - {"1000"}


def begin(box: Knarr, *options: str) -> subprocess.Popen[bytes]:
    client = box.start("exec", *options, "box", "sh", "-c", FAMILY)
    box.wait_until(lambda: box.do("exec", "box", "test", "-e", "/tmp/up").returncode == 0)
    return client


def vanish(client: subprocess.Popen[bytes]) -> None:
    client.kill()
    client.communicate()


def test_what_is_executed_outlives_its_client(box: Knarr) -> None:
    vanish(begin(box))
    time.sleep(0.3)
    assert sleepers(box) == {"1001", "1002", "1003"}


def test_the_whole_family_ends_with_a_client_that_vanishes(box: Knarr) -> None:
    vanish(begin(box, "--on-disconnect", "kill"))
    box.wait_until(lambda: not sleepers(box))
    assert box("inspect", "-f", "{{.State.Status}}", "box") == "running\n"
    found = box("events", "--since", "1", "--until", "0s", "-f", "event=exec_die").splitlines()
    assert "exitCode=137" in found[-1]


def test_only_the_family_of_that_client_ends(box: Knarr) -> None:
    other = box.start("exec", "box", "sleep", "1004")
    client = begin(box, "--on-disconnect=kill")
    box.wait_until(lambda: "1004" in sleepers(box))
    vanish(client)
    box.wait_until(lambda: sleepers(box) == {"1004"})
    vanish(other)


def test_children_that_were_left_behind_on_purpose_stay(box: Knarr) -> None:
    box("exec", "--on-disconnect", "kill", "box", "sh", "-c", "sleep 1005 >/dev/null 2>&1 &")
    time.sleep(0.2)
    assert sleepers(box) == {"1005"}


def test_who_detaches_does_not_vanish(box: Knarr) -> None:
    words = ("--on-disconnect", "kill", "--detach-keys", "ctrl-a,x")
    person = Terminal(box, "exec", "-it", *words, "box", "sh", "-c", "echo up; sleep 1006")
    person.expect("up")
    person.type("\x01x")
    assert person.status() == 0
    time.sleep(0.2)
    assert sleepers(box) == {"1006"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--on-disconnect", "wait"), "invalid --on-disconnect: 'wait'"),
        (("-d", "--on-disconnect", "kill"), "conflicting options"),
    ],
)
def test_what_cannot_be_asked_for(box: Knarr, words: tuple[str, ...], said: str) -> None:
    assert said in box.fails("exec", *words, "box", "true")


def test_fifty_commands_at_once(box: Knarr) -> None:
    clients = [box.start("exec", "-i", "box", "cat") for _ in range(50)]
    for number, client in enumerate(clients):
        assert client.communicate(f"{number}\n".encode() * 1000)[0] == f"{number}\n".encode() * 1000
    assert [client.returncode for client in clients] == [0] * 50


def test_variables_come_from_files_and_options_go_before(box: Knarr, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# a comment\nONE=from file\nTWO=2\nHERE\n\nEMPTY=\n")
    os.environ["HERE"] = "of the client"
    try:
        words = ("--env-file", str(tmp_path / "env"), "-e", "TWO=two")
        found = box("exec", *words, "box", "env").splitlines()
    finally:
        del os.environ["HERE"]
    assert {"ONE=from file", "TWO=two", "HERE=of the client", "EMPTY="} <= set(found)


def test_privileges_are_those_of_the_whole_kernel(box: Knarr) -> None:
    script = "grep -E 'CapEff|Seccomp:' /proc/self/status; grep CapBnd /proc/1/status"
    own = box("exec", "box", "sh", "-c", script).split()
    more = box("exec", "--privileged", "box", "sh", "-c", script).split()
    assert int(more[1], 16) > int(own[1], 16) == int(own[5], 16)
