"""Filters mean what they mean to Docker."""

from __future__ import annotations

import pytest

from knarr.engine.filters import boolean, matches_labels, parse_filters, path_match
from knarr.errors import InvalidArgument


def test_parsing() -> None:
    found = parse_filters(["label=a=b", "LABEL = c", "dangling=true"], {"label", "dangling"})
    assert found == {"label": ["a=b", "c"], "dangling": ["true"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [("label", "bad format of filter"), ("lable=x", "invalid filter 'lable'")],
)
def test_faults(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        parse_filters([text], {"label"})


def test_booleans() -> None:
    assert boolean("x", ["1", "true", "T"])
    assert not boolean("x", ["False"])
    for values in (["yes"], ["true", "false"]):
        with pytest.raises(InvalidArgument):
            boolean("x", values)


def test_labels() -> None:
    labels = {"a": "1", "b": ""}
    assert matches_labels(["a", "a=1", "b", "b="], labels)
    assert matches_labels([], labels)
    assert not matches_labels(["a", "c"], labels)
    assert not matches_labels(["a="], labels)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("deb*", "debian", True),
        ("*", "debian:12", True),
        ("*", "me/app", False),
        ("*/*", "me/app", True),
        ("d?bian", "debian", True),
        ("d?bian", "d/bian", False),
        ("[a-d]ebian", "debian", True),
        ("[^a-d]ebian", "debian", False),
        ("[]", "x", None),
        ("[", "x", None),
        ("x\\", "x", None),
        (r"x\*", "x*", True),
        (r"x\*", "xy", False),
        ("a.c", "abc", False),
        ("[[]", "[", True),
    ],
)
def test_patterns(pattern: str, text: str, *, matches: bool | None) -> None:
    if matches is None:
        with pytest.raises(InvalidArgument, match="invalid pattern"):
            path_match(pattern, text)
    else:
        assert path_match(pattern, text) is matches
