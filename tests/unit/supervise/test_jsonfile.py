"""The codec of the log: the entries of a stream are the stream, as a reader of JSON sees them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr.supervise.jsonfile import LINE_LIMIT, Encoder, note, rfc3339
from knarr.supervise.messages import STDERR, STDOUT

NOW = 1_700_000_000_000_000_042
TEXT = st.text(alphabet=st.sampled_from('a\n\\"n\x7f\r\t\x00é€😀\u2028')) | st.text()


def entries(data: bytes) -> list[dict[str, Any]]:
    assert not data or data.endswith(b"\n")
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def encode(*pieces: bytes) -> list[dict[str, Any]]:
    encoder = Encoder(STDOUT)
    data = b"".join(encoder.encode(piece, NOW) for piece in pieces)
    return entries(data + encoder.flush(NOW))


@given(st.lists(TEXT))
def test_the_entries_are_the_stream(texts: list[str]) -> None:
    pieces = [text.encode("utf-8", "surrogatepass") for text in texts]
    whole = b"".join(pieces)
    assert "".join(entry["log"] for entry in encode(*pieces)) == whole.decode("utf-8", "replace")


@given(st.binary(), st.integers(1, 8))
def test_an_entry_is_a_line(data: bytes, size: int) -> None:
    cut = [data[start : start + size] for start in range(0, len(data), size)]
    logs = [entry["log"] for entry in encode(*cut)]
    lines = [line.decode("utf-8", "replace") for line in data.splitlines(keepends=True)]
    assert "".join(logs) == "".join(lines)
    assert [log for log in logs if log.count("\n") > 1 or "\n" in log[:-1]] == []


def test_an_entry_has_dockers_fields_in_dockers_order() -> None:
    (entry,) = encode(b"hello\n")
    assert list(entry.items()) == [
        ("log", "hello\n"),
        ("stream", "stdout"),
        ("time", "2023-11-14T22:13:20.000000042Z"),
    ]


def test_attributes_stand_in_every_entry() -> None:
    encoder = Encoder(STDERR, (("tag", 'a"b'),))
    assert [entry["attrs"] for entry in entries(encoder.encode(b"1\n2\n", NOW))] == [
        {"tag": 'a"b'}
    ] * 2


def test_an_unfinished_line_waits_for_its_end() -> None:
    encoder = Encoder(STDOUT)
    assert encoder.encode(b"half", NOW) == b""
    assert encoder.pending == 4
    assert [e["log"] for e in entries(encoder.encode(b" whole\nnext", NOW))] == ["half whole\n"]
    assert [e["log"] for e in entries(encoder.flush(NOW))] == ["next"]
    assert encoder.flush(NOW) == b""


@pytest.mark.parametrize(
    "size", [LINE_LIMIT - 1, LINE_LIMIT, LINE_LIMIT + 1, 3 * LINE_LIMIT, 100_000]
)
def test_long_lines_are_cut_as_docker_cuts_them(size: int) -> None:
    logs = [e["log"] for e in encode(b"short\n" + b"x" * size + b"\nafter\n")]
    assert logs[0] == "short\n"
    assert logs[-1] == "after\n"
    long = logs[1:-1]
    assert "".join(long) == "x" * size + "\n"
    assert [len(log) for log in long[:-1]] == [LINE_LIMIT] * (size // LINE_LIMIT)


@given(st.integers(0, 3))
def test_a_cut_does_not_hurt_a_character(offset: int) -> None:
    text = "x" * offset + "€" * LINE_LIMIT + "\n"
    assert "".join(e["log"] for e in encode(text.encode())) == text


def test_a_note_is_an_entry_of_stderr() -> None:
    (entry,) = entries(note("lost", NOW))
    assert (entry["log"], entry["stream"], entry["attrs"]) == (
        "lost\n",
        "stderr",
        {"knarr": "note"},
    )


@given(st.lists(st.integers(0, 2**62), min_size=2, max_size=2))
def test_times_compare_as_text(times: list[int]) -> None:
    one, other = (rfc3339(time % (253402300800 * 10**9)) for time in sorted(times))
    if sorted(times)[1] < 253402300800 * 10**9:
        assert one <= other
