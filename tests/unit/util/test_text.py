from __future__ import annotations

import pytest

from knarr.errors import InvalidArgument
from knarr.util.text import (
    binary_size,
    ellipsis,
    human_duration,
    human_size,
    parse_billionths,
    parse_size,
)

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (7_812_345, "7.812MB"),
        (117_000_000, "117MB"),
        (1_234_567_890, "1.235GB"),
        (999_999, "1000kB"),
    ],
)
def test_human_size(size: int, text: str) -> None:
    assert human_size(size) == text


def test_human_size_with_three_digits() -> None:
    assert human_size(7_812_345, precision=3) == "7.81MB"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (1024, "1KiB"), (64 << 20, "64MiB"), (2087354105, "1.944GiB"), (1023, "1023B")],
)
def test_binary_size(size: int, text: str) -> None:
    assert binary_size(size) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", 512),
        ("0", 0),
        ("1b", 1),
        ("64m", 64 << 20),
        ("64M", 64 << 20),
        ("64MB", 64 << 20),
        ("64MiB", 64 << 20),
        ("1.5g", 3 << 29),
        ("10 kb", 10 << 10),
        ("2t", 2 << 40),
        ("0.5k", 512),
    ],
)
def test_parse_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "m", "-1", "1.", "1.2.3", "1 m b", "m1", "٣", "9999999t", ".5g", "1e3"]
)
def test_impossible_sizes(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid size: '"):
        parse_size(text)


def test_a_unit_that_does_not_exist() -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid suffix: 'x'"):
        parse_size("1x")


@pytest.mark.parametrize(
    ("text", "billionths"),
    [
        ("1", 10**9),
        ("1.5", 1_500_000_000),
        (".25", 250_000_000),
        ("0.000000001", 1),
        ("-2", -2 * 10**9),
        ("1/2", 500_000_000),
        ("5e-1", 500_000_000),
        ("1e3", 10**12),
    ],
)
def test_parse_billionths(text: str, billionths: int) -> None:
    assert parse_billionths(text) == billionths


@pytest.mark.parametrize("text", ["", ".", "a", "1.x", "--1", "0.0000000001", "1/3", "1/0"])
def test_impossible_decimals(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_billionths(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"),
        (0.99, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (59 * MINUTE + 59, "59 minutes"),
        (HOUR, "About an hour"),
        (HOUR + 29 * MINUTE, "About an hour"),
        (HOUR + 31 * MINUTE, "2 hours"),
        (47 * HOUR, "47 hours"),
        (2 * DAY, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_human_duration(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_ellipsis_counts_itself() -> None:
    assert ellipsis("abcdef", 4) == "abc…"
    assert ellipsis("abcd", 4) == "abcd"
    assert ellipsis("abcd", 0) == ""
