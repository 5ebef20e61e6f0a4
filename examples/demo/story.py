"""Commands typed, their output shown as it comes, and what is claimed about it checked."""

from __future__ import annotations

import os
import pty
import re
import select
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


class Mismatch(Exception):
    """Something is not as the story says."""


class Story:
    """One telling: a directory to work in, and the knarr of this Python on a root of its own."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.claims = 0
        self.environment = {
            **os.environ,
            "KNARR_ROOT": f"{directory}/root",
            "KNARR_RUN": f"{directory}/run",
            "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
        }

    def title(self, text: str) -> None:
        print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}")

    def tell(self, text: str) -> None:
        print(f"# {text}", flush=True)

    def do(self, command: str, *, status: int = 0, quiet: bool = False) -> str:
        """Run a shell command, show it and its output, and return that; check its exit status."""
        print(f"$ {command}", flush=True)
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        lines = []
        for raw in process.stdout:
            line = raw.decode(errors="replace")
            lines.append(line)
            if not quiet:
                print(line, end="", flush=True)
        code = process.wait()
        if quiet and lines:
            print(f"  … {len(lines)} lines")
        if status:
            print(f"[exit status {code}]")
        if code != status:
            message = f"`{command}` ended with status {code} instead of {status}"
            raise Mismatch(message)
        return "".join(lines).rstrip("\n")

    def type(self, command: str, keys: list[str]) -> str:
        """Run a command on a terminal, type `keys` line by line, and return what it shows."""
        print(f"$ {command}", flush=True)
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.directory)
            os.execvpe("sh", ["sh", "-c", f"exec {command}"], self.environment)
        shown, waiting, deadline = b"", list(keys), time.monotonic() + 20
        while time.monotonic() < deadline:
            ready, _, _ = select.select([terminal], [], [], 0.3)
            if ready:
                try:
                    data = os.read(terminal, 65536)
                except OSError:  # the other side is gone
                    break
                if not data:
                    break
                shown += data
            elif waiting:
                os.write(terminal, waiting.pop(0).encode() + b"\n")
        os.close(terminal)
        _, code = os.waitpid(pid, 0)
        text = ESCAPE.sub("", shown.decode(errors="replace"))
        print(text.rstrip("\n"))
        print(f"[exit status {os.waitstatus_to_exitcode(code)}]", flush=True)
        return text

    def follow(self, command: str, wanted: str) -> subprocess.Popen[bytes]:
        """Start a command that goes on, and return it once it has shown `wanted`."""
        print(f"$ {command} &", flush=True)
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.expect_line(process, wanted)
        return process

    def expect_line(self, process: subprocess.Popen[bytes], wanted: str) -> None:
        """Show lines of a command that goes on, up to one that has `wanted` in it."""
        assert process.stdout is not None
        for raw in process.stdout:
            line = raw.decode(errors="replace")
            print(line, end="", flush=True)
            if wanted in line:
                return
        message = f"the output ended without {wanted!r}"
        raise Mismatch(message)

    def get(self, port: int, host: str = "127.0.0.1") -> str:
        """Return the page at `port`, which may take a moment to come up."""
        url = f"http://{host}:{port}/"
        deadline = time.monotonic() + 10
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    text: str = answer.read().decode().strip()
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
                if time.monotonic() > deadline:
                    message = f"{url} does not answer: {error}"
                    raise Mismatch(message) from error
                time.sleep(0.1)
        print(f"GET {url}\n{text}", flush=True)
        return text

    def check(self, holds: object, claim: str) -> None:
        """Say that `claim` holds, or end the story."""
        if not holds:
            raise Mismatch(claim)
        self.claims += 1
        print(f"  \N{CHECK MARK} {claim}", flush=True)


def free_port(wanted: int) -> int:
    """Return `wanted` or the first port after it that nobody listens on."""
    for port in range(wanted, 65536):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    message = "there is no free port"
    raise Mismatch(message)
