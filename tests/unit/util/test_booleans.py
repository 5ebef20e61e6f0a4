"""Words for yes and no: those of Go, and no others."""

from __future__ import annotations

import pytest

from knarr.util.booleans import find_boolean


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "True", "TRUE"])
def test_yes(text: str) -> None:
    assert find_boolean(text) is True


@pytest.mark.parametrize("text", ["0", "f", "F", "false", "False", "FALSE"])
def test_no(text: str) -> None:
    assert find_boolean(text) is False


@pytest.mark.parametrize("text", ["", "yes", "no", "on", "tRUE", " true", "2"])
def test_neither(text: str) -> None:
    assert find_boolean(text) is None
