"""OCI runtimes by their common command line: ours, and those installed to compare with.

A bundle is a directory with a rootfs of busybox and a config.json that a test may change before it
runs. Every container made through a `Runtime` is gone when its test ends.
"""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from knarr.linux import cgroup
from knarr.runtime.command.default_spec import default_spec
from support.rootfs import make_rootfs

SOURCE = str(Path(__file__).parents[2] / "src")
CODE = f"import sys; sys.path.insert(0, {SOURCE!r}); from knarr.runtime.main import main; main()"
KNARR = [sys.executable, "-I", "-S", "-c", CODE]


class Bundle:
    """A directory with config.json and rootfs."""

    def __init__(self, directory: Path, *args: str, files: dict[str, str | bytes] | None = None):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.rootfs = make_rootfs(directory / "rootfs", files)
        self.spec: dict[str, Any] = copy.deepcopy(default_spec())
        self.spec["ociVersion"] = "1.0.2"  # so that older runtimes take it too
        self.spec["process"]["terminal"] = False
        self.spec["root"]["readonly"] = False
        self.command(*args or ("true",))

    def command(self, *args: str) -> Bundle:
        """Let the container run `args`; one argument is a script for the shell."""
        self.spec["process"]["args"] = ["sh", "-c", args[0]] if len(args) == 1 else list(args)
        return self

    def write(self) -> Path:
        (self.directory / "config.json").write_text(json.dumps(self.spec))
        return self.directory

    def namespace(self, kind: str, **fields: str) -> None:
        """Replace the namespace `kind`; without it when fields are `gone=""`."""
        kept = [n for n in self.spec["linux"]["namespaces"] if n["type"] != kind]
        if "gone" not in fields:
            kept.append({"type": kind, **fields})
        self.spec["linux"]["namespaces"] = kept

    def mount(self, destination: str, **fields: Any) -> None:
        """Add a mount, or replace the one at `destination`."""
        entry = {"destination": destination, **fields}
        mounts = self.spec["mounts"]
        for at, mount in enumerate(mounts):
            if mount["destination"] == destination:
                mounts[at] = entry
                return
        mounts.append(entry)


class Runtime:
    """One runtime, with a state directory of its own."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self.command = KNARR if name == "knarr-runtime" else [shutil.which(name) or name]
        if name == "crun" and (unified := _v2_beside_v1()):
            # It refuses a machine with both versions, so it gets a view without the second.
            script = 'umount "$0" && exec "$@"'
            self.command = ["unshare", "-m", "sh", "-c", script, unified, *self.command]
        self.ids: list[str] = []
        self._prefix = f"t{abs(hash(str(root))) % 10**8:08d}"

    def new_id(self) -> str:
        self.ids.append(f"{self._prefix}-{len(self.ids)}")
        return self.ids[-1]

    def call(
        self, *words: str, input_text: str | None = None, globals_: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        command = [*self.command, "--root", str(self.root), *globals_, *words]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, input=input_text or ""
        )

    def run(self, bundle: Bundle, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the bundle's container to its end."""
        words = ("run", *options, "--bundle", str(bundle.write()), self.new_id())
        return self.call(*words)

    def output(self, bundle: Bundle, *options: str) -> str:
        """Return what a container that must succeed prints."""
        done = self.run(bundle, *options)
        assert done.returncode == 0, (self.name, done.stderr, done.stdout)
        return done.stdout

    def start(self, bundle: Bundle) -> str:
        """Leave a container running, its output discarded; return its ID."""
        container_id = self.new_id()
        command = [*self.command, "--root", str(self.root), "run", "--detach"]
        command += ["--bundle", str(bundle.write()), container_id]
        null = subprocess.DEVNULL
        log = self.root.parent / "start.log"  # a pipe would stay open with the container
        with open(log, "wb") as errors:
            done = subprocess.run(
                command, stdin=null, stdout=null, stderr=errors, timeout=60, check=False
            )
        assert done.returncode == 0, log.read_text()
        return container_id

    def state(self, container_id: str) -> dict[str, Any]:
        done = self.call("state", container_id)
        assert done.returncode == 0, done.stderr
        state: dict[str, Any] = json.loads(done.stdout)
        return state

    def wait(self, container_id: str, status: str) -> None:
        """Wait until the container is in a status."""
        deadline = time.monotonic() + 10
        while self.state(container_id)["status"] != status:
            assert time.monotonic() < deadline, self.state(container_id)
            time.sleep(0.02)

    def clean_up(self) -> None:
        for container_id in self.ids:
            if (self.root / container_id).exists():
                self.call("delete", "--force", container_id)


def _v2_beside_v1() -> str:
    """Return where v2 is mounted if v1 is too, else nothing."""
    points = {hierarchy.version: hierarchy.mount_point for hierarchy in cgroup.hierarchies()}
    return points[2] if len(points) == 2 else ""


def need(name: str) -> None:
    """Skip unless the runtime `name` can be used here."""
    if name == "knarr-runtime":
        return
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed, to compare with")
