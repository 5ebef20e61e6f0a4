"""SIGKILL of the supervisor: what runs goes on, and a new supervisor finds everything again."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from knarr import errors
from knarr.supervise import places, task
from knarr.supervise.messages import STDOUT, Adoption
from support.supervised import Supervised, collect, until, wait_output

if TYPE_CHECKING:
    from knarr.supervise.control import Client

pytestmark = pytest.mark.root

BOTH = ("stdout", "stderr")
ALL = ("stdin", "stdout", "stderr")


def adopt(container: Supervised, **fields: Any) -> Client:
    """Start another supervisor for a container that runs."""
    known = container.task
    adoption = Adoption(known["pid"], known["pid_started"])
    starting = container.spawn()
    starting.send_order(container.order("-", adopt=adoption, **fields))
    starting.wait_started()
    return container.keep(starting.client())


def test_the_container_goes_on_and_its_exit_is_known(container: Supervised) -> None:
    script = "trap 'exit 42' TERM; echo ready; while :; do sleep 0.01; done"
    wait_output(container.start("sh", "-c", script, attach=BOTH), b"ready")
    container.kill_supervisor()
    assert task.alive(container.task)
    client = adopt(container)
    container.connect().signal(signal.SIGTERM)
    _, ended = collect(client)
    assert ended.exit_code == 42
    assert container.task["status"] == "exited"


def test_output_written_meanwhile_waits_in_the_pipe(container: Supervised) -> None:
    first = container.start(
        "sh", "-c", "echo before; read x; echo meanwhile; exec sleep 100",
        attach=ALL, stdin=True,
    )  # fmt: skip
    wait_output(first, b"before\n")
    container.kill_supervisor()
    with open(container.control_dir / "stdin", "wb", buffering=0) as stdin:
        stdin.write(b"go\n")
    until(lambda: _command(container.task["pid"]) == b"sleep\x00100\x00", "the sleep")
    client = adopt(container, attach=BOTH, stdin=True)
    assert wait_output(client, b"meanwhile\n") == b"meanwhile\n"
    container.connect().signal(signal.SIGKILL)
    collect(client)
    assert b"before" in container.log_path.read_bytes()
    assert b"meanwhile" in container.log_path.read_bytes()


def test_a_reader_of_stdin_does_not_see_its_end(container: Supervised) -> None:
    container.start("cat", attach=ALL, stdin=True, stdin_once=True)
    container.kill_supervisor()
    client = adopt(container, attach=ALL, stdin=True, stdin_once=True)
    client.send_stdin(b"still here\n")
    wait_output(client, b"still here\n")
    client.send_stdin(b"")
    assert collect(client)[1].exit_code == 0


def test_a_terminal_lives_on_with_the_keeper(container: Supervised) -> None:
    first = container.start("sh", attach=ALL, stdin=True, terminal=True, window=(24, 80))
    first.send_stdin(b'stty -echo; x=4; echo r""eady\n')
    wait_output(first, b"ready\r\n")
    container.kill_supervisor()
    client = adopt(container, attach=ALL, stdin=True, terminal=True)
    client.send_stdin(b"echo =$x$x=\n")
    wait_output(client, b"=44=\r\n")
    client.resize(30, 100)
    client.send_stdin(b"stty size; exit 5\n")
    output, ended = collect(client)
    assert b"30 100" in output[STDOUT]
    assert ended.exit_code == 5


def test_the_keeper_ends_with_its_container(container: Supervised) -> None:
    client = container.start("cat", attach=ALL, stdin=True)
    supervisor = container.supervisor_pid
    (keeper,) = [pid for pid in _children(supervisor) if pid != container.task["pid"]]
    container.kill_supervisor()
    client.close()
    assert task.start_time(keeper)
    os.kill(container.task["pid"], signal.SIGKILL)
    until(lambda: not task.start_time(keeper), "the keeper's end")


def test_an_exit_before_the_adoption_is_a_conflict(container: Supervised) -> None:
    container.start("sleep", "100")
    container.kill_supervisor()
    pid = container.task["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of init")
    with pytest.raises(errors.Conflict):
        adopt(container)
    assert not task.alive(container.task)
    os.close(places.take_over(str(container.control_dir)))  # left for recovery to find


def test_only_one_supervisor_adopts(container: Supervised) -> None:
    container.start("sleep", "100")
    with pytest.raises(errors.Conflict):
        adopt(container)
    container.kill_supervisor()
    adopt(container)
    with pytest.raises(errors.Conflict):
        adopt(container)


@pytest.mark.parametrize(
    ("point", "status", "alive"),
    [
        ("supervise:ordered", None, False),
        ("supervise:created", None, False),
        ("supervise:saved", "created", False),
        ("supervise:starting", "running", False),
        ("supervise:started", "running", True),
    ],
)
def test_killed_while_starting(
    container: Supervised, point: str, status: str | None, alive: bool
) -> None:
    starting = container.spawn(f"{point}=kill")
    starting.send_order(container.order("sleep", "100"))
    with pytest.raises((errors.Failed, BrokenPipeError)):
        starting.wait_created()
        starting.start()
        starting.wait_started()
    known = task.read(str(container.bundle_dir))
    assert (known and known["status"]) == status
    if known and not alive:
        until(lambda: not task.alive(known), "the end of init")
    assert bool(known and task.alive(known)) == alive
    if container.control_dir.exists():
        os.close(places.take_over(str(container.control_dir)))


@pytest.mark.parametrize(
    ("point", "status"),
    [
        ("supervise:ended", "running"),
        ("supervise:drained", "running"),
        ("supervise:recorded", "exited"),
    ],
)
def test_killed_while_ending(container: Supervised, point: str, status: str) -> None:
    client = container.start("sh", "-c", "exit 3", trace=f"{point}=kill")
    assert client.next_event("exited") is None
    assert container.task["status"] == status
    assert not task.alive(container.task)
    os.close(places.take_over(str(container.control_dir)))


def _command(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]
