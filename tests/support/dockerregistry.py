"""Debian's `docker-registry` on loopback: the reference to talk to."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.certificates import Authority
    from support.engines import Room

USER, PASSWORD = "erik", "s3cr3t-of-erik"
# Of the password above, with bcrypt, the only form that the registry takes.
HTPASSWD = "erik:$2y$05$abcdefghijklmnopqrstuueIa/1urMRDZV1GXmSoxElGxFN1pk7WK\n"
_STARTS_WITHIN = 10.0


@contextlib.contextmanager
def docker_registry(
    directory: Path,
    *,
    authority: Authority | None = None,
    password: bool = False,
    room: Room | None = None,
) -> Iterator[str]:
    """Run a registry with its files in `directory`; yield its host, `127.0.0.1:port`.

    In a `room` it is reached from that network alone, and ends with it. Skips the test where the
    package is missing.
    """
    beside = os.path.dirname(sys.executable)  # where `make setup` puts it
    program = shutil.which("docker-registry", path=f"{os.environ.get('PATH', '')}:{beside}")
    if program is None:
        pytest.skip("docker-registry is not installed")
    directory.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    lines = [
        "version: 0.1",
        "log: {level: error, accesslog: {disabled: true}}",
        f"storage: {{filesystem: {{rootdirectory: {directory}/data}}, delete: {{enabled: true}}}}",
        "http:",
        f"  addr: {host}",
    ]
    if authority is not None:
        lines += [
            "  tls:",
            f"    certificate: {authority.server_certificate}",
            f"    key: {authority.server_key}",
        ]
    if password:
        (directory / "htpasswd").write_text(HTPASSWD)
        lines.append(f"auth: {{htpasswd: {{realm: test, path: {directory}/htpasswd}}}}")
    config = directory / "config.yml"
    config.write_text("\n".join(lines) + "\n")
    words = [program, "serve", str(config)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            room.enter(*words) if room else words,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        _wait(process, host, directory / "log", room)
        yield host
    finally:
        process.terminate()
        process.wait(10)


def _wait(process: subprocess.Popen[bytes], host: str, log: Path, room: Room | None) -> None:
    """Return when the registry listens."""
    port = int(host.partition(":")[2])
    listening = f":{port:04X} 00000000:0000 0A"
    table = Path(f"/proc/{room.pid if room else 'self'}/net/tcp")
    end = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < end and process.poll() is None:
        if listening in table.read_text():
            return
        time.sleep(0.02)
    pytest.fail(f"docker-registry does not start: {log.read_text()}")
