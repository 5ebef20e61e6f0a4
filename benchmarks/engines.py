"""How each engine is called, and what it needs around it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

import knarr
from benchmarks.harness import Timer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

IMAGE = "bench-busybox"
APPLETS = ("cat", "echo", "ls", "sh", "sleep", "true")


class Engine:
    """A program with Docker's command line, or an OCI runtime."""

    name = ""
    program = ""
    alone = False  # see harness.Timer
    runtime = False
    networked = False

    def __init__(self, work: Path) -> None:
        """Prepare for work in the directory `work`; nothing runs before `set_up`."""
        self.work = work
        self.timer: Timer

    @classmethod
    def missing(cls) -> str:
        """Return why the engine cannot take part, or nothing."""
        return "" if shutil.which(cls.program) else f"{cls.program} is not installed"

    def set_up(self, rootfs: Path) -> None:
        """Start what has to run, and make the image or bundle of the tree `rootfs`."""
        self.open()
        with subprocess.Popen(["tar", "-C", rootfs, "-c", "."], stdout=subprocess.PIPE) as tar:
            self.call("import", "-", IMAGE, stdin=tar.stdout)

    def open(self) -> None:
        """Start what has to run, without any image."""
        self.work.mkdir()
        self.timer = Timer(alone=self.alone)
        self.start()

    def start(self) -> None:
        """Start a daemon, if there is one."""

    def tear_down(self) -> None:
        """Stop everything and leave nothing."""
        self.timer.close()
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            place = line.split()[1]
            if place.startswith(f"{self.work}/"):
                subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(self.work, ignore_errors=True)

    def words(self, *words: str) -> list[str]:
        """Return the whole command for `words`."""
        raise NotImplementedError

    def runtime_words(self, *words: str) -> list[str]:
        """Return the whole command for `words` of an OCI runtime."""
        return self.words(*words)

    def run(self, *words: str) -> list[str]:
        """Return the command that runs a container with the options and words given."""
        return self.words("run", *words)

    def call(self, *words: str, stdin: int | IO[bytes] | None = subprocess.DEVNULL) -> str:
        """Run a command without taking its time, and return what it prints."""
        inside = self.timer.inside if self.alone else []
        done = subprocess.run(
            [*inside, *self.words(*words)],
            stdin=stdin,
            capture_output=True,
            text=True,
            check=True,
            cwd=self.work,
        )
        return done.stdout.strip()


class Knarr(Engine):
    name = "knarr"
    networked = True

    @classmethod
    def missing(cls) -> str:
        return "" if cls._path().exists() else "knarr is not installed beside this Python"

    @staticmethod
    def _path() -> Path:
        return Path(sys.executable).with_name("knarr")

    def words(self, *words: str) -> list[str]:
        return [
            str(self._path()), "--root", f"{self.work}/root", "--run", f"{self.work}/run", *words
        ]  # fmt: skip

    def runtime_words(self, *words: str) -> list[str]:
        return [
            str(self._path().with_name("knarr-runtime")),
            "--root",
            f"{self.work}/state",
            *words,
        ]

    def tear_down(self) -> None:
        containers = self.call("ps", "-aq").split()
        if containers:
            self.call("rm", "-f", *containers)
        with knarr.Engine(f"{self.work}/root", f"{self.work}/run") as engine:
            engine.tear_down()
        super().tear_down()


class Docker(Engine):
    """Docker with a daemon of its own, which neither touches the host's networks nor its data."""

    name = "docker"
    program = "docker"
    network_words: tuple[str, ...] = ("--bridge", "none", "--iptables=false")

    @classmethod
    def missing(cls) -> str:
        return "" if shutil.which("dockerd") else "dockerd is not installed"

    def start(self) -> None:
        command = [
            "dockerd", "--data-root", f"{self.work}/data", "--exec-root", f"{self.work}/exec",
            "--host", f"unix://{self.work}/sock", "--pidfile", f"{self.work}/pid",
            *self.network_words, "--log-level", "error",
        ]  # fmt: skip
        with open(self.work / "log", "w") as log:
            self._daemon = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for_daemon(self.words("version"), self.work / "log")

    def tear_down(self) -> None:
        containers = self.call("ps", "-aq").split()
        if containers:
            self.call("rm", "-f", *containers)
        self._daemon.send_signal(signal.SIGTERM)
        self._daemon.wait()
        super().tear_down()

    def words(self, *words: str) -> list[str]:
        return ["docker", "--host", f"unix://{self.work}/sock", *words]


