from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

# Commands that tests run, and engines in tests, take their settings from here and nowhere else.
os.environ["KNARR_SETTINGS"] = os.devnull
os.environ["KNARR_REGISTRIES"] = str(Path(__file__).parent / "support" / "registries.toml")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--accept", action="store_true", help="rewrite golden files to what the code gives now"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with the file that holds what it should be."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--accept"):
            path.write_text(text)
        assert text == path.read_text()

    return compare
