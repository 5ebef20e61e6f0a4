"""Reading logs: the tail, points in time, rotation at any moment, torn and foreign entries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knarr.engine.logs import LogOptions, Reader, Renderer, read_log
from knarr.supervise.logs import JsonFile
from knarr.supervise.messages import STDERR, STDOUT
from knarr.supervise.messages import LogOptions as Written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECOND = 10**9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def write(path: Path, *texts: str, size: int = 0, files: int = 1, stream: int = STDOUT) -> None:
    log = JsonFile(Written(path=str(path), max_size=size, max_file=files))
    for text in texts:
        log.write(stream, text.encode())
    log.close()


def read(path: Path, **options: object) -> list[str]:
    wanted = LogOptions(**options)  # type: ignore[arg-type]
    return [entry.text for entry in read_log(str(path), wanted, going=_no) if entry]


def _no() -> bool:
    return False


def entry(text: str, seconds: int, when: str = "") -> bytes:
    time = when or f"2026-01-01T00:00:{seconds:02}.000000000Z"
    return json.dumps({"log": text, "stream": "stdout", "time": time}).encode() + b"\n"


START = 1767225600 * SECOND


def test_all_files_are_read_oldest_first(path: Path) -> None:
    write(path, *[f"{n}\n" for n in range(100)], size=1000, files=100)
    assert len(list(path.parent.iterdir())) > 5
    assert read(path) == [f"{n}\n" for n in range(100)]


@pytest.mark.parametrize("tail", [0, 1, 5, 13, 14, 99, 100, 1000])
@pytest.mark.parametrize("size", [0, 1000])
def test_the_tail_is_counted_over_files(path: Path, tail: int, size: int) -> None:
    write(path, *[f"{n}\n" for n in range(100)], size=size, files=100)
    assert read(path, tail=tail) == [f"{n}\n" for n in range(max(0, 100 - tail), 100)]


def test_a_tail_of_long_entries(path: Path) -> None:
    write(path, *["x" * 16000 + "\n"] * 20, "last\n")
    assert [len(text) for text in read(path, tail=3)] == [16001, 16001, 5]


def test_a_log_that_was_never_written(path: Path) -> None:
    assert read(path) == []
    assert read(path, tail=3) == []


def test_points_in_time(path: Path) -> None:
    path.write_bytes(b"".join(entry(f"{n}\n", n) for n in range(10)))
    assert read(path, since_ns=START + 7 * SECOND) == ["7\n", "8\n", "9\n"]
    assert read(path, until_ns=START + 2 * SECOND) == ["0\n", "1\n"]
    middle = read(path, since_ns=START + 3 * SECOND, until_ns=START + 5 * SECOND)
    assert middle == ["3\n", "4\n"]


def test_times_as_docker_writes_them(path: Path) -> None:
    path.write_bytes(entry("old\n", 0, "2026-01-01T00:00:01.5Z") + entry("new\n", 3))
    assert read(path, since_ns=START + 2 * SECOND) == ["new\n"]
    shown = Renderer(timestamps=True)
    (first, _) = read_log(str(path), LogOptions(), going=_no)
    assert first
    assert shown.render(first) == b"2026-01-01T00:00:01.500000000Z old\n"


@pytest.mark.parametrize(
    "garbage",
    [b'{"log":"half', b"noise\n", b"[]\n", b'{"log":1}\n', b"\xff\xfe\n", b"{}\n", b"\n"],
)
def test_what_is_no_entry_is_left_out(path: Path, garbage: bytes) -> None:
    path.write_bytes(entry("a\n", 1) + garbage)
    assert read(path) == ["a\n"]


def test_garbage_in_between_hides_nothing(path: Path) -> None:
    path.write_bytes(entry("a\n", 1) + b'{"log":"torn\n' + entry("b\n", 2))
    assert read(path) == ["a\n", "b\n"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=30), st.integers(2, 6))
def test_a_reader_sees_every_line_once_while_files_rotate(
    tmp_path: Path, steps: list[int], every: int
) -> None:
    """Lines are written in steps; the reader looks after every few of them."""
    path = tmp_path / "log"
    for old in tmp_path.iterdir():
        old.unlink()
    log = JsonFile(Written(path=str(path), max_size=700, max_file=100))
    reader = Reader(str(path), None)
    seen: list[str] = []
    number = 0
    for step, count in enumerate(steps):
        for _ in range(count):
            log.write(STDOUT, b"%d\n" % number)
            number += 1
        if step % every == 0:
            seen += [json.loads(line)["log"] for line in reader.lines()]
    log.close()
    seen += [json.loads(line)["log"] for line in reader.lines()]
    reader.close()
    assert seen == [f"{n}\n" for n in range(number)]


def test_following_ends_with_the_container(path: Path) -> None:
    write(path, "first\n")
    left = ["second\n", "third\n"]

    def going() -> bool:
        if left:
            write(path, left.pop(0))
            return True
        return False

    assert _follow(path, going) == ["first\n", "second\n", "third\n"]


def test_following_over_a_rotation(path: Path) -> None:
    numbers = iter(range(1, 40))

    def going() -> bool:
        number = next(numbers, None)
        if number is not None:
            write(path, f"{number}\n", size=300, files=50)
        return number is not None

    write(path, "0\n")
    assert _follow(path, going) == [f"{n}\n" for n in range(40)]


def _follow(path: Path, going: Callable[[], bool]) -> list[str]:
    wanted = LogOptions(follow=True)
    return [entry.text for entry in read_log(str(path), wanted, going=going) if entry]


def test_details_stand_in_front(path: Path) -> None:
    log = JsonFile(Written(path=str(path), attributes=(("b", "2 3"), ("a", "1"))))
    log.write(STDERR, b"text\n")
    log.close()
    (found,) = read_log(str(path), LogOptions(), going=_no)
    assert found
    assert Renderer(details=True).render(found) == b"a=1,b=2+3 text\n"


def test_a_part_of_a_line_has_no_time_in_the_middle(path: Path) -> None:
    write(path, "x" * 20000 + "\n", "next\n")
    renderer = Renderer(timestamps=True)
    entries = [e for e in read_log(str(path), LogOptions(), going=_no) if e]
    shown = b"".join(map(renderer.render, entries))
    lines = shown.split(b"\n")
    assert len(entries) == 3
    assert [len(line) for line in lines] == [31 + 20000, 31 + 4, 0]
