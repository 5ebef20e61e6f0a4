"""Docker and Podman to compare with, each with a world of its own that goes away with the test.

    with lent_docker(directory) as docker:
        docker.call("run", "--rm", IMAGE, "true")

Everything runs in a `Room`: mount, network and process ID namespaces of its own, with an empty
/run and an /etc in which nothing is kept. When its first process ends, which it does with the
test's process, the kernel ends daemons, containers and mounts with it; nothing of the host's is
touched but control groups, below a parent that is removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from knarr.linux import capabilities, cgroup
from support.rootfs import make_rootfs

IMAGE = "bb"
NARROW = "narrow"  # runc, for the capabilities that there are
TIMEOUT = 60
OURS = os.path.join(os.path.dirname(sys.executable), "knarr-runtime")
_READY = 20.0


class Outcome(NamedTuple):
    """How a command ended, and what it said."""

    status: int
    output: str
    errors: str


class Room:
    """Namespaces in which programs do what they like."""

    def __init__(self) -> None:
        for name in ("unshare", "nsenter"):
            if not shutil.which(name):
                pytest.skip(f"{name} is not installed (package util-linux)")
        # SIGCHLD ignored: who loses its parent in here is reaped by the kernel. The end of the
        # input ends cat, and with it the namespace.
        script = """
            mount -t tmpfs none /run && mkdir /run/upper /run/work &&
            mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work none /etc &&
            trap '' CHLD && echo ready && exec cat
        """
        command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
        self._first = subprocess.Popen(
            [*command, "--mount-proc", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._first.stdout is not None
        assert self._first.stdout.readline() == b"ready\n"
        children = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children").read_text()
        self.pid = int(children)

    def enter(self, *words: str) -> list[str]:
        """Return the command line that runs `words` inside."""
        return ["nsenter", "-t", str(self.pid), "-m", "-n", "-p", "--", *words]

    def run(self, *words: str) -> int:
        """Run a command inside to its end; return its status, 127 if there is no such program."""
        return subprocess.run(self.enter(*words), stdout=subprocess.DEVNULL, check=False).returncode

    def close(self) -> None:
        self._first.communicate(timeout=TIMEOUT)


class Engine:
    """An engine as its command line; `runtimes` are the names of those it can use."""

    name = ""
    quiet: tuple[str, ...] = ()  # options of every `run`

    def __init__(self, directory: Path, room: Room) -> None:
        self.directory = directory
        self.room = room
        self.parent = f"/knarr-test-{os.getpid()}-{self.name}"
        self.oracle = ""
        self.environment = dict(os.environ)

    def words(self) -> list[str]:
        """Return how the command line begins."""
        raise NotImplementedError

    def call(self, *words: str, data: str = "", tty: bool = False) -> Outcome:
        """Run a command of the engine to its end."""
        command = self.room.enter(*self.words(), *words)
        if tty:
            command = ["script", "-qec", shlex.join(command), "/dev/null"]
        done = subprocess.run(
            command, input=data.encode(), capture_output=True, check=False,
            timeout=TIMEOUT, env=self.environment,
        )  # fmt: skip
        output = done.stdout.decode(errors="replace")
        if tty:
            # The end of script's own input is echoed wherever it falls.
            output = output.replace("^@", "").replace("\b", "").replace("\r", "")
        return Outcome(done.returncode, output, done.stderr.decode(errors="replace"))

    def must(self, *words: str) -> str:
        """Run a command that has to succeed; return its output."""
        done = self.call(*words)
        assert done.status == 0, (words, done)
        return done.output

    def run(
        self, runtime: str, flags: Sequence[str], *command: str, data: str = "", tty: bool = False
    ) -> Outcome:
        """Run a container of busybox; one word of `command` is a script for its shell."""
        inside = ["sh", "-c", command[0]] if len(command) == 1 else command
        words = ("run", "--runtime", runtime, "--network", "none", "--cgroup-parent", self.parent)
        return self.call(*words, *self.quiet, *flags, IMAGE, *inside, data=data, tty=tty)

    def add_image(self, reference: str = IMAGE) -> None:
        archive = self.directory / "image.tar"
        with tarfile.open(archive, "w") as file:
            file.add(make_rootfs(self.directory / "rootfs", {"mnt/": "", "home/": ""}), ".")
        self.must("import", str(archive), reference)


class Docker(Engine):
    """Docker with a daemon of its own, which knows the runtime `knarr`."""

    name = "docker"

    def __init__(self, directory: Path, room: Room) -> None:
        super().__init__(directory, room)
        self.oracle = "runc"
        self.socket = f"unix://{directory}/docker.sock"
        options = {
            "host": self.socket, "data-root": directory / "data", "exec-root": directory / "exec",
            "pidfile": directory / "docker.pid", "bridge": "none", "iptables": "false",
            "ip6tables": "false", "ip-forward": "false",
            "cgroup-parent": self.parent, "config-file": directory / "daemon.json",
        }  # fmt: skip
        (directory / "daemon.json").write_text("{}")
        runtimes = {"knarr": OURS, NARROW: _make_narrow(directory)}
        words = [f"--{name}={value}" for name, value in options.items()]
        words += [f"--add-runtime={name}={path}" for name, path in runtimes.items()]
        self._log = directory / "dockerd.log"
        with open(self._log, "wb") as log:
            self._daemon = subprocess.Popen(
                room.enter("dockerd", *words),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "DOCKER_TLS_CERTDIR": ""},
            )  # fmt: skip
        deadline = time.monotonic() + _READY
        while self.call("version").status:
            assert self._daemon.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.1)

    def words(self) -> list[str]:
        return ["docker", "-H", self.socket]

    def close(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(TIMEOUT)


_NARROW = """#!{python} -IS
import json, os, sys
NAMES = {names!r}
words = sys.argv[1:]
if "create" in words:
    path = words[words.index("--bundle") + 1] + "/config.json"
    with open(path) as file:
        spec = json.load(file)
    with open("/proc/self/status") as file:
        mask = next(int(line.split()[1], 16) for line in file if line.startswith("CapBnd"))
    there = [name for number, name in enumerate(NAMES) if mask >> number & 1]
    sets = spec["process"].get("capabilities", {{}})
    for key, given in sets.items():
        sets[key] = [name for name in given if name in there]
    with open(path, "w") as file:
        json.dump(spec, file)
