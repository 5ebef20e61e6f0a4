from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr.errors import InvalidArgument
from knarr.util.times import SECOND_NS, parse_rfc3339, parse_when, render_rfc3339

NOW = 1_700_000_000 * SECOND_NS


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_700_000_000_000_000_001, "2023-11-14T22:13:20.000000001Z"),
        (1_700_000_000_500_000_000, "2023-11-14T22:13:20.5Z"),
        (951_782_400 * SECOND_NS, "2000-02-29T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
    ],
)
def test_rfc3339(when: int, text: str) -> None:
    assert render_rfc3339(when) == text
    assert parse_rfc3339(text) == when


@given(st.integers(-62_135_596_800 * SECOND_NS, 253_402_300_799 * SECOND_NS))
def test_what_is_rendered_parses(when: int) -> None:
    assert parse_rfc3339(render_rfc3339(when)) == when


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2023-11-14T23:13:20+01:00", 1_700_000_000),
        ("2023-11-14T17:43:20-04:30", 1_700_000_000),
        ("2023-11-14t22:13:20z", 1_700_000_000),
    ],
)
def test_zones(text: str, seconds: int) -> None:
    assert parse_rfc3339(text) == seconds * SECOND_NS


@pytest.mark.parametrize(
    "text",
    ["", "x", "2023-11-14", "2023-13-01T00:00:00Z", "2023-02-29T00:00:00Z", "2023-1-1T00:00:00Z",
     "2023-11-14T24:00:00Z", "2023-11-14T22:13:20", "2023-11-14T22:13:20.Z",
     "2023-11-14T22:13:20+1:00"],
)  # fmt: skip
def test_impossible_times(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid time"):
        parse_rfc3339(text)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("1699999999", NOW - SECOND_NS),
        ("1699999999.25", NOW - SECOND_NS * 3 // 4),
        ("10m", NOW - 600 * SECOND_NS),
        ("1h30m", NOW - 5400 * SECOND_NS),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T22:13:20.5Z", NOW + SECOND_NS // 2),
    ],
)
def test_since(text: str, when: int) -> None:
    assert parse_when(text, now_ns=NOW) == when


@pytest.mark.parametrize("text", ["2023-11-14", "2023-11-14T12", "2023-07-14T12:30"])
def test_times_without_zone_are_local(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT-2")
    time.tzset()
    try:
        parsed = parse_when(text, now_ns=NOW)
    finally:
        monkeypatch.undo()
        time.tzset()
    full = text + "2023-11-14T00:00:00"[len(text) :]
    assert parsed == parse_rfc3339(f"{full}+02:00")


@pytest.mark.parametrize("text", ["", "yesterday", "5x", "2023-11-1", "1.5.5"])
def test_what_since_refuses(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid time"):
        parse_when(text, now_ns=NOW)
