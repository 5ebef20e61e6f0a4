"""Debian's `docker-registry` on loopback: the reference to talk to."""

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

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.certificates import Authority

USER, PASSWORD = "erik", "s3cr3t-of-erik"
# Of the password above, with bcrypt, the only form that the registry takes.
HTPASSWD = "erik:$2y$05$abcdefghijklmnopqrstuueIa/1urMRDZV1GXmSoxElGxFN1pk7WK\n"
_STARTS_WITHIN = 10.0


@contextlib.contextmanager
def docker_registry(
    directory: Path, *, authority: Authority | None = None, password: bool = False
) -> Iterator[str]:
    """Run a registry with its files in `directory`; yield its host, `127.0.0.1:port`.

    Skips the test where the package is missing.
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
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(config)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        _wait(process, host, directory / "log")
        yield host
    finally:
        process.terminate()
        process.wait(10)


def _wait(process: subprocess.Popen[bytes], host: str, log: Path) -> None:
    """Return when the registry listens."""
    name, _, port = host.partition(":")
    end = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((name, int(port)), 1):
            return
        time.sleep(0.02)
    pytest.fail(f"docker-registry does not start: {log.read_text()}")
