"""What builds fetch from: a web server and a git server on loopback, for as long as a test."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Web:
    """Serves `files` by path, with `stamps` as their ETag; `wanted` is who may have them.

    `modified` is since when they are as they are, empty for a server that does not say.
    `asked` has method, path and the header Authorization of every request.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.stamps: dict[str, str] = {}
        self.redirects: dict[str, str] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.wanted = ""
        self.modified = "Sat, 01 Jan 2022 00:00:00 GMT"
        self.url = ""


@contextlib.contextmanager
def web_server() -> Iterator[Web]:
    web = Web()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            said = self.headers.get("Authorization", "")
            web.asked.append((self.command, self.path, said))
            data = web.files.get(self.path)
            if self.path in web.redirects:
                self.send_response(302)
                self.send_header("Location", web.redirects[self.path])
            elif web.wanted not in ("", said):
                self.send_response(401)
            elif data is None:
                self.send_response(404)
            else:
                self.send_response(200)
                if web.modified:
                    self.send_header("Last-Modified", web.modified)
                self.send_header("ETag", web.stamps.get(self.path, f'"{hash(data)}"'))
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if body:
                    self.wfile.write(data)
                return
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Repository:
    """A repository that a git server has: `url`, and a work tree to commit from."""

    def __init__(self, directory: Path, *, hashes: str = "sha1") -> None:
        self.work = directory / "work"
        self.bare = directory / "served" / "project.git"
        self.url = ""
        self.bare.parent.mkdir(parents=True)
        hashing = f"--object-format={hashes}"
        self._git("init", "-q", "--bare", hashing, str(self.bare), at=directory)
        self._git("symbolic-ref", "HEAD", "refs/heads/main", at=self.bare)
        self._git("init", "-q", hashing, str(self.work), at=directory)
        self._git("checkout", "-q", "-b", "main")

    def commit(self, files: dict[str, str], *, tag: str = "") -> str:
        """Commit files, perhaps with a tag, serve that, and return the commit."""
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._git("add", "-A")
        self._git("commit", "-q", "-m", "change")
        if tag:
            self._git("tag", "-a", "-m", tag, tag)
        self._git("push", "-q", "--tags", str(self.bare), "main")
        return self._git("rev-parse", "HEAD").strip()

    def committed(self) -> int:
        """Return when the last commit was made, in seconds since 1970."""
        return int(self._git("show", "-s", "--format=%ct", "HEAD"))

    def _git(self, *words: str, at: Path | None = None) -> str:
        who = {f"GIT_{role}_{what}": f"{role.lower()}@example.org"
               for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
        alone = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        environment = {**os.environ, **who, **alone}
        done = subprocess.run(
            ["git", *words], cwd=at or self.work, env=environment, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout


def serve_repository(web: Web, repository: Repository, path: str) -> None:
    """Let a web server have a repository as files, which is all that git needs."""
    subprocess.run(["git", "update-server-info"], cwd=repository.bare, check=True)
    for file in repository.bare.rglob("*"):
        if file.is_file():
            web.files[f"{path}/{file.relative_to(repository.bare)}"] = file.read_bytes()
    web.files[f"{path}/info/refs?service=git-upload-pack"] = web.files[f"{path}/info/refs"]


@contextlib.contextmanager
def git_server(directory: Path) -> Iterator[Repository]:
    if shutil.which("git") is None:
        pytest.skip("the program git is not installed")
    repository = Repository(directory)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    words = ["git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1",
             f"--port={port}", f"--base-path={repository.bare.parent}"]  # fmt: skip
    daemon = subprocess.Popen(words, start_new_session=True, stderr=subprocess.DEVNULL)
    repository.url = f"git://127.0.0.1:{port}/project.git"
    try:
        _await(port)
        yield repository
    finally:
        os.killpg(daemon.pid, 15)
        daemon.wait()


def _await(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        threading.Event().wait(0.05)
    message = "git daemon does not listen"
    raise AssertionError(message)
