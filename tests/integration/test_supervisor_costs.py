"""What a supervisor costs: its own processor time and memory, which hold on a busy machine."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.supervise import task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")
PIECE = 1 << 20
SIZE = 256 * PIECE


def supervisor(knarr: Knarr, name: str) -> int:
    fields = task.read(knarr.engine.paths.container(knarr.engine.containers.get(name).id))
    assert fields
    pid: int = fields["supervisor_pid"]
    return pid


def busy(pid: int) -> float:
    """Return the seconds of processor time that a process had so far."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def switches(pid: int) -> int:
    """Return how often a process woke up so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def test_an_idle_one_never_wakes_up(knarr: Knarr) -> None:
    knarr("run", "-d", *NONE, "--name", "one", "busybox", "sleep", "1000")
    pid = supervisor(knarr, "one")
    time.sleep(0.5)  # what the start left to do
    before = switches(pid)
    time.sleep(2)
    assert switches(pid) == before


@pytest.mark.parametrize("options", [(), ("-i", "--restart", "always"), ("-it",)], ids=str)
def test_its_own_memory_is_below_six_megabytes(knarr: Knarr, options: tuple[str, ...]) -> None:
    knarr("run", "-d", *NONE, *options, "--name", "one", "busybox", "sleep", "1000")
    lines = Path(f"/proc/{supervisor(knarr, 'one')}/smaps_rollup").read_text().splitlines()[1:]
    fields = {line.split()[0]: int(line.split()[1]) for line in lines}
    assert fields["Private_Clean:"] + fields["Private_Dirty:"] < 6 * 1024


def pieces(block: bytes) -> Iterator[bytes]:
    """Yield SIZE bytes, no two megabytes of which are alike."""
    for number in range(SIZE // PIECE):
        yield block[number:] + block[:number]


def test_a_hundred_megabytes_a_second_pass_unharmed(knarr: Knarr) -> None:
    """Of its processor time, which is what decides how much can pass."""
    words = ("run", "-i", "--name", "one", *NONE, "--log-driver", "none", "busybox", "cat")
    client = knarr.start(*words)
    stdin, stdout, block = client.stdin, client.stdout, os.urandom(PIECE)
    assert stdin
    assert stdout

    def give() -> None:
        for piece in pieces(block):
            stdin.write(piece)
        stdin.close()

    giver = threading.Thread(target=give)
    giver.start()
    first = stdout.read(1)
    pid = supervisor(knarr, "one")
    arrived = hashlib.sha256(first)
    for _ in range(SIZE // PIECE - 1):
        arrived.update(stdout.read(PIECE))
    cost = busy(pid)
    arrived.update(stdout.read())
    giver.join()
    assert client.wait(30) == 0
    stdout.close()
    assert client.stderr
    client.stderr.close()
    sent = hashlib.sha256()
    for piece in pieces(block):
        sent.update(piece)
    assert arrived.digest() == sent.digest()
    assert cost < SIZE / 100e6


def test_a_thousand_lines_a_second_take_two_percent_of_a_core(knarr: Knarr) -> None:
    burst = "for i in 0 1 2 3 4 5 6 7 8 9; do echo a line of a program that is talkative; done"
    script = f'while [ -z "$stop" ]; do {burst}; usleep 10000; done'
    knarr("run", "-d", *NONE, "--name", "one", "busybox", "sh", "-c", script)
    pid = supervisor(knarr, "one")
    time.sleep(0.5)

    def lines() -> int:
        return len(knarr("logs", "one").splitlines())

    first, before, started = lines(), busy(pid), time.monotonic()
    time.sleep(4)
    cost, seconds, count = busy(pid) - before, time.monotonic() - started, lines() - first
    knarr("rm", "-f", "one")
    assert count > 200 * seconds  # the machine may be too busy for more
    assert cost < 0.02 * count / 1000
