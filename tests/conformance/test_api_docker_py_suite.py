"""docker-py's own integration tests, from the last source distribution that has them (6.1).

They are fetched for the run, with the docker-py that is installed. In the place of Docker Hub is a
registry of the test, with busybox under the names of the images they ask for. What is about swarms,
plugins and credential helpers is left out.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from support.images import layer_tar
from support.offers import offer
from support.rootfs import PASSWD, make_rootfs
from support.serving import lent_server
from support.testregistry import TestRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("docker", reason="docker-py is not installed (pip install docker)")
pytestmark = pytest.mark.root

SOURCES = "docker==6.1.3"
IMAGES = ("alpine:3.10", "alpine:latest", "busybox:latest", "hello-world:latest")
FILES: dict[str, str | bytes] = {
    "etc/passwd": f"{PASSWD}postgres:x:70:70::/:/bin/sh\n",
    "var/opt/": "",
}
# Parts of about the same length, and how many tests pass there at least.
PARTS = {
    "containers": (("api_container", "api_healthcheck"), 80),
    "rest": (
        (
            "api_build", "api_client", "api_exec", "api_image", "api_network", "api_volume",
            "client", "errors", "models_containers", "models_images", "models_networks",
            "models_resources", "models_volumes", "regression",
        ),
        152,
    ),
}  # fmt: skip
_WORDS = "wants the words of Docker 20"
_SWARM = "wants a swarm"
_OLD = "wants a field that Docker 28 does not have either"
_HOST_BITS = "a subnet with bits of a host, which Docker 25 refuses as well"
_RACE = "reads the log of a container that has only just been started"
# Tests that may fail: why.
FAILING = {
    "test_build_container_with_target": _OLD,
    "test_build_in_context_abs_dockerfile": _RACE,
    "test_build_in_context_dockerfile": _RACE,
    "test_build_in_context_nested_dockerfile": _RACE,
    "test_build_out_of_context_dockerfile": _RACE,
    "test_create_with_restart_policy": _WORDS,
    "test_run_container_reading_socket_ws": "docker-py's WebSocket does not know unix sockets",
    "test_commit": _OLD,
    "test_commit_with_changes": _OLD,
    "test_connect_with_ipv6_address": _HOST_BITS,
    "test_create_with_ipv6_address": _HOST_BITS,
    "test_create_network_ipv6_enabled": _HOST_BITS,
    "test_create_check_duplicate": "wants two networks of one name, which Docker 25 refuses",
    "test_create_inspect_network_with_scope": _SWARM,
    "test_create_network_attachable": _SWARM,
    "test_create_network_ingress": _SWARM,
    "test_api_error_parses_json": _WORDS,
    "test_exec_run_failed": "wants 126 for a program that is not there; it is 127 since Docker 28",
    "test_run_with_image_that_does_not_exist": "wants the words of Docker Hub",
    "test_pull_with_sha": "asks Docker Hub for an image by its digest",
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestRegistry]:
    """Put a registry with the images in the place of Docker Hub."""
    rootfs = make_rootfs(tmp_path / "rootfs", FILES)
    for name in ("top", "nslookup"):
        (rootfs / "bin" / name).symlink_to("busybox")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as file:
        file.add(rootfs, ".")
    with TestRegistry() as registry:
        for image in IMAGES:
            name, _, tag = image.partition(":")
            own = layer_tar({"name": image.encode()})
            offer(registry, f"library/{name}", tag, [layer.getvalue(), own])
        settings = tmp_path / "registries.toml"
        settings.write_text(f'[[registry]]\nprefix = "docker.io"\nlocation = "{registry.host}"\n')
        monkeypatch.setenv("KNARR_REGISTRIES", str(settings))
        yield registry


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Return a directory with docker-py's `tests`."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", "docker", "--dest", str(tmp_path), SOURCES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot fetch {SOURCES}: {done.stderr.strip().splitlines()[-1]}")
    (archive,) = tmp_path.glob("docker-*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path)  # the index told its digest, and pip looked
    directory = tmp_path / "suite"
    directory.mkdir()
    shutil.move(str(tmp_path / archive.name.removesuffix(".tar.gz") / "tests"), directory)
    # Wanted on import by helpers for ssh, which these tests do not use.
    (directory / "paramiko.py").write_text("class Channel: pass\n")
    return directory


def outcomes(report: Path) -> dict[str, bool]:
    """Return which tests passed, False for those that failed; none of those that were skipped."""
    found: dict[str, bool] = {}
    for case in ET.parse(report).iter("testcase"):
        if case.find("skipped") is None:
            bad = case.find("failure") is not None or case.find("error") is not None
            found[f"{case.get('classname')}.{case.get('name')}"] = not bad
    return found


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.usefixtures("hub")
def test_suite(tmp_path: Path, suite: Path, part: str) -> None:
    names, least = PARTS[part]
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", f"--junitxml={report}"]
    command += ["-p", "no:xdist", *(f"tests/integration/{name}_test.py" for name in names)]
    (tmp_path / "served").mkdir()
    with lent_server(tmp_path / "served") as served:
        served.knarr("rmi", "busybox")
        for name in IMAGES:
            assert served.knarr.do("pull", name).returncode == 0
        environment = {
            **os.environ, "DOCKER_HOST": f"unix://{served.path}",
            "DOCKER_CONFIG": str(tmp_path / "docker-config"),
        }  # fmt: skip
        done = subprocess.run(
            command, cwd=suite, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
    results = outcomes(report)
    failed = {name for name, passed in results.items() if not passed}
    surprises = {name for name in failed if name.rpartition(".")[2] not in FAILING}
    assert not surprises, done.stdout
    assert len(results) - len(failed) >= least, done.stdout