def wait_for_daemon(words: Sequence[str], log: Path) -> None:
    """Wait until a command gets an answer from a daemon that was just started."""
    for _ in range(150):
        if subprocess.run(words, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.2)
    message = f"the daemon does not answer: {log.read_text()}"
    raise RuntimeError(message)


class Podman(Engine):
    name = "podman"
    program = "podman"
    alone = True
    networked = False

    # Podman asks for more open files than a restricted machine may give.
    LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")

    def words(self, *words: str) -> list[str]:
        if words[:2] == ("rm", "-f"):  # Podman would ask politely first, for ten seconds
            words = ("rm", "-f", "-t", "0", *words[2:])
        return [
            "podman", "--root", f"{self.work}/root", "--runroot", f"{self.work}/run",
            "--cgroup-manager", "cgroupfs", "--storage-driver", "overlay",
            "--events-backend", "none", *words,
        ]  # fmt: skip

    def run(self, *words: str) -> list[str]:
        return self.words("run", *self.LIMITS, *words)

    def call(self, *words: str, stdin: int | IO[bytes] | None = subprocess.DEVNULL) -> str:
        if words[0] in ("create", "run"):
            words = (words[0], *self.LIMITS, *words[1:])
        return super().call(*words, stdin=stdin)

    def tear_down(self) -> None:
        self.call("rm", "--all", "--force")
        super().tear_down()


class Runtime(Engine):
    """An OCI runtime with a bundle, without anything around it."""

    runtime = True

    def set_up(self, rootfs: Path) -> None:
        self.work.mkdir()
        self.timer = Timer(alone=self.alone)
        shutil.copytree(rootfs, self.work / "rootfs", symlinks=True)
        subprocess.run([self.program, "spec"], cwd=self.work, check=True)
        path = self.work / "config.json"
        spec = json.loads(path.read_text())
        spec["process"].update(args=["true"], terminal=False)
        spec["process"].pop("rlimits", None)
        spec["root"]["readonly"] = False
        path.write_text(json.dumps(spec))

    def words(self, *words: str) -> list[str]:
        return [self.program, "--root", f"{self.work}/state", *words]

    def run(self, *words: str) -> list[str]:  # noqa: ARG002 - the bundle says it all
        return self.words("run", f"bench-{os.getpid()}")


class Crun(Runtime):
    name = program = "crun"
    alone = True


class Runc(Runtime):
    name = program = "runc"


ENGINES: tuple[type[Engine], ...] = (Knarr, Docker, Podman, Crun, Runc)


def make_rootfs(directory: Path, applets: Iterable[str] = APPLETS) -> None:
    """Make a tree with nothing but a static busybox."""
    (directory / "bin").mkdir(parents=True)
    shutil.copy2("/bin/busybox", directory / "bin" / "busybox")
    for applet in applets:
        (directory / "bin" / applet).symlink_to("busybox")


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Lend a directory to work in, to root alone."""
    if os.geteuid() != 0:
        raise SystemExit("benchmarks: containers are started as root here")
    with tempfile.TemporaryDirectory(prefix="knarr-bench-", dir="/var/tmp") as directory:
        yield Path(directory)


@contextlib.contextmanager
def taking_part(
    kinds: Iterable[type[Engine]], work: Path, *, wanted: str = ""
) -> Iterator[list[Engine]]:
    """Lend those engines that are there, set up with the tree `work`/rootfs; say why others not.

    `wanted` names some, by commas; without it all are.
    """
    engines: list[Engine] = []
    try:
        for kind in kinds:
            if wanted and kind.name not in wanted.split(","):
                continue
            if reason := kind.missing():
                print(f"Without {kind.name}: {reason}.")
                continue
            engine = kind(work / kind.name)
            engines.append(engine)
            engine.set_up(work / "rootfs")
        yield engines
    finally:
        for engine in engines:
            engine.tear_down()