os.execvp("runc", ["runc", *words])
"""


def _make_narrow(directory: Path) -> str:
    """Make a runtime that is runc, but can be privileged where some capabilities are missing."""
    program = directory / NARROW
    program.write_text(_NARROW.format(python=sys.executable, names=capabilities.NAMES))
    program.chmod(0o755)
    return str(program)


class Podman(Engine):
    """Podman with storage of its own, which knows the runtime `knarr`."""

    name = "podman"

    def __init__(self, directory: Path, room: Room) -> None:
        super().__init__(directory, room)
        self.oracle = _usable("crun", "runc")
        limits = [f"{name}=1024:1024" for name in ("nofile", "nproc")]
        lines: dict[str, dict[str, object]] = {
            "containers": {"default_ulimits": limits, "log_driver": "k8s-file"},
            "engine": {
                "cgroup_manager": "cgroupfs", "events_logger": "file",
                "tmp_dir": f"{directory}/tmp", "static_dir": f"{directory}/static",
                "volume_path": f"{directory}/volumes",
                "runtime_supports_json": ["crun", "runc", "knarr"],
            },
            "engine.runtimes": {"knarr": [OURS]},
        }  # fmt: skip
        settings = directory / "containers.conf"
        settings.write_text(
            "".join(
                f"[{section}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in content.items())
                for section, content in lines.items()
            )
        )
        self.environment["CONTAINERS_CONF"] = str(settings)
        script = "echo containers:1000000:131072 | tee -a /etc/subuid >>/etc/subgid"
        subprocess.run(room.enter("sh", "-c", script), check=True)

    def words(self) -> list[str]:
        return ["podman", "--root", f"{self.directory}/root", "--runroot", "/run/podman"]

    def close(self) -> None:
        self.call("rm", "--all", "--force", "--time", "0")


def _usable(*names: str) -> str:
    """Return the first of the runtimes that can be used here, nothing if there is none."""
    kinds = {h.version: h.controllers for h in cgroup.hierarchies()}
    mixed = len(kinds) == 2 and kinds[2]
    for name in names:
        if shutil.which(name) and not (name == "crun" and mixed):
            return name
    return ""


@contextlib.contextmanager
def _removed_groups(parent: str) -> Iterator[None]:
    """Remove afterwards the control group `parent` of every hierarchy, with all below it.

    Podman makes directories for hierarchies that are not there, too.
    """
    place = "/sys/fs/cgroup"
    before = set(os.listdir(place))
    try:
        yield
    finally:
        for name in os.listdir(place):
            _remove_tree(f"{place}/{name}{parent}")
            if name not in before:
                with contextlib.suppress(OSError):
                    os.rmdir(f"{place}/{name}")
        _remove_tree(f"{place}{parent}")


def _remove_tree(directory: str) -> None:
    """Remove a control group with all below it, or what was taken for one."""
    for path, _, files in os.walk(directory, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(path)
            continue
        for name in files:
            with contextlib.suppress(OSError):
                os.unlink(f"{path}/{name}")
        with contextlib.suppress(OSError):
            os.rmdir(path)


@contextlib.contextmanager
def lent_engine(kind: type[Docker | Podman], directory: Path) -> Iterator[Docker | Podman]:
    """Lend an engine with the image `bb`; skip where it is not installed."""
    programs = {
        Docker: {"dockerd": "docker.io", "docker": "docker.io", "runc": "runc"},
        Podman: {"podman": "podman", "conmon": "conmon"},
    }
    for program, package in programs[kind].items():
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed, to run it on our runtime (package {package})")
    room = Room()
    with _removed_groups(f"/knarr-test-{os.getpid()}-{kind.name}"), contextlib.closing(room):
        engine = kind(directory, room)
        with contextlib.closing(engine):
            engine.add_image()
            yield engine
