"""BuildKit's own daemon and knarr with one cache: each reads what the other has written.

The keys of steps are each one's own, so neither finds what it could use: but what is there is read
to the end.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from support.actionscache import ActionsCache
from support.dockerregistry import docker_registry
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


def words_for(shop: Workshop) -> list[str]:
    """Return the command by which BuildKit builds what is in the workshop."""
    place = str(shop.directory)
    return [
        *("build", "--progress", "plain", "--frontend", "dockerfile.v0"),
        *("--local", f"context={place}", "--local", f"dockerfile={place}"),
    ]


def read_by_knarr(shop: Workshop, source: str) -> None:
    """Have knarr look into a cache of BuildKit's."""
    read = shop.build("", "--cache-from", source)
    assert "inferred 0 results" not in read.output
    assert "inferred" in read.output
    assert "ERROR" not in read.output


@pytest.mark.parametrize("version", [1, 2])
def test_each_reads_the_other_in_a_cache_service(
    control: Control, shop: Workshop, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = words_for(shop)
    with ActionsCache() as cache:
        for name, value in cache.environment(cache.token(("refs/heads/main", 3)), version).items():
            monkeypatch.setenv(name, value)
        control(*build, "--export-cache", "type=gha,mode=max,scope=theirs")
        assert cache.keys("index-theirs-1-")
        read_by_knarr(shop, "type=gha,scope=theirs")
        shop.build("", "--cache-to", "type=gha,mode=max")
        told = control(*build, "--no-cache", "--import-cache", "type=gha")
        assert "importing cache manifest from gha" in told
        assert "ERROR" not in told
        control("prune", "--all")
        again = control(*build, "--import-cache", "type=gha,scope=theirs")
        assert again.count("CACHED") == 3, "the stand-in is a service to BuildKit, too"


def test_each_reads_the_other_in_a_directory(
    control: Control, shop: Workshop, tmp_path: Path
) -> None:
    build = words_for(shop)
    control(*build, "--export-cache", f"type=local,mode=max,dest={tmp_path}/theirs")
    read_by_knarr(shop, f"type=local,src={tmp_path}/theirs")
    shop.build("", "--cache-to", f"type=local,mode=max,dest={tmp_path}/ours")
    told = control(*build, "--no-cache", "--import-cache", f"type=local,src={tmp_path}/ours")
    assert "importing cache manifest from local" in told
    assert "ERROR" not in told


@pytest.mark.parametrize("kind", ["inline", "registry"])
def test_each_reads_the_other_in_a_registry(
    control: Control, shop: Workshop, tmp_path: Path, kind: str
) -> None:
    build = words_for(shop)
    with docker_registry(tmp_path / "registry") as host:
        place = "type=inline" if kind == "inline" else f"type=registry,ref={host}/{{}}-cache"
        name = f"{host}/{{}}" if kind == "inline" else f"{host}/{{}}-cache"
        output = f"type=image,name={host}/theirs,push=true"
        control(*build, "--output", output, "--export-cache", place.format("theirs"))
        read_by_knarr(shop, name.format("theirs"))
        shop.build("", "--push", "--cache-to", place.format("ours"), tag=f"{host}/ours:latest")
        source = f"type=registry,ref={name.format('ours')}"
        told = control(*build, "--no-cache", "--import-cache", source)
        assert f"importing cache manifest from {name.format('ours')}" in told
        assert "ERROR" not in told
