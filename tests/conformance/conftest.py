"""What the tests of several runtimes share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.runtimes import Bundle, Runtime, need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNTIMES = ("knarr-runtime", "runc", "crun")


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runtime]:
    need(request.param)
    lent = Runtime(request.param, tmp_path / "state")
    yield lent
    lent.clean_up()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle(tmp_path / "bundle")
