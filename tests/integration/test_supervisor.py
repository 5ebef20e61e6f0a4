"""A container and its supervisor, seen from the client's end of the socket."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from knarr import errors
from knarr.supervise.messages import CONTROL, STDERR, STDOUT
from support.supervised import Supervised, collect, events, until, wait_output

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.root

BOTH = ("stdout", "stderr")
ALL = ("stdin", "stdout", "stderr")


# exits


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137)],
)
def test_exit_codes_are_dockers(container: Supervised, script: str, code: int) -> None:
    # The first process of a PID namespace is immune to its own signals, so a child of it is asked.
    script = script if "exit" in script else f"(sh -c '{script}'); exit $?"
    _, ended = collect(container.start("sh", "-c", script))
    assert ended.exit_code == code
    assert container.task["status"] == "exited"
    assert container.task["exit_code"] == code


def test_a_signal_from_outside_ends_with_128_and_its_number(container: Supervised) -> None:
    client = container.start("sleep", "100")
    container.connect().signal(signal.SIGKILL)
    _, ended = collect(client)
    assert ended.exit_code == 128 + signal.SIGKILL


@pytest.mark.parametrize(
    ("command", "status"), [("/no/such", 127), ("/etc/passwd", 126), ("/tmp", 126)]
)
def test_what_cannot_be_executed_fails_to_start(
    container: Supervised, command: str, status: int
) -> None:
    starting = container.spawn()
    starting.send_order(container.order(command))
    with pytest.raises(errors.CommandFailed) as caught:
        starting.wait_created()
        starting.start()
        starting.wait_started()
    assert caught.value.status == status
    assert container.task["status"] == "created"
    assert container.task["exit_code"] == status
    assert container.task["error"] == caught.value.message
    assert not container.control_dir.exists()


def test_a_spec_that_cannot_be_right_is_the_runtimes_error(container: Supervised) -> None:
    starting = container.spawn()
    order = container.order("true")
    order.spec["linux"]["namespaces"].append({"type": "nonsense"})
    starting.send_order(order)
    with pytest.raises(errors.InvalidArgument, match="nonsense"):
        starting.wait_created()


@pytest.mark.parametrize("how", ["abort", "vanish"])
def test_a_container_that_is_not_started_is_taken_back(container: Supervised, how: str) -> None:
    starting = container.spawn()
    starting.send_order(container.order("sleep", "100"))
    pid = starting.wait_created()
    if how == "abort":
        starting.abort()
    else:
        starting.client().close()
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of init")
    until(lambda: not container.control_dir.exists(), "the run directory's end")


def test_the_run_directory_is_gone_when_the_owner_sees_the_end(container: Supervised) -> None:
    collect(container.start("true"))
    assert not container.control_dir.exists()


def test_a_second_run_waits_for_the_supervisor_of_the_first(container: Supervised) -> None:
    first = container.start("true")
    starting = container.spawn()
    starting.send_order(container.order("sh", "-c", "exit 4"))
    collect(first)
    starting.wait_created()
    starting.start()
    starting.wait_started()
    assert collect(starting.client())[1].exit_code == 4


# output


def test_output_is_delivered_from_the_first_byte_on_by_stream(container: Supervised) -> None:
    client = container.start("sh", "-c", "echo out; echo err >&2", attach=BOTH)
    output, _ = collect(client)
    assert output == {STDOUT: b"out\n", STDERR: b"err\n"}


def test_bytes_pass_unchanged_both_ways(container: Supervised) -> None:
    data = bytes(range(256)) * 8192
    client = container.start("cat", attach=ALL, stdin=True, stdin_once=True)

    def feed() -> None:
        for start in range(0, len(data), 65536):
            client.send_stdin(data[start : start + 65536])
        client.send_stdin(b"")

    feeder = threading.Thread(target=feed)
    feeder.start()
    output, ended = collect(client)
    feeder.join()
    assert hashlib.sha256(output[STDOUT]).digest() == hashlib.sha256(data).digest()
    assert ended.exit_code == 0


def test_output_left_by_a_process_that_ended_is_delivered(container: Supervised) -> None:
    client = container.start("sh", "-c", "head -c 200000 /dev/zero", attach=BOTH)
    output, _ = collect(client)
    assert len(output[STDOUT]) == 200000


def test_a_process_in_the_background_does_not_delay_the_end(container: Supervised) -> None:
    client = container.start("sh", "-c", "sleep 100 & echo here", attach=BOTH)
    output, _ = collect(client)
    assert output[STDOUT] == b"here\n"


def test_stdin_is_empty_unless_it_is_asked_for(container: Supervised) -> None:
    output, ended = collect(container.start("cat", attach=ALL))
    assert (output[STDOUT], ended.exit_code) == (b"", 0)


def test_stdin_stays_open_when_a_client_leaves(container: Supervised) -> None:
    client = container.start("cat", attach=BOTH, stdin=True)
    for text in (b"one\n", b"two\n"):
        with container.connect() as visitor:
            visitor.attach(stdin=True)
            visitor.send_stdin(text)
            wait_output(visitor, text)
    container.connect().signal(signal.SIGKILL)
    assert collect(client)[0][STDOUT] == b"one\ntwo\n"


def test_stdin_once_ends_with_the_client_that_gave_it(container: Supervised) -> None:
    client = container.start("cat", attach=BOTH, stdin=True, stdin_once=True)
    with container.connect() as visitor:
        visitor.attach(stdin=True)
        visitor.send_stdin(b"last words")
    output, ended = collect(client)
    assert (output[STDOUT], ended.exit_code) == (b"last words", 0)


def test_all_who_are_attached_get_the_same(container: Supervised) -> None:
    client = container.start("cat", attach=BOTH, stdin=True, stdin_once=True)
    visitors = [container.connect() for _ in range(5)]
    for visitor in visitors:
        visitor.attach()
    giver = container.connect()
    giver.attach(stdin=True, stdout=False, stderr=False)
    giver.send_stdin(b"for all\n")
    giver.send_stdin(b"")
    for visitor in visitors:
        assert wait_output(visitor, b"for all\n") == b"for all\n"
        assert visitor.next_event("exited") is not None
    assert collect(client)[0][STDOUT] == b"for all\n"
    assert all(stream == CONTROL for stream, _ in events(giver))


def test_only_the_streams_that_were_asked_for_are_delivered(container: Supervised) -> None:
    client = container.start("sh", "-c", "echo out; echo err >&2", attach=("stderr",))
    assert collect(client)[0] == {STDOUT: b"", STDERR: b"err\n"}


def test_a_slow_reader_is_waited_for_and_loses_nothing(container: Supervised) -> None:
    size = 8 << 20
    client = container.start("head", "-c", str(size), "/dev/zero", attach=BOTH)
    until(lambda: _blocked(container), "the writer to wait")
    output, _ = collect(client)
    assert len(output[STDOUT]) == size


def test_a_reader_that_never_reads_does_not_stop_the_container(container: Supervised) -> None:
    size = 8 << 20
    script = f"read x; exec head -c {size} /dev/zero"
    client = container.start("sh", "-c", script, stdin=True, patience=0.2)
    sleeper = container.connect()
    sleeper.attach(stdin=True)
    sleeper.send_stdin(b"go\n")
    waiter = container.connect()
    assert waiter.wait().exit_code == 0
    arrived = list(events(sleeper))
    got = sum(len(content) for stream, content in arrived if stream == STDOUT)
    skipped = sum(
        content["bytes"] for stream, content in arrived
        if stream == CONTROL and content.get("event") == "skipped"
    )  # fmt: skip
    assert got < size
    assert got + skipped == size
    collect(client)


def _blocked(container: Supervised) -> bool:
    """Tell whether the container's process waits for somebody to read."""
    with open(f"/proc/{container.task['pid']}/syscall") as file:
        return file.read().split()[0] in ("1", "20")
