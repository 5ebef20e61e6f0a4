"""A server of the API on an engine of its own, and a plain client for it.

@pytest.fixture
def served(tmp_path): ...         in tests/integration/conftest.py, made by `lent_server`

served.get("/containers/json")                        the document, which has to come with 200
served.ask("POST", "/containers/create", {...})       status and document, whatever they are
served.docker("ps", "-q")                             the real docker command line
served.knarr("ps")                                    knarr's own, on the same root
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.engine import TIMEOUT, Knarr, lent_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.certificates import Authority

STARTED_WITHIN = 10.0


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float = TIMEOUT) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Served:
    """A server that runs, and ways to talk to it."""

    def __init__(self, knarr: Knarr) -> None:
        self.knarr = knarr
        self.path = f"{knarr.directory}/docker.sock"
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self, *options: str) -> None:
        """Start the server, and wait until it listens."""
        words = ["serve", "-H", f"unix://{self.path}", *options]
        self.log = open(f"{self.knarr.directory}/serve.log", "ab")  # noqa: SIM115
        self.process = subprocess.Popen(self.knarr.command(*words), stderr=self.log)
        deadline = time.monotonic() + STARTED_WITHIN
        while True:
            with contextlib.suppress(OSError), self.connect():
                return
            assert self.process.poll() is None, self.words()
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.02)

    def words(self) -> str:
        """Return what the server said."""
        with open(f"{self.knarr.directory}/serve.log", encoding="utf-8") as file:
            return file.read()

    def connect(self) -> socket.socket:
        """Return a bare connection."""
        bare = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bare.settimeout(TIMEOUT)
        try:
            bare.connect(self.path)
        except BaseException:
            bare.close()
            raise
        return bare

    @contextlib.contextmanager
    def under_tls(self, authority: Authority) -> Iterator[tuple[int, int]]:
        """Lend another server, which asks clients for certificates: its port and process ID."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        files = [
            "--tlsverify", f"--tlscacert={authority.certificate}",
            f"--tlscert={authority.server_certificate}", f"--tlskey={authority.server_key}",
        ]  # fmt: skip
        server = self.knarr.start("serve", "-H", f"tcp://127.0.0.1:{port}", *files)
        assert server.stderr is not None
        assert b"listens" in server.stderr.readline()
        try:
            yield port, server.pid
        finally:
            server.terminate()
            server.communicate()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the server, and return its exit status."""
        self.process.send_signal(number)
        status = self.process.wait(TIMEOUT)
        self.log.close()
        return status

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Make a request; `body` is bytes or becomes JSON. Return the answer and its body."""
        client = UnixConnection(self.path)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        with contextlib.closing(client):
            client.request(method, path, body, headers)
            response = client.getresponse()
            return response, response.read()

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Make a request, and return the status and the document of its answer, None if empty."""
        response, data = self.request(method, path, body)
        return response.status, json.loads(data) if data.strip() else None

    def get(self, path: str) -> Any:
        """Return the document at `path`, which has to be there."""
        status, document = self.ask("GET", path)
        assert status == 200, (path, status, document)
        return document

    def post(self, path: str, body: Any = None) -> Any:
        """Post, which has to succeed, and return the document that comes back."""
        status, document = self.ask("POST", path, body)
        assert status in (200, 201, 204), (path, status, document)
        return document

    def docker(
        self, *words: str, stdin: bytes = b"", timeout: float = TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run the real docker command line against the server."""
        if not shutil.which("docker"):
            pytest.skip("the docker command line is not installed")
        command = ["docker", "-H", f"unix://{self.path}", *words]
        home = {**os.environ, "DOCKER_CONFIG": str(self.knarr.directory / "docker-config")}
        done = subprocess.run(
            command, input=stdin, capture_output=True, check=False, timeout=timeout, env=home
        )
        texts = (done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        return subprocess.CompletedProcess(done.args, done.returncode, *texts)


@contextlib.contextmanager
def lent_server(directory: Path) -> Iterator[Served]:
    """Lend a server with an image of busybox; it must not have met anything unexpected."""
    with lent_engine(directory) as knarr:
        served = Served(knarr)
        try:
            yield served
            if served.process.poll() is None:
                assert served.stop() == 0, served.words()
            assert "Traceback" not in served.words(), served.words()
        finally:
            if served.process.poll() is None:
                served.process.kill()
                served.process.wait()
            served.log.close()
