"""Detach keys, and the pump between descriptors and a connection."""

from __future__ import annotations

import _socket
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr.engine.attach import Detacher, Pump
from knarr.supervise import frames
from knarr.supervise.control import Client, Exit
from knarr.supervise.messages import STDERR, STDIN, STDOUT

KEYS = b"\x10\x11"


def feed(detacher: Detacher, *pieces: bytes) -> tuple[bytes, bool]:
    passed = b""
    for piece in pieces:
        data, detached = detacher.take(piece)
        passed += data
        if detached:
            return passed, True
    return passed, False


@pytest.mark.parametrize(
    ("pieces", "passed", "detached"),
    [
        ((b"abc",), b"abc", False),
        ((b"abc\x10\x11def",), b"abc", True),
        ((b"abc\x10", b"\x11"), b"abc", True),
        ((b"\x10",), b"", False),
        ((b"\x10", b"x"), b"\x10x", False),
        ((b"\x10\x10\x11",), b"\x10", True),
        ((b"\x10x\x11",), b"\x10x\x11", False),
        ((b"\x11\x10",), b"\x11", False),
    ],
)
def test_keys(pieces: tuple[bytes, ...], passed: bytes, detached: bool) -> None:
    assert feed(Detacher(KEYS), *pieces) == (passed, detached)


def test_a_single_key() -> None:
    assert feed(Detacher(b"\x1d"), b"ab\x1dc") == (b"ab", True)


@given(st.lists(st.binary(max_size=20)))
def test_without_keys_everything_passes(pieces: list[bytes]) -> None:
    assert feed(Detacher(b""), *pieces) == (b"".join(pieces), False)


@given(st.lists(st.sampled_from([b"\x10", b"\x11", b"a", b"\x10\x11"])), st.integers(1, 3))
def test_the_cut_does_not_matter(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    cut = [data[start : start + size] for start in range(0, len(data), size)]
    assert feed(Detacher(KEYS), *cut) == feed(Detacher(KEYS), data)


class Rig:
    """A pump with pipes, and the supervisor's end of its connection."""

    def __init__(self, data: bytes = b"", detach_keys: bytes = b"") -> None:
        ours, theirs = _socket.socketpair()
        self.theirs = theirs
        self.client = Client(ours)
        stdin, feeder = os.pipe()
        os.write(feeder, data)
        os.close(feeder)
        self.out, out = os.pipe()
        self.err, err = os.pipe()
        self.open = [stdin, self.out, self.err, out, err]
        self.events: list[dict[str, object]] = []
        self.pump = Pump(
            self.client, stdin=stdin, stdout=out, stderr=err, detach_keys=detach_keys,
            on_event=self.events.append,
        )  # fmt: skip

    def send(self, *pieces: bytes) -> None:
        self.theirs.sendall(b"".join(pieces))

    def close(self) -> None:
        for descriptor in self.open:
            os.close(descriptor)
        self.client.close()
        self.theirs.close()


EXITED = frames.control({"event": "exited", "exit_code": 3, "oom_killed": False})


def test_output_goes_where_it_belongs_and_the_exit_ends_it() -> None:
    rig = Rig()
    rig.send(frames.frame(STDOUT, b"out"), frames.frame(STDERR, b"err"), EXITED)
    assert rig.pump.run().exit == Exit(3)
    assert (os.read(rig.out, 10), os.read(rig.err, 10)) == (b"out", b"err")
    rig.close()


def test_input_is_sent_and_its_end_told() -> None:
    rig = Rig(b"hello")
    received: list[tuple[int, object]] = []

    def supervise() -> None:
        reader = frames.FrameReader()
        while (STDIN, b"") not in received:
            received.extend(reader.feed(rig.theirs.recv(100)))
        rig.send(EXITED)

    supervisor = threading.Thread(target=supervise)
    supervisor.start()
    assert rig.pump.run().exit == Exit(3)
    supervisor.join()
    assert received == [(STDIN, b"hello"), (STDIN, b"")]
    rig.close()


def test_detach_keys_leave() -> None:
    rig = Rig(b"ab\x10\x11", KEYS)
    assert rig.pump.run().detached
    rig.close()


def test_the_end_of_the_connection_is_neither() -> None:
    rig = Rig()
    rig.theirs.shutdown(_socket.SHUT_WR)
    outcome = rig.pump.run()
    assert (outcome.exit, outcome.detached) == (None, False)
    rig.close()


def test_other_events_are_told() -> None:
    rig = Rig()
    rig.send(frames.control({"event": "skipped", "bytes": 7}), EXITED)
    rig.pump.run()
    assert rig.events == [{"event": "skipped", "bytes": 7}]
    rig.close()
