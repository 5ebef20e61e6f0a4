from __future__ import annotations

import pytest

from knarr.util.suggest import closest, did_you_mean, distance, nearest


@pytest.mark.parametrize(
    ("one", "other", "edits"),
    [
        ("", "", 0),
        ("a", "", 1),
        ("kitten", "sitting", 3),
        ("form", "from", 1),
        ("rnu", "run", 1),
        ("ab", "ab", 0),
    ],
)
def test_distance(one: str, other: str, edits: int) -> None:
    assert distance(one, other) == edits


def test_answer_is_written_as_the_question() -> None:
    choices = ["FROM", "RUN", "COPY"]
    assert nearest("form", choices, case_sensitive=False) == "from"
    assert nearest("FORM", choices, case_sensitive=False) == "FROM"
    assert did_you_mean("CPOY", choices) == " (did you mean COPY?)"


def test_far_and_equal_words_get_no_answer() -> None:
    assert nearest("pull", ["inspect"]) == ""
    assert did_you_mean("RUN", ["RUN", "RUM"]) == ""


def test_closest_gives_all_that_are_near() -> None:
    assert closest("strat", ["start", "stats", "stop"]) == ["start", "stats"]
    assert closest("xyzzy", ["start"]) == []
    assert closest("rnu", ["rm", "rmi", "run"]) == ["run"]
