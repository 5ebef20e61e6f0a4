"""What the tests with other programs share."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.runtimes import Bundle, Runtime, need
from support.serving import lent_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Served

MAKE_BASE = Path(__file__).parents[2] / "examples" / "compose" / "make-base"
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


@pytest.fixture(scope="session")
def guestbook_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what `examples/compose/make-base` imports, made once for all who test side by side."""
    if not shutil.which("mmdebstrap"):
        pytest.skip("mmdebstrap is not installed")
    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent
    archive, keep = directory / "guestbook-base.tar", directory / "keep"
    with open(directory / "guestbook-base.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            keep.write_text(f"#!/bin/sh\nexec cat >{archive}.new\n")
            keep.chmod(0o755)
            environment = {**os.environ, "KNARR": str(keep)}
            subprocess.run([str(MAKE_BASE)], env=environment, check=True, timeout=600)
            Path(f"{archive}.new").rename(archive)
    return archive
