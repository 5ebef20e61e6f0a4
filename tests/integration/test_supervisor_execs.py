"""Execs: further processes in a container, through its supervisor."""

from __future__ import annotations

import hashlib
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from knarr import errors
from knarr.supervise.messages import CONTROL, STDERR, STDOUT
from support.supervised import CAPABILITIES, Supervised, collect, events, until, wait_output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.supervise.control import Client

pytestmark = pytest.mark.root


@pytest.fixture
def running(container: Supervised) -> Iterator[Supervised]:
    client = container.start("sleep", "100")
    yield container
    container.connect().signal(signal.SIGKILL)
    collect(client)


def process(*arguments: str, uid: int = 0) -> dict[str, Any]:
    return {
        "user": {"uid": uid, "gid": uid},
        "args": list(arguments),
        "env": ["PATH=/bin", "WHO=exec"],
        "cwd": "/tmp",
        "capabilities": {"bounding": CAPABILITIES},
    }


def begin(
    container: Supervised,
    *arguments: str,
    terminal: bool = False,
    stdin: bool = False,
    uid: int = 0,
) -> tuple[Client, str]:
    """Create and start an exec on a connection of its own."""
    client = container.connect()
    exec_id = client.exec_create(process(*arguments, uid=uid), terminal=terminal, stdin=stdin)
    client.exec_start(exec_id, attach=True, window=(40, 90) if terminal else None)
    return client, exec_id


def gather(client: Client) -> tuple[dict[int, bytes], int]:
    """Return an exec's output and exit code."""
    output = {STDOUT: b"", STDERR: b""}
    for stream, content in events(client):
        if stream != CONTROL:
            output[stream] += content
        elif content.get("event") == "exec-exited":
            code: int = content["exit_code"]
            return output, code
    pytest.fail("the connection ended before the exec")


def test_an_exec_has_its_own_output_and_exit_code(running: Supervised) -> None:
    client, exec_id = begin(running, "sh", "-c", "echo $WHO; pwd >&2; hostname; exit 7")
    assert gather(client) == ({STDOUT: b"exec\ntest\n", STDERR: b"/tmp\n"}, 7)
    state = client.exec_inspect(exec_id)
    assert (state["running"], state["exit_code"]) == (False, 7)


def test_an_exec_is_in_the_container(running: Supervised) -> None:
    client, _ = begin(running, "ps", "-o", "pid,args")
    assert b"1 sleep 100" in gather(client)[0][STDOUT]


def test_input_passes_and_ends(running: Supervised) -> None:
    client, _ = begin(running, "md5sum", stdin=True)
    for _ in range(20):
        client.send_stdin(b"\0" * 65536)
    client.send_stdin(b"")
    output, code = gather(client)
    digest = hashlib.md5(b"\0" * 20 * 65536).hexdigest().encode()
    assert (output[STDOUT].split()[0], code) == (digest, 0)


def test_the_end_of_the_client_is_the_end_of_the_input(running: Supervised) -> None:
    client, exec_id = begin(running, "cat", stdin=True)
    client.close()
    watcher = running.connect()
    until(lambda: not watcher.exec_inspect(exec_id)["running"], "the end of cat")
    assert watcher.exec_inspect(exec_id)["exit_code"] == 0


def test_an_exec_has_a_terminal_of_its_size(running: Supervised) -> None:
    client, exec_id = begin(running, "sh", terminal=True, stdin=True)
    client.send_stdin(b"stty size; tty\n")
    seen = wait_output(client, b"/dev/pts/")
    assert b"40 90" in seen
    running.connect().resize(50, 100, exec_id)
    client.send_stdin(b"stty size; exit 3\n")
    output, code = gather(client)
    assert b"50 100" in output[STDOUT]
    assert code == 3


@pytest.mark.parametrize(("command", "status"), [("nonesuch", 127), ("/etc/passwd", 126)])
def test_what_cannot_be_executed(running: Supervised, command: str, status: int) -> None:
    with pytest.raises(errors.CommandFailed) as caught:
        begin(running, command)
    assert caught.value.status == status


def test_another_user_may_open_its_stdout_by_name(running: Supervised) -> None:
    client, _ = begin(running, "sh", "-c", "echo mine > /proc/self/fd/1; id -u", uid=1000)
    assert gather(client)[0][STDOUT] == b"mine\n1000\n"


def test_a_detached_exec_goes_on_without_a_client(running: Supervised) -> None:
    client = running.connect()
    exec_id = client.exec_create(process("sleep", "50"), terminal=False, stdin=False)
    pid = client.exec_start(exec_id, attach=False)
    client.close()
    assert os.path.exists(f"/proc/{pid}")
    watcher = running.connect()
    assert watcher.exec_inspect(exec_id)["running"]
    watcher.signal(signal.SIGTERM, exec_id)
    until(lambda: not watcher.exec_inspect(exec_id)["running"], "the end of sleep")
    assert watcher.exec_inspect(exec_id)["exit_code"] == 143


def test_a_background_child_does_not_delay_the_end(running: Supervised) -> None:
    client, _ = begin(running, "sh", "-c", "sleep 50 & echo left")
    assert gather(client) == ({STDOUT: b"left\n", STDERR: b""}, 0)


def test_fifty_at_once(running: Supervised) -> None:
    begun = [begin(running, "sh", "-c", f"read x; echo {n}$x", stdin=True)[0] for n in range(50)]
    for client in begun:
        client.send_stdin(b"!\n")
    outputs = [gather(client)[0][STDOUT] for client in begun]
    assert outputs == [b"%d!\n" % n for n in range(50)]


def test_execs_end_with_their_container(container: Supervised) -> None:
    first = container.start("sleep", "100")
    client, _ = begin(container, "sleep", "100")
    container.connect().signal(signal.SIGKILL)
    assert gather(client)[1] == 137
    collect(first)


def test_an_exec_is_started_once(running: Supervised) -> None:
    client, exec_id = begin(running, "true")
    gather(client)
    with pytest.raises(errors.Conflict):
        client.exec_start(exec_id, attach=False)


def test_an_unknown_exec_is_not_found(running: Supervised) -> None:
    with pytest.raises(errors.NotFound):
        running.connect().exec_start("0123", attach=False)
