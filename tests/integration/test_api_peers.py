"""Other people's tools against the API: what they do with images."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.engine import TIMEOUT

if TYPE_CHECKING:
    from pathlib import Path

    from support.serving import Served

pytestmark = pytest.mark.root


def skopeo(*words: str) -> str:
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed")
    command = ["skopeo", "--insecure-policy", *words]
    done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_skopeo_takes_images_from_here_and_brings_them(served: Served, tmp_path: Path) -> None:
    host, layout = f"unix://{served.path}", f"oci:{tmp_path}/layout:latest"
    skopeo("copy", "--src-daemon-host", host, "docker-daemon:busybox:latest", layout)
    skopeo("copy", "--dest-daemon-host", host, layout, "docker-daemon:brought:1")
    before, after = (served.get(f"/images/{name}/json") for name in ("busybox", "brought:1"))
    assert after["RootFS"] == before["RootFS"]
    assert after["Config"] == before["Config"]
    assert served.knarr("run", "--rm", "brought:1", "echo", "runs") == "runs\n"
    assert '"Name": "docker.io/library/brought"' in skopeo(
        "inspect", "--daemon-host", host, "docker-daemon:brought:1"
    )


def test_the_docker_command_line_moves_images(served: Served, tmp_path: Path) -> None:
    def docker(*words: str, stdin: bytes = b"") -> str:
        done = served.docker(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    archive = str(tmp_path / "image.tar")
    docker("tag", "busybox", "saved:1")
    docker("save", "-o", archive, "saved:1")
    assert docker("rmi", "saved:1") == "Untagged: saved:1\n"
    assert docker("load", "-i", archive) == "Loaded image: saved:1\n"
    assert docker("images", "--format", "{{.Repository}}:{{.Tag}}").split() == [
        "busybox:latest",
        "saved:1",
    ]
    made = docker("import", archive, "plain:1").strip()
    assert docker("image", "inspect", "-f", "{{.Id}}", "plain:1").strip() == made
    assert "Total reclaimed space" in docker("image", "prune", "-af")
    assert docker("images", "-q") == ""


def test_the_docker_command_line_builds_without_buildkit(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_BUILDKIT", "0")
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(
        "FROM busybox\nRUN --mount=type=tmpfs,target=/t echo said >/t/x; cat /t/x\n"
    )
    identity = tmp_path / "id"
    words = ("build", "--iidfile", str(identity), "-t", "built:1", str(tmp_path))
    done = served.docker(*words)
    assert done.returncode == 0, done.stderr
    assert "\nsaid\n" in done.stdout
    assert done.stdout.endswith("Successfully tagged built:1\n")
    assert identity.read_text() == served.get("/images/built:1/json")["Id"]
    dockerfile.write_text("FROM busybox\nRUN exit 3\n")
    done = served.docker("build", str(tmp_path))
    assert done.returncode == 3
    assert "The command '/bin/sh -c exit 3' returned a non-zero code: 3" in done.stderr
