"""Agents of ssh for steps: `RUN --mount=type=ssh`.

    step ──▶ socket of its own ──▶ forwarder ──▶ the user's agent
                                            └──▶ ssh-agent(1) with the keys that were named

The user's agent answers nobody but the user, and a step may run as anybody: so a process of ours
passes on what comes, one for each mount, under the build's own user. It ends when the step does,
and also when the build is killed: its standard input is a pipe that nobody else holds.

Keys that are files are given to the host's ssh-agent, which the forwarder starts for the step. What
is protected by a passphrase cannot be used this way.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
import time

from knarr.errors import Failed
from knarr.util import jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRAM = "from knarr.engine.build.agents import main; main()"
_READY = "ready"
_PIECE = 1 << 16
_STARTS_WITHIN = 5.0


class Agent(Value):
    """An agent: where it listens, or the files of the keys that one is to be started with."""

    socket: str = ""
    keys: tuple[str, ...] = ()


class Forwarding:
    """A socket `name` in a directory, that leads to an agent until `close`."""

    def __init__(
        self, agent: Agent, directory: str, name: str, *, mode: int, owner: tuple[int, int]
    ) -> None:
        """Begin to listen. Raises: Failed, if the agent or a key cannot be had"""
        from knarr.engine.build.fetches import home  # noqa: PLC0415 - few steps have an agent

        self.path = f"{directory}/{name}"
        listener = _listen(directory, name)
        os.chown(self.path, *owner)
        os.chmod(self.path, mode)
        about = {"socket": agent.socket, "keys": agent.keys, "directory": directory, "name": name}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(listener.fileno()), jsontext.dumps(about)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()], start_new_session=True,
            env={**os.environ, "PYTHONPATH": home()},
        )  # fmt: skip
        listener.close()
        assert self._process.stdout is not None
        said = self._process.stdout.readline().decode("utf-8", "replace").strip()
        if said != _READY:
            self.close()
            message = f"no agent for ssh: {said or 'it ended at once'}"
            raise Failed(message)

    def close(self) -> None:
        """Let the forwarder end, and with it the agent it may have started."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait()


def _listen(directory: str, name: str) -> socket.socket:
    """Return a listening socket; its path may be longer than an address can be."""
    above = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(f"/proc/self/fd/{above}/{name}")
        listener.listen()
    finally:
        os.close(above)
    return listener


# the forwarder


def main() -> None:
    """Pass on what comes to an agent until standard input ends."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    about = jsontext.loads(sys.argv[2])
    os.chdir(about["directory"])
    path, started = about["socket"], None
    try:
        if about["keys"]:
            path = f"agent-{about['name']}"
            started = _start_agent(path)
            _add_keys(path, about["keys"])
        _connect(path).close()
        _say(_READY)
        _serve(listener, path)
    except (OSError, Failed) as error:
        _say(str(error))
    finally:
        if started is not None:
            started.kill()
            started.wait()
        os._exit(0)  # whatever connections wait for


def _serve(listener: socket.socket, path: str) -> None:
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        client, _ = listener.accept()
        try:
            agent = _connect(path)
        except OSError:
            client.close()  # as if there were no agent any more, which is true
            continue
        for source, target in ((client, agent), (agent, client)):
            threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(_PIECE):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        target.close()


def _connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        message = f"{path}: {(error.strerror or str(error)).lower()}"
        raise Failed(message) from error
    return connection


def _start_agent(path: str) -> subprocess.Popen[bytes]:
    try:
        process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        message = "the program ssh-agent, which holds keys that are files, is not installed"
        raise Failed(message) from error
    deadline = time.monotonic() + _STARTS_WITHIN
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.005)
    return process


def _add_keys(path: str, keys: Sequence[str]) -> None:
    for key in keys:
        done = subprocess.run(
            ["ssh-add", "-q", key], stdin=subprocess.DEVNULL, capture_output=True, check=False,
            env={"PATH": os.environ.get("PATH", ""), "SSH_AUTH_SOCK": path,
                 "SSH_ASKPASS_REQUIRE": "never"},
        )  # fmt: skip
        if done.returncode:
            words = [line for line in done.stderr.decode("utf-8", "replace").split("\n") if line]
            message = f"the key {key} cannot be used: {words[-1] if words else 'ssh-add failed'}"
            raise Failed(message)


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())
