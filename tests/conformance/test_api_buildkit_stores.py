"""OCI layouts of a client of the API: as outputs, as contexts, and as caches.

buildx has these in its own directories, and shows the builder what is in them, blob by blob.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.engine import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.serving import Served

    Build = Callable[..., str]

pytestmark = pytest.mark.root


@pytest.fixture
def build(served: Served, tmp_path: Path) -> Build:
    """Return what builds a Dockerfile with buildx, and returns what that says."""
    known = ["docker", "buildx", "version"]
    if (
        not shutil.which("docker")
        or subprocess.run(known, capture_output=True, check=False).returncode
    ):
        pytest.skip("buildx is not a plugin of the docker command line here")
    (tmp_path / "context").mkdir()

    def run(dockerfile: str, *words: str) -> str:
        (tmp_path / "context" / "Dockerfile").write_text(dockerfile)
        done = subprocess.run(
            ["docker", "buildx", "build", "--progress=plain", *words, "context"],
            capture_output=True, text=True, check=False, timeout=TIMEOUT, cwd=tmp_path,
            env={**os.environ, "DOCKER_HOST": f"unix://{served.path}"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stderr

    return run


def _listed(layout: Path) -> dict[str, str]:
    """Return the names in a layout with the digests of what they mean, which is there."""
    index = json.loads((layout / "index.json").read_bytes())
    for entry in index["manifests"]:
        manifest = json.loads(_blob(layout, entry["digest"]).read_bytes())
        for each in (manifest["config"], *manifest["layers"]):
            assert _blob(layout, each["digest"]).stat().st_size == each["size"]
    name = "org.opencontainers.image.ref.name"
    return {entry["annotations"][name]: entry["digest"] for entry in index["manifests"]}


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def test_an_image_goes_to_a_layout_and_a_build_begins_with_it(build: Build, tmp_path: Path) -> None:
    out = "type=oci,tar=false,dest=layout,name=a/b:one"
    build("FROM busybox\nENV IT=is\nRUN echo one > /one\n", "--output", out)
    assert list(_listed(tmp_path / "layout")) == ["one"]
    build(
        "FROM other\nRUN cat /one > /two; echo $IT >> /two\nFROM scratch\nCOPY --from=0 /two /\n",
        "--build-context", "other=oci-layout://layout:one", "--output", "out",
    )  # fmt: skip
    assert (tmp_path / "out" / "two").read_text() == "one\nis\n"


def test_a_cache_is_kept_in_a_directory(build: Build, tmp_path: Path, served: Served) -> None:
    dockerfile = (
        "FROM busybox AS a\nRUN cat /proc/sys/kernel/random/uuid > /one\n"
        "FROM scratch\nCOPY --from=a /one /\n"
    )
    build(dockerfile, "--cache-to", "type=local,dest=cache,mode=max", "--output", "first")
    assert list(_listed(tmp_path / "cache")) == ["latest"]
    served.knarr("builder", "prune", "-af")
    told = build(dockerfile, "--cache-from", "type=local,src=cache", "--output", "second")
    assert "importing cache manifest from cache\n" in told
    assert (tmp_path / "first" / "one").read_text() == (tmp_path / "second" / "one").read_text()
