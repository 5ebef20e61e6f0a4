"""The codec of the control connection: what goes in comes out, however cut; garbage raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr.supervise.frames import FrameReader, control, frame, header
from knarr.supervise.messages import CONTROL, STDERR, STDIN, STDOUT

STREAMS = st.sampled_from([STDIN, STDOUT, STDERR])


def join(pieces: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Put neighbouring pieces of one stream together."""
    joined: list[tuple[int, bytes]] = []
    for stream, piece in pieces:
        if joined and joined[-1][0] == stream:
            joined[-1] = (stream, joined[-1][1] + piece)
        else:
            joined.append((stream, piece))
    return joined


def test_a_header_is_dockers() -> None:
    assert header(STDERR, 258) == b"\x02\0\0\0\0\0\1\2"


@given(st.lists(st.tuples(STREAMS, st.binary(max_size=50))), st.integers(1, 20))
def test_frames_survive_any_cut(sent: list[tuple[int, bytes]], size: int) -> None:
    data = b"".join(frame(stream, payload) for stream, payload in sent)
    reader = FrameReader()
    got = [
        p for start in range(0, len(data), size) for p in reader.feed(data[start : start + size])
    ]
    assert join(got) == join(sent)


@given(st.dictionaries(st.text(), st.none() | st.integers(-(2**53), 2**53) | st.text()))
def test_messages_survive(message: dict[str, object]) -> None:
    assert list(FrameReader().feed(control(message))) == [(CONTROL, message)]


def test_an_empty_frame_of_input_is_told() -> None:
    assert list(FrameReader().feed(frame(STDIN, b""))) == [(STDIN, b"")]


def test_a_payload_is_handed_on_before_it_is_complete() -> None:
    assert list(FrameReader().feed(header(STDIN, 1 << 30) + b"abc")) == [(STDIN, b"abc")]


@given(st.binary(max_size=200))
def test_garbage_raises_value_error_or_is_a_frame(data: bytes) -> None:
    try:
        list(FrameReader().feed(data))
    except ValueError:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        header(4, 0),
        b"\0\1\0\0\0\0\0\0",
        header(CONTROL, 1 << 30),
        frame(CONTROL, b"{"),
        frame(CONTROL, b"[]"),
        frame(CONTROL, b"\xff"),
        frame(CONTROL, b"[" * 100_000),
    ],
    ids=["http", "stream", "zeros", "long", "truncated", "list", "latin", "deep"],
)
def test_what_is_not_a_frame_raises(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the class is the contract
        list(FrameReader().feed(data))
