"""What the tests with other programs share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.runtimes import Bundle, Runtime, need
from support.serving import lent_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.serving import Served

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


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Lend a server of the API with an image of busybox."""
    with lent_server(tmp_path) as lent:
        yield lent
