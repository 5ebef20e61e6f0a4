"""What a build shows, from the events it tells."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest

from knarr.build.dockerfile.checks import Finding
from knarr.build.events import (
    Finished,
    Located,
    Noted,
    Printed,
    Started,
    Ticked,
    Warned,
)
from knarr.ui.progress import Display, Plain, Terminal, choose

if TYPE_CHECKING:
    from knarr.build.events import Event

EVENTS: list[tuple[float, Event]] = [
    (0.0, Started("a", "[1/2] FROM busybox")),
    (0.0, Finished("a", cached=True)),
    (0.5, Started("b", "[2/2] RUN make")),
    (1.0, Printed("b", 1, b"one\ntwo\nth")),
    (1.5, Printed("b", 1, b"ree\n\x1b[2J\x1b[31mred\x1b[0m\rlast\n")),
    (1.75, Noted("b", "waiting")),
    (2.0, Printed("b", 2, b"no end")),
    (2.5, Finished("b")),
    (2.5, Warned(Finding("Rule", "message", 3, 3), "Dockerfile")),
]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def play(display: Display, clock: Clock, events: list[tuple[float, Event]]) -> str:
    for clock.now, event in events:
        display(event)
    display.conclude()
    assert isinstance(display.stream, io.StringIO)
    return display.stream.getvalue()


def test_plain_lines_have_numbers_and_times() -> None:
    clock = Clock()
    assert play(Plain(io.StringIO(), clock), clock, EVENTS).splitlines() == [
        "#1 [1/2] FROM busybox",
        "#1 CACHED",
        "",
        "#2 [2/2] RUN make",
        "#2 0.500 one",
        "#2 0.500 two",
        "#2 1.000 three",
        "#2 1.000 last",
        "#2 waiting",
        "#2 2.000 no end",
        "#2 DONE 2.0s",
        "",
        " 1 warning found:",
        " - Rule: message (line 3)",
    ]


def test_failure_shows_the_output_again_and_the_place() -> None:
    clock = Clock()
    failed = [*EVENTS[2:4], (3.0, Finished("b", error="exit code: 1")), (3.0, Located("HERE\n"))]
    shown = play(Plain(io.StringIO(), clock), clock, failed)
    assert shown.endswith(
        "#1 ERROR: exit code: 1\n------\n > [2/2] RUN make:\none\ntwo\nth\n------\nHERE\n"
    )
    assert play(Display(io.StringIO(), clock), clock, failed).startswith("------\n > [2/2]")


def test_quiet_says_nothing_of_what_goes_well() -> None:
    clock = Clock()
    assert play(Display(io.StringIO(), clock), clock, EVENTS) == ""


def last_picture(shown: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9]*m", "", shown.rpartition("\x1b[J")[2]).splitlines()


def test_terminal_shows_what_runs_with_its_last_lines() -> None:
    clock = Clock()
    display = Terminal(io.StringIO(), clock, size=lambda: (40, 24))
    for clock.now, event in EVENTS[:5]:
        display(event)
    assert isinstance(display.stream, io.StringIO)
    assert last_picture(display.stream.getvalue()) == [
        "[+] Building 1.5s (1/2)",
        " => CACHED [1/2] FROM busybox      0.0s",
        " => [2/2] RUN make                 1.0s",
        " => => # one",
        " => => # two",
        " => => # three",
        " => => # last",
    ]
    display(Finished("b"))
    display.conclude()
    picture = last_picture(display.stream.getvalue())
    assert picture[0] == "[+] Building 1.5s (2/2) FINISHED"
    assert len(picture) == 3


def test_terminal_draws_over_what_it_drew() -> None:
    clock = Clock()
    display = Terminal(io.StringIO(), clock, size=lambda: (40, 24), colours=False)
    shown = play(display, clock, [(0.2, Started("a", "x")), (0.9, Ticked()), (0.95, Ticked())])
    assert shown.count("\x1b[2A\r\x1b[J") == 2


def test_terminal_leaves_out_what_does_not_fit() -> None:
    clock = Clock()
    display = Terminal(io.StringIO(), clock, size=lambda: (20, 5))
    for number in range(9):
        clock.now += 1
        display(Started(str(number), f"step {number} with a long name"))
    assert isinstance(display.stream, io.StringIO)
    picture = last_picture(display.stream.getvalue())
    assert len(picture) == 4
    assert picture[-1] == " => step 8 ...   0.0s"


@pytest.mark.parametrize(
    ("form", "kind"), [("auto", Plain), ("plain", Plain), ("tty", Terminal), ("quiet", Display)]
)
def test_choice(form: str, kind: type) -> None:
    assert type(choose(form, io.StringIO())) is kind
