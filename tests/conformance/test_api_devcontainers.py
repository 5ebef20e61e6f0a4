"""The dev containers command line against the API: a project's container is made and worked in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.serving import Served

pytestmark = pytest.mark.root
TIMEOUT = 120
PROJECT = {
    "name": "workshop",
    "build": {"dockerfile": "Dockerfile", "args": {"WHO": "me"}},
    "containerEnv": {"COLOUR": "green"},
    "remoteEnv": {"TOOL": "hammer"},
    "mounts": ["type=volume,source=shelf,target=/shelf"],
    "postCreateCommand": "echo created by $(cat /who) >/workspaces/created",
    "overrideCommand": True,
    "updateRemoteUserUID": False,
    "runArgs": ["--network", "none"],
}
DOCKERFILE = "FROM busybox\nARG WHO\nRUN echo $WHO >/who && mkdir /workspaces\n"


@pytest.fixture
def devcontainer(tmp_path: Path) -> Path:
    """Return the program, fetched for the test."""
    if not shutil.which("npm") or not shutil.which("docker"):
        pytest.skip("npm or the docker command line is not installed")
    words = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(tmp_path)]
    words += ["--cache", str(tmp_path / "cache"), "@devcontainers/cli"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    if done.returncode:
        pytest.skip(f"npm cannot fetch @devcontainers/cli: {done.stderr.strip()[-200:]}")
    return tmp_path / "node_modules" / ".bin" / "devcontainer"


def test_up_and_exec(devcontainer: Path, served: Served, tmp_path: Path) -> None:
    folder = tmp_path / "workshop"
    (folder / ".devcontainer").mkdir(parents=True)
    (folder / ".devcontainer" / "devcontainer.json").write_text(json.dumps(PROJECT))
    (folder / ".devcontainer" / "Dockerfile").write_text(DOCKERFILE)
    (folder / "file").write_text("of the project\n")
    environment = {
        **os.environ, "DOCKER_HOST": f"unix://{served.path}", "DOCKER_BUILDKIT": "0",
        "DOCKER_CONFIG": str(tmp_path / "docker-config"), "TMPDIR": str(tmp_path),
    }  # fmt: skip

    def call(command: str, *words: str) -> str:
        line = [str(devcontainer), command, "--workspace-folder", str(folder), *words]
        done = subprocess.run(
            line, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    up = json.loads(call("up", "--buildkit", "never"))
    assert up["outcome"] == "success"
    assert call("exec", "cat", "file") == "of the project\n"
    assert call("exec", "sh", "-c", "echo $COLOUR $TOOL") == "green hammer\n"
    assert call("exec", "cat", "/workspaces/created") == "created by me\n"
    assert call("exec", "grep", "-c", " /shelf ", "/proc/mounts") == "1\n"
    again = json.loads(call("up", "--buildkit", "never"))
    assert again["containerId"] == up["containerId"]
