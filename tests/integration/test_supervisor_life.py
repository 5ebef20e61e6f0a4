"""Restarts, terminals, logs, owners, and clients that behave badly."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from knarr import errors
from knarr.supervise import frames, task
from knarr.supervise.messages import CONTROL, STDIN, STDOUT, LogOptions, RestartPolicy
from support.supervised import Supervised, collect, events, until, wait_output

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.root

BOTH = ("stdout", "stderr")
ALL = ("stdin", "stdout", "stderr")


def quick(name: str, retries: int = 0) -> RestartPolicy:
    return RestartPolicy(name, retries, minimum_delay=0.01, maximum_delay=0.02)


# restarts


def test_on_failure_starts_again_as_often_as_it_says(container: Supervised) -> None:
    client = container.start(
        "sh", "-c", "echo run; exit 5", attach=BOTH, restart=quick("on-failure", 3)
    )
    output, ended = collect(client)
    assert output[STDOUT] == b"run\n" * 4
    assert ended.exit_code == 5
    assert container.task["restart_count"] == 3
    assert container.log_path.read_text().count("run") == 4


def test_success_is_no_failure(container: Supervised) -> None:
    client = container.start("sh", "-c", "echo run", attach=BOTH, restart=quick("on-failure"))
    assert collect(client)[0][STDOUT] == b"run\n"


def test_a_wanted_end_is_the_end(container: Supervised) -> None:
    client = container.start("sleep", "100", restart=quick("always"))
    side = container.connect()
    side.stopping()
    side.signal(signal.SIGKILL)
    assert collect(client)[1].exit_code == 137
    assert container.task["manually_stopped"]


def test_an_unwanted_end_is_not(container: Supervised) -> None:
    client = container.start("sh", "-c", "echo $$; sleep 100", attach=BOTH, restart=quick("always"))
    wait_output(client, b"1\n")
    container.connect().signal(signal.SIGKILL)
    wait_output(client, b"1\n")
    until(lambda: container.task["status"] == "running", "the second run")
    assert container.task["restart_count"] == 1
    side = container.connect()
    side.stopping()
    side.signal(signal.SIGKILL)
    collect(client)


def test_stopping_between_two_runs_ends_it(container: Supervised) -> None:
    policy = RestartPolicy("always", minimum_delay=1000, maximum_delay=1000)
    client = container.start("false", restart=policy)
    until(lambda: container.task["status"] == "restarting", "the pause between two runs")
    assert container.task["next_start_ns"] > container.task["finished_ns"]
    container.connect().stopping()
    assert collect(client)[1].exit_code == 1
    assert container.task["status"] == "exited"


def test_the_network_namespace_outlives_a_run(container: Supervised) -> None:
    client = container.start(
        "sh", "-c", "readlink /proc/self/ns/net; exit 1",
        attach=BOTH, restart=quick("on-failure", 2),
    )  # fmt: skip
    lines = collect(client)[0][STDOUT].split()
    assert len(lines) == 3
    assert len(set(lines)) == 1


def test_a_policy_can_be_changed(container: Supervised) -> None:
    client = container.start("sleep", "100", restart=quick("always"))
    side = container.connect()
    side.set_restart_policy(RestartPolicy())
    side.signal(signal.SIGKILL)
    assert collect(client)[1].exit_code == 137


# terminals


def test_a_terminal_is_one(container: Supervised) -> None:
    client = container.start(
        "sh", "-c", "tty; stty size; echo err >&2", attach=BOTH, terminal=True, window=(33, 99)
    )
    assert collect(client)[0][STDOUT] == b"/dev/pts/0\r\n33 99\r\nerr\r\n"


def test_keys_are_signals(container: Supervised) -> None:
    client = container.start(
        "sh", "-c", "trap 'echo caught; exit 9' INT; echo ready; read x",
        attach=ALL, stdin=True, terminal=True,
    )  # fmt: skip
    wait_output(client, b"ready")
    client.send_stdin(b"\x03")
    output, ended = collect(client)
    assert b"caught" in output[STDOUT]
    assert ended.exit_code == 9


def test_all_output_of_a_terminal_is_delivered_at_its_end(container: Supervised) -> None:
    client = container.start("seq", "20000", attach=BOTH, terminal=True)
    lines = collect(client)[0][STDOUT].split()
    assert lines == [b"%d" % number for number in range(1, 20001)]


# logs


def test_a_log_is_rotated_while_a_container_writes(container: Supervised) -> None:
    options = LogOptions(max_size=50_000, max_file=4)
    collect(container.start("seq", "3000", log=options))
    files = [*container.bundle_dir.glob("*.log.*"), container.log_path]
    files.sort(key=lambda path: path.name, reverse=True)  # ….log.3, ….log.2, ….log.1, ….log
    assert len(files) == 4
    numbers = [int(entry["log"]) for path in files for entry in entries(path)]
    assert numbers == list(range(numbers[0], 3001))


def test_a_prompt_is_in_the_log_before_it_is_answered(container: Supervised) -> None:
    client = container.start("sh", "-c", "printf name:; read x", stdin=True, attach=ALL)
    until(lambda: b"name:" in container.log_path.read_bytes(), "the prompt in the log")
    client.send_stdin(b"x\n")
    collect(client)


def test_a_full_disk_does_not_stop_a_container(container: Supervised) -> None:
    client = container.start("seq", "1000", attach=BOTH, trace="log:write=enospc")
    output, ended = collect(client)
    assert (len(output[STDOUT].split()), ended.exit_code) == (1000, 0)
    assert container.log_path.read_bytes() == b""


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


# who cleans up


def test_an_owner_that_leaves_is_replaced(container: Supervised) -> None:
    client = container.start("sleep", "100")
    pid = container.supervisor_pid
    client.close()
    container.connect().signal(signal.SIGKILL)
    until(lambda: not task.start_time(pid), "the supervisor's end")
    assert not container.control_dir.exists()
    assert (container.root / "knarr.db").exists()  # the engine's clean-up was here


def test_without_an_owner_the_engine_cleans_up(container: Supervised) -> None:
    client = container.start("true", owner=False)
    assert client.next_event("exited") is not None
    client.drain()
    assert not container.control_dir.exists()
    assert (container.root / "knarr.db").exists()


def test_who_waits_is_answered(container: Supervised) -> None:
    client = container.start("sh", "-c", "read x; exit 6", stdin=True, attach=("stdin",))
    side = container.connect()
    side.send({"do": "wait", "n": 1, "condition": "not-running"})
    side.send({"do": "wait", "n": 2, "condition": "next-exit"})
    side.send({"do": "wait", "n": 3, "condition": "removed"})
    side.send({"do": "state", "n": 4})
    answered = events(side)
    answers = [next(answered)[1]]  # it has heard all four
    client.send_stdin(b"\n")
    client.next_event("exited")
    client.cleaned(removed=True)
    answers += [content for _, content in answered]
    assert [(a["n"], a.get("exit_code")) for a in answers] == [(4, None), (1, 6), (2, 6), (3, 6)]


# bad clients


@pytest.mark.parametrize(
    "message",
    [
        {"do": "nonsense"},
        {},
        {"do": "resize"},
        {"do": "resize", "height": "x", "width": 5},
        {"do": "resize", "height": 10**9, "width": 5},
        {"do": "signal", "signal": 0},
        {"do": "signal", "signal": "9"},
        {"do": "wait", "condition": "never"},
        {"do": "exec-create", "process": "sh"},
        {"do": "exec-start", "exec": []},
        {"do": "exec-start", "exec": "00"},
        {"do": "restarts", "policy": 7},
        {"do": ["attach"]},
        {"do": "start"},
    ],
    ids=str,
)
def test_a_wrong_request_is_answered_with_an_error(
    container: Supervised, message: dict[str, Any]
) -> None:
    client = container.start("sleep", "100")
    side = container.connect()
    with pytest.raises(errors.KnarrError):
        side.request(**{"do": "", **message})
    side.signal(signal.SIGKILL)
    assert collect(client)[1].exit_code == 137


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff" * 1000,
        frames.header(CONTROL, 1 << 31),
        frames.header(STDIN, 1 << 31) + b"x" * 100_000,
        frames.frame(CONTROL, b"[" * 100_000),
        frames.header(CONTROL, 100)[:5],
    ],
    ids=["http", "noise", "long", "input", "deep", "cut"],
)
def test_garbage_ends_its_connection_alone(container: Supervised, data: bytes) -> None:
    client = container.start("sleep", "100", stdin=True)
    with socket.socket(fileno=os.dup(container.connect().fileno())) as rude:
        rude.settimeout(None)
        try:
            rude.sendall(data)
        except BrokenPipeError:
            pass
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    container.connect().signal(signal.SIGKILL)
    assert collect(client)[1].exit_code == 137


def test_the_socket_is_for_its_owner_alone(container: Supervised) -> None:
    client = container.start("sleep", "100")
    assert (container.control_dir / "sock").stat().st_mode & 0o777 == 0o600
    container.connect().signal(signal.SIGKILL)
    collect(client)


def test_a_path_longer_than_an_address(tmp_path: Path, busybox_rootfs: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    container = Supervised(deep, busybox_rootfs)
    client = container.start("cat", stdin=True, attach=ALL)
    side = container.connect()
    side.signal(signal.SIGKILL)
    assert collect(client)[1].exit_code == 137
    container.clean_up()
