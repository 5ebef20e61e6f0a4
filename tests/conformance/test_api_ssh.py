"""`docker -H ssh://…`: the command line logs in, and knarr serves it without a server.

Over a real sshd on loopback where there is one, and over a stand-in for `ssh` that runs what
it is given as sshd's shell would.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from support.engine import TIMEOUT, lent_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

STAND_IN = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift 2
exec sh -c "$*"
"""
SSHD = """
ListenAddress 127.0.0.1:{port}
HostKey {directory}/host
AuthorizedKeysFile {directory}/key.pub
StrictModes no
UsePAM no
PidFile none
SetEnv PATH={remote}:/usr/bin:/bin
"""
# sshd insists on a user and a directory of its own, which the host need not have.
LOGIN = """
mount -t tmpfs none /run && mkdir /run/sshd && cat /etc/passwd >/run/passwd || exit
grep -q ^sshd: /run/passwd || echo sshd:x:65533:65534::/run/sshd:/bin/false >>/run/passwd
mount --bind /run/passwd /etc/passwd && exec "$@"
"""


@pytest.fixture
def knarr(tmp_path: Path) -> Iterator[Knarr]:
    with lent_engine(tmp_path / "engine") as lent:
        yield lent


@pytest.fixture
def remote(tmp_path: Path, knarr: Knarr) -> Path:
    """Return the directory of a `docker` that is knarr: all that the other host has to have."""
    directory = tmp_path / "remote"
    directory.mkdir()
    _script(directory / "docker", f'#!/bin/sh\nexec {" ".join(knarr.command())} "$@"\n')
    return directory


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture(params=["sshd", "stand-in"])
def ssh(request: pytest.FixtureRequest, tmp_path: Path, remote: Path) -> Iterator[dict[str, str]]:
    """Return an environment in which docker's `ssh` leads to where `remote` is on the PATH."""
    if not shutil.which("docker"):
        pytest.skip("the docker command line is not installed")
    directory = tmp_path / "ssh"
    directory.mkdir()
    environment = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}
    environment["DOCKER_CONFIG"] = str(tmp_path / "docker-config")
    if request.param == "stand-in":
        _script(directory / "ssh", STAND_IN.replace("exec", f"PATH={remote}:$PATH exec"))
        yield environment
        return
    with lent_sshd(directory, remote) as port:
        options = f"-p {port} -i {directory}/key -o BatchMode=yes"
        options += " -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        _script(directory / "ssh", f'#!/bin/sh\nexec {shutil.which("ssh")} {options} "$@"\n')
        yield environment


@contextlib.contextmanager
def lent_sshd(directory: Path, remote: Path) -> Iterator[int]:
    """Lend an sshd on a port of loopback."""
    beside = os.path.dirname(sys.executable)
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:{beside}")
    if not program or not shutil.which("ssh"):
        pytest.skip("sshd is not installed (package openssh-server)")
    for name in ("host", "key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{directory}/{name}"]
        subprocess.run(command, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config, log = directory / "sshd_config", directory / "sshd.log"
    config.write_text(SSHD.format(port=port, directory=directory, remote=remote))
    command = ["unshare", "--mount", "sh", "-c", LOGIN, "sh", program, "-D", "-e", "-f"]
    with open(log, "wb") as errors:
        process = subprocess.Popen([*command, config], stdin=subprocess.DEVNULL, stderr=errors)
    try:
        deadline = time.monotonic() + 10
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_host_without_a_server(ssh: dict[str, str], knarr: Knarr) -> None:
    def docker(*words: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["docker", "-H", "ssh://root@127.0.0.1", *words], env=ssh, input=stdin,
            capture_output=True, text=True, check=False, timeout=TIMEOUT,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    quiet = ("--network", "none")
    docker("run", "--detach", *quiet, "--name", "there", "busybox", "sleep", "600")
    assert docker("ps", "--format", "{{.Names}}") == "there\n"
    assert knarr("ps", "--format", "{{.Names}}") == "there\n"
    words = "\n".join(str(number) for number in range(20000))
    assert docker("run", "--rm", "--interactive", *quiet, "busybox", "cat", stdin=words) == words
    assert docker("exec", "--interactive", "there", "wc", "-c", stdin="seven\n!") == "7\n"
    assert docker("rm", "--force", "there") == "there\n"
