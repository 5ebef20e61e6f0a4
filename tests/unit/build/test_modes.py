from __future__ import annotations

import pytest

from knarr.build.dockerfile.fault import Fault
from knarr.build.modes import parse_mode


@pytest.mark.parametrize(
    ("text", "mode", "expected"),
    [
        ("755", 0o644, 0o755),
        ("04711", 0o600, 0o4711),
        ("+x", 0o644, 0o755),
        ("u=rwX,go=rX", 0o600, 0o644),
        ("u=rwX,go=rX", 0o700, 0o755),
        ("a-w", 0o777, 0o555),
        ("go=", 0o4777, 0o4700),
        ("g=u,o-rwx", 0o640, 0o660),
        ("u+s,g+s,+t", 0o755, 0o7755),
        ("u=", 0o4755, 0o055),
    ],
)
def test_files(text: str, mode: int, expected: int) -> None:
    assert parse_mode(text).apply(mode, False) == expected


def test_directories_can_be_entered() -> None:
    assert parse_mode("go+X").apply(0o700, True) == 0o711


@pytest.mark.parametrize("text", ["888", "10000", "x", "u+q", "u=rw go=r", ""])
def test_refusals(text: str) -> None:
    with pytest.raises(Fault, match=r"invalid chmod parameter: .* octal string"):
        parse_mode(text)
