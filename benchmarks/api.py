"""The API: `knarr serve` beside dockerd, to the docker command line and to docker-py.

    python -m benchmarks.api                     # a table in Markdown
    python -m benchmarks.api --rounds 3

Both take their turn in every round; of times the middle counts. Containers have no network, since
dockerd's would need the host's.
"""

from __future__ import annotations

import argparse
import http.client
import shutil
import socket
import subprocess
import time
from contextlib import closing, suppress
from statistics import median
from threading import Thread
from typing import TYPE_CHECKING, Any

import docker

from benchmarks.engines import (
    APPLETS,
    IMAGE,
    Docker,
    Engine,
    Knarr,
    make_rootfs,
    taking_part,
    wait_for_daemon,
    workplace,
)
from benchmarks.rows import QUIET
from benchmarks.supervisors import children, memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUIET_CONFIG = {"NetworkMode": "none"}
MANY = 100
SECONDS = 3.0  # for which answers are counted


class Served(Knarr):
    """knarr as a server of the API."""

    @classmethod
    def missing(cls) -> str:
        return super().missing() or ("" if shutil.which("docker") else "docker is not installed")

    def start(self) -> None:
        command = self.words("serve", "--host", f"unix://{self.work}/sock")
        self.server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_for_daemon(docker_words(self, "version"), self.work)

    def tear_down(self) -> None:
        self.server.terminate()
        self.server.wait()
        super().tear_down()


class Daemon(Docker):
    """dockerd, whose process is known."""

    @property
    def server(self) -> subprocess.Popen[bytes]:
        return self._daemon


def docker_words(engine: Engine, *words: str) -> list[str]:
    """Return a command of the docker command line."""
    return ["docker", "--host", f"unix://{engine.work}/sock", *words]


class Client:
    """docker-py with one engine, and the times of what it does, by the names of rows."""

    def __init__(self, engine: Served | Daemon) -> None:
        self.engine = engine
        self.times: dict[str, list[float]] = {}
        self.api: Any = docker.APIClient(base_url=f"unix://{engine.work}/sock", timeout=60)

    def take(self, row: str, deed: Callable[[], Any]) -> Any:
        """Do something, and take its time for the row."""
        start = time.perf_counter()
        result = deed()
        self.times.setdefault(row, []).append((time.perf_counter() - start) * 1000)
        return result

    def create(self, *command: str) -> str:
        """Create a container that a stop ends at once."""
        made = self.api.create_container(
            IMAGE, list(command), host_config=QUIET_CONFIG, stop_signal="SIGKILL"
        )
        return str(made["Id"])

    def run_through_the_command_line(self) -> None:
        words = docker_words(self.engine, "run", "--rm", *QUIET, IMAGE, "true")
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)

    def run_to_the_end(self) -> str:
        identity = self.create("true")
        self.api.start(identity)
        self.api.wait(identity)
        return identity

    def execute(self, identity: str) -> None:
        made = self.api.exec_create(identity, ["true"])
        self.api.exec_start(made["Id"])

    def live(self) -> None:
        """Do once everything that is measured a round."""
        self.take("`docker run --rm busybox true`", self.run_through_the_command_line)
        ended = self.take("docker-py: create, start and wait", self.run_to_the_end)
        self.api.remove_container(ended)
        identity = self.take("create", lambda: self.create("sleep", "600"))
        self.take("start", lambda: self.api.start(identity))
        self.take("exec: create and start", lambda: self.execute(identity))
        self.take("inspect", lambda: self.api.inspect_container(identity))
        self.take("stop", lambda: self.api.stop(identity))
        self.take("remove", lambda: self.api.remove_container(identity))


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket, without what a client spends on an answer."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def answers(engine: Engine, clients: int) -> float:
    """Return how many lists of containers a second some clients get at once."""
    counts = [0] * clients
    end = time.monotonic() + SECONDS

    def ask(number: int) -> None:
        with closing(Connection(f"{engine.work}/sock")) as connection:
            while time.monotonic() < end:
                connection.request("GET", "/containers/json?all=1")
                answer = connection.getresponse()
                assert answer.read(1) == b"["
                answer.read()
                counts[number] += 1

    threads = [Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS


def server_memory(engine: Served | Daemon) -> float:
    """Return the proportional memory of a server and of what it started, in MiB."""
    total = 0
    for pid in _family(engine.server.pid):
        with suppress(ProcessLookupError):  # it has ended meanwhile
            total += memory(pid)[0]
    return total / 1024


def _family(pid: int) -> Iterator[int]:
    yield pid
    for child in children(pid):
        yield from _family(child)


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.api", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="how often each deed is timed")
    options = parser.parse_args()
    with workplace() as work:
        make_rootfs(work / "rootfs", APPLETS)
        with taking_part((Served, Daemon), work) as engines:
            clients = [Client(one) for one in engines if isinstance(one, (Served, Daemon))]
            idle = [server_memory(client.engine) for client in clients]
            for client in clients:
                client.live()  # to warm up
                client.times.clear()
            for _ in range(options.rounds):
                for client in clients:
                    client.live()
            _print(clients, idle, options.rounds)
    return 0


def _print(clients: list[Client], idle: list[float], rounds: int) -> None:
    names = [client.engine.name for client in clients]
    print(f"\nMilliseconds, median of {rounds}; ratios are docker's figures to knarr's; memory is")
    print("proportional (PSS).\n")
    print(f"| | {' | '.join(names)} | ratio |")
    print(f"|---{'|--:' * (len(names) + 1)}|")
    for row in clients[0].times:
        _row(row, [median(client.times[row]) for client in clients])
    for client in clients:
        for _ in range(MANY):
            client.create("true")
    for count in (1, 4):
        title = f"lists of {MANY} containers a second, to {count} client{'s' * (count > 1)}"
        _row(title, [answers(client.engine, count) for client in clients])
    _row("memory of the idle server, MiB", idle)
    _row("… afterwards", [server_memory(client.engine) for client in clients])


def _row(title: str, figures: list[float]) -> None:
    cells = [f"{figure:.1f}" if figure < 100 else f"{figure:.0f}" for figure in figures]
    ratio = f"{figures[1] / figures[0]:.1f}" if len(figures) > 1 else ""
    print(f"| {title} | {' | '.join(cells)} | {ratio} |", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
