"""BuildKit's own daemon and knarr in one cache service: each reads what the other has written.

The keys of steps are each one's own, so neither finds what it could use: but what is there is read
to the end, and blobs that are the same are sent once.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from support.actionscache import ActionsCache
from support.engine import TIMEOUT, lent_store
from support.rootfs import make_rootfs
from support.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Control = Callable[..., str]

pytestmark = pytest.mark.root
STARTED_WITHIN = 20.0
DOCKERFILE = """\
FROM scratch AS work
COPY rootfs /
RUN echo made > /made
FROM scratch
COPY --from=work /made /made
"""


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    """Run BuildKit's daemon, and return its command."""
    if not all(shutil.which(program) for program in ("buildkitd", "buildctl", "runc")):
        pytest.skip("BuildKit (buildkitd, buildctl and runc) is not installed")
    address = f"unix://{tmp_path}/buildkit.sock"
    words = ["--root", str(tmp_path / "buildkit"), "--addr", address]
    words += ["--oci-worker-snapshotter", "native", "--oci-worker-net", "host"]
    with (tmp_path / "buildkit.log").open("wb") as log:
        daemon = subprocess.Popen(["buildkitd", *words], stdout=log, stderr=log)

    def do(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["buildctl", "--addr", address, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)

    def run(*words: str) -> str:
        done = do(*words)
        assert done.returncode == 0, done.stderr
        return done.stderr

    try:
        deadline = time.monotonic() + STARTED_WITHIN
        while do("debug", "workers").returncode:
            assert time.monotonic() < deadline, (tmp_path / "buildkit.log").read_text()
            time.sleep(0.1)
        yield run
    finally:
        daemon.terminate()
        daemon.wait(TIMEOUT)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    with lent_store(tmp_path / "store") as knarr:
        shop = Workshop(knarr, tmp_path / "context")
        make_rootfs(shop.directory / "rootfs")
        shop.write("Dockerfile", DOCKERFILE)
        yield shop


@pytest.mark.parametrize("version", [1, 2])
def test_each_reads_the_caches_of_the_other(
    control: Control, shop: Workshop, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(shop.directory)
    build = [
        *("build", "--progress", "plain", "--frontend", "dockerfile.v0"),
        *("--local", f"context={place}", "--local", f"dockerfile={place}"),
    ]
    with ActionsCache() as cache:
        for name, value in cache.environment(cache.token(("refs/heads/main", 3)), version).items():
            monkeypatch.setenv(name, value)
        control(*build, "--export-cache", "type=gha,mode=max,scope=theirs")
        assert cache.keys("index-theirs-1-")
        read = shop.build(
            "", "--cache-from", "type=gha,scope=theirs", "--cache-to", "type=gha,mode=max"
        )
        assert "inferred 0 results" not in read.output
        assert "ERROR" not in read.output
        told = control(*build, "--no-cache", "--import-cache", "type=gha")
        assert "importing cache manifest from gha" in told
        assert "ERROR" not in told
        control("prune", "--all")
        again = control(*build, "--import-cache", "type=gha,scope=theirs")
        assert again.count("CACHED") == 3, "the stand-in is a service to BuildKit, too"
