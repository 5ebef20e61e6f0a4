from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr.registry.challenges import parse_challenges

TOKEN = 'Bearer realm="https://auth.test/token",service="registry.test"'


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("Basic", [("basic", {})]),
        ('Basic realm="a, b"', [("basic", {"realm": "a, b"})]),
        ('BASIC REALM="x"', [("basic", {"realm": "x"})]),
        (
            TOKEN + ',scope="repository:a/b:pull,push"',
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.test/token",
                        "service": "registry.test",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        ("Bearer realm=x , service = y", [("bearer", {"realm": "x", "service": "y"})]),
        (
            'Basic realm="x", Bearer realm="y"',
            [("basic", {"realm": "x"}), ("bearer", {"realm": "y"})],
        ),
        ('Negotiate, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ('Negotiate a87421==, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        (r'Basic realm="say \"hi\""', [("basic", {"realm": 'say "hi"'})]),
        ('Basic realm="unterminated', [("basic", {"realm": "unterminated"})]),
        (',, Basic realm="x",,', [("basic", {"realm": "x"})]),
        ('Basic realm="first", realm="second"', [("basic", {"realm": "first"})]),
    ],
)
def test_what_a_line_says(line: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(c.scheme, dict(c.parameters)) for c in parse_challenges([line])] == expected


def test_lines_are_one_list() -> None:
    found = parse_challenges(['Basic realm="x"', TOKEN])
    assert [challenge.scheme for challenge in found] == ["basic", "bearer"]


@given(st.lists(st.text(alphabet='aB=", \t\\;/', max_size=40), max_size=3))
def test_no_text_is_too_strange(lines: list[str]) -> None:
    for challenge in parse_challenges(lines):
        assert challenge.scheme
        assert challenge.scheme == challenge.scheme.lower()
