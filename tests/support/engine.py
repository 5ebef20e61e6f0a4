"""An engine of its own for each test, with a busybox image; afterwards nothing of it may be left.

@pytest.fixture
def knarr(tmp_path): ...        in tests/integration/conftest.py, made by `lent_engine`

knarr("run", "--rm", "busybox", "true")              the command, which has to succeed
knarr.fails("run", "busybox", "false", status=1)     … and one that has not
knarr.engine                                          the library on the same root
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from typing import TYPE_CHECKING, Any

from knarr.engine.engine import Engine
from knarr.oci import config as images
from knarr.oci.descriptor import host_platform
from knarr.oci.digest import digest_of
from knarr.oci.reference import parse_reference
from support.images import docker_archive
from support.netns import entered
from support.rootfs import make_rootfs, need_busybox

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from knarr.oci.digest import Digest
    from support.netns import Host

TIMEOUT = 60
GONE_AFTER = 10.0
_OWN_MOUNTS = os.readlink("/proc/self/ns/mnt")
_tars: dict[str, bytes] = {}


class Knarr:
    """The command `knarr` on directories of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = str(directory / "root")
        self.run_dir = str(directory / "run")
        self.engine = Engine(self.root, self.run_dir)

    def command(self, *words: str) -> list[str]:
        """Return the command line."""
        knarr = os.path.join(os.path.dirname(sys.executable), "knarr")
        return [knarr, "--root", self.root, "--run", self.run_dir, *words]

    def do(
        self, *words: str, stdin: bytes = b"", trace: str = "", timeout: float = TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end, whatever that is."""
        environment = {**os.environ, "KNARR_TRACE": trace} if trace else None
        done = subprocess.run(
            self.command(*words), input=stdin, capture_output=True, check=False,
            timeout=timeout, env=environment,
        )  # fmt: skip
        return subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode("utf-8", "surrogateescape"),
            done.stderr.decode("utf-8", "surrogateescape"),
        )

    def __call__(self, *words: str, stdin: bytes = b"") -> str:
        """Run the command, which has to succeed and say nothing on stderr; return its output."""
        done = self.do(*words, stdin=stdin)
        assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
        assert done.stderr == "", (words, done.stderr)
        return done.stdout

    def fails(self, *words: str, status: int = 1) -> str:
        """Run the command, which has to end with `status`; return what it says on stderr."""
        done = self.do(*words)
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stderr

    def start(self, *words: str, trace: str = "") -> subprocess.Popen[bytes]:
        """Start the command with pipes; the test ends it."""
        environment = {**os.environ, "KNARR_TRACE": trace} if trace else None
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.command(*words), stdin=pipe, stdout=pipe, stderr=pipe, env=environment
        )

    def explained(self, name: str = "one") -> dict[str, Any]:
        """Return what `explain` says of a container, as a document."""
        found: dict[str, Any] = json.loads(self("explain", "--format", "json", name))
        return found

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Be in the network namespace of a container with this thread."""
        pid = self.do("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with entered(descriptor):
                yield
        finally:
            os.close(descriptor)

    def add_image(
        self,
        name: str = "busybox",
        *,
        files: dict[str, str | bytes] | None = None,
        links: dict[str, str] | None = None,
        config: images.RunConfig | None = None,
    ) -> Digest:
        """Put an image of busybox, `files` and `links` into the store, and return its ID."""
        need_busybox()
        key = repr((sorted((files or {}).items()), sorted((links or {}).items())))
        if key not in _tars:
            rootfs = make_rootfs(self.directory / f"rootfs-{len(_tars)}", files)
            for path, target in (links or {}).items():
                (rootfs / path).unlink(missing_ok=True)
                (rootfs / path).symlink_to(target)
            _tars[key] = _pack(rootfs)
        layer = _tars[key]
        default = images.RunConfig(env=("PATH=/bin",), cmd=("sh",))
        document = images.encode_config(
            platform=host_platform(), config=config or default, diff_ids=(digest_of(layer),)
        )
        reference = str(parse_reference(name).with_default_tag())
        archive = docker_archive([layer], reference, config=document.raw)
        (loaded,) = self.engine.images.load(io.BytesIO(archive))
        return loaded.id

    def wait_until(self, condition: object, *, timeout: float = 10.0) -> None:
        """Wait until the callable `condition` is true."""
        deadline = time.monotonic() + timeout
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < deadline, "it did not become true in time"
            time.sleep(0.01)

    # what there is afterwards

    def close(self) -> None:
        """Remove all containers and networks, and assert that nothing is left."""
        self.engine.notices.clear()
        names = [row.id for row in self.engine.containers.all()]
        if names:
            done = self.do("rm", "-f", "-v", *names)  # which may say that one has gone by itself
            assert done.returncode == 0, done
        self.engine.tear_down()
        self.engine.close()
        self.assert_clean()

    def assert_clean(self) -> None:
        """Assert that no process, mount, control group or directory of a container is left."""
        deadline = time.monotonic() + GONE_AFTER
        while (left := self.leftovers()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert left == [], "\n".join(left)

    def leftovers(self) -> list[str]:
        """Return in words what of this engine there is besides its stored images."""
        left = [f"process {pid}: {words}" for pid, words in self.processes()]
        left += [f"mount {line}" for line in _lines("/proc/self/mountinfo") if self.root in line]
        left += [f"control group {path}" for path in self.control_groups()]
        left += [f"interface {name}" for name in self.interfaces()]
        paths = self.engine.paths
        for directory in (paths.containers_dir, paths.tasks_dir, paths.journal_dir):
            left += [f"{directory}/{name}" for name in os.listdir(directory)]
        left += [f"{paths.layers_dir}/{n}" for n in os.listdir(paths.layers_dir) if "coming" in n]
        left += [f"{paths.run}/{name}" for name in os.listdir(paths.run) if name.startswith(".")]
        return left

    def processes(self) -> list[tuple[int, str]]:
        """Return the processes, not ours, that have files of this engine open or mounted."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdecimal() and int(name) != os.getpid() and self._uses(int(name)):
                with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
                    found.append((int(name), file.read().replace(b"\0", b" ").decode()))
        return found

    def _uses(self, pid: int) -> bool:
        place = str(self.directory)
        try:
            # Who is in our mount namespace sees our mounts, and has nothing to do with them.
            apart = os.readlink(f"/proc/{pid}/ns/mnt") != _OWN_MOUNTS
            if apart and any(place in line for line in _lines(f"/proc/{pid}/mountinfo")):
                return True
            for name in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{name}").startswith(place):
                    return True
        except OSError:
            return False
        return False

    def control_groups(self) -> list[str]:
        """Return the control groups of this engine's containers; empty parents are removed."""
        found = []
        for line in _lines("/proc/self/mountinfo"):
            fields = line.split(" ")
            if " - cgroup" not in line:
                continue
            parent = f"{fields[4]}/{self.engine.paths.realm}"
            if os.path.isdir(parent):
                found += [
                    f"{parent}/{entry.name}" for entry in os.scandir(parent) if entry.is_dir()
                ]
                with contextlib.suppress(OSError):
                    os.rmdir(parent)
        return found

    def interfaces(self) -> list[str]:
        """Return the interfaces on this engine's bridges that no container has."""
        prefix = self.engine.networks.bridges.realm.prefix
        found = set()
        for name in os.listdir("/sys/class/net"):
            with contextlib.suppress(OSError):
                bridge = os.path.basename(os.readlink(f"/sys/class/net/{name}/master"))
                if bridge.startswith(prefix):
                    found.add(name)
        rows = self.engine.database.rows("SELECT detail FROM endpoints")
        return sorted(name for name in found if not any(name in detail for (detail,) in rows))

    def kill_everything(self) -> None:
        """End every process of this engine: the last resort of a test that failed."""
        for pid, _ in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _lines(path: str) -> Sequence[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except OSError:
        return ()


def _pack(directory: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path in sorted(directory.iterdir()):
            archive.add(path, path.name)
    return stream.getvalue()


@contextlib.contextmanager
def engine_on(host: Host, directory: Path) -> Iterator[Knarr]:
    """Lend a command as `lent_engine` does, on a host of its own, where it leaves no link."""
    with lent_engine(directory) as lent:
        lent.add_image("busybox")
        yield lent
    assert {name for name in host.links() if not name.startswith("kv")} == set()


@contextlib.contextmanager
def lent_store(directory: Path) -> Iterator[Knarr]:
    """Lend a `Knarr` without any image, in a directory that is made; look for leaks afterwards."""
    directory.mkdir(exist_ok=True)
    knarr = Knarr(directory)
    yield knarr
    knarr.engine.close()
    knarr.assert_clean()


@contextlib.contextmanager
def lent_engine(directory: Path) -> Iterator[Knarr]:
    """Lend a `Knarr` with a busybox image; clean up and look for leaks afterwards."""
    knarr = Knarr(directory)
    knarr.add_image()
    try:
        yield knarr
        knarr.close()
    finally:
        knarr.kill_everything()
