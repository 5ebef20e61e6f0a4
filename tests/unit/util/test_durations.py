from __future__ import annotations

import pytest

from knarr.util.durations import HOUR, MILLISECOND, MINUTE, SECOND, parse_duration, render_duration


@pytest.mark.parametrize(
    ("text", "nanoseconds", "rendered"),
    [
        ("0", 0, "0s"),
        ("5m", 5 * MINUTE, "5m0s"),
        ("1h15m30.918s", HOUR + 15 * MINUTE + 30 * SECOND + 918 * MILLISECOND, "1h15m30.918s"),
        ("-1.5h", -(HOUR + 30 * MINUTE), "-1h30m0s"),
        ("50ns", 50, "50ns"),
        (".5us", 500, "500ns"),
        ("1.5µs", 1500, "1.5µs"),
        ("20ms", 20 * MILLISECOND, "20ms"),
    ],
)
def test_as_go_does(text: str, nanoseconds: int, rendered: str) -> None:
    assert parse_duration(text) == nanoseconds
    assert render_duration(nanoseconds) == rendered
    assert parse_duration(rendered) == nanoseconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'invalid duration ""'),
        ("x", 'invalid duration "x"'),
        ("5", 'missing unit in duration "5"'),
        ("5d", 'unknown unit "d" in duration "5d"'),
        ("-", 'invalid duration "-"'),
    ],
)
def test_refusals_in_go_s_words(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_duration(text)
