"""Containers under a supervisor, without an engine: a busybox, a spec, and `supervise.control`."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from knarr.runtime import cgroups, members
from knarr.supervise import control, task
from knarr.supervise.messages import CONTROL, LogOptions, Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from knarr.supervise.control import Client, Starting

CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_DAC_OVERRIDE"]
PATIENCE = 20.0


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until `condition` holds; fail after a time that only a failure can take."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.005)


def make_spec(rootfs: Path, *arguments: str, terminal: bool = False, uid: int = 0) -> Any:
    """Return a spec that runs `arguments` in `rootfs`, which stays as it is."""
    sets = ("bounding", "effective", "permitted")
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": terminal,
            "user": {"uid": uid, "gid": uid},
            "args": list(arguments),
            "env": ["PATH=/bin", "HOME=/root"],
            "cwd": "/",
            "capabilities": dict.fromkeys(sets, CAPABILITIES),
        },
        "root": {"path": str(rootfs), "readonly": True},
        "hostname": "test",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
        ],
        "linux": {
            "namespaces": [
                {"type": name} for name in ("mount", "pid", "ipc", "uts", "network")
            ],
        },
    }  # fmt: skip


class Supervised:
    """One container: its directories, the order, and what can be asked about it."""

    def __init__(self, directory: Path, rootfs: Path) -> None:
        self.id = os.urandom(32).hex()  # also the name of its control groups
        self.rootfs = rootfs
        self.root = directory / "root"
        self.run = directory / "run"
        self.bundle_dir = self.root / "containers" / self.id
        self.control_dir = self.run / "containers" / self.id
        self.log_path = self.bundle_dir / f"{self.id}-json.log"
        self._clients: list[Client] = []
        self.bundle_dir.mkdir(parents=True)
        self.control_dir.parent.mkdir(parents=True, exist_ok=True)

    def order(self, *arguments: str, uid: int = 0, log: Any = None, **fields: Any) -> Order:
        """Return an order to run `arguments`."""
        spec = make_spec(self.rootfs, *arguments, terminal=fields.get("terminal", False), uid=uid)
        fields.setdefault("owner", True)
        return Order(
            id=self.id,
            root=str(self.root),
            run=str(self.run),
            bundle_dir=str(self.bundle_dir),
            control_dir=str(self.control_dir),
            spec=spec,
            log=(log or LogOptions()).replace(path=str(self.log_path)),
            **fields,
        )

    def start(self, *arguments: str, trace: str = "", **fields: Any) -> Client:
        """Start a container; return the connection that ordered it."""
        starting = self.spawn(trace)
        starting.send_order(self.order(*arguments, **fields))
        starting.wait_created()
        starting.start()
        starting.wait_started()
        return self.keep(starting.client())

    def keep(self, client: Client) -> Client:
        """Close `client` with the test, and let nothing wait for it for ever."""
        self._clients.append(client)
        client.connection.settimeout(PATIENCE)
        return client

    @staticmethod
    def spawn(trace: str = "") -> Starting:
        """Start a supervisor that acts at the trace points in `trace`."""
        os.environ["KNARR_TRACE"] = trace
        try:
            return control.spawn()
        finally:
            del os.environ["KNARR_TRACE"]

    def connect(self) -> Client:
        """Return a further connection."""
        return self.keep(control.connect(str(self.control_dir)))

    @property
    def task(self) -> dict[str, Any]:
        """Return what task.json says."""
        fields = task.read(str(self.bundle_dir))
        assert fields is not None
        return fields

    @property
    def supervisor_pid(self) -> int:
        pid: int = self.task["supervisor_pid"]
        return pid

    def kill_supervisor(self) -> None:
        """SIGKILL the supervisor and wait until it has ended."""
        pid = self.supervisor_pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: not task.start_time(pid), "the end of the supervisor")

    def clean_up(self) -> None:
        """End whatever a test left."""
        for client in self._clients:
            client.close()
        fields = task.read(str(self.bundle_dir)) or {}
        for pid in (fields.get("supervisor_pid", 0), fields.get("pid", 0)):
            if pid and task.start_time(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        members.kill(group := cgroups.locate("", self.id))
        members.delete(group)


def events(client: Client) -> Iterator[tuple[int, Any]]:
    """Yield all that a connection brings until its end."""
    while (arrived := client.read()) is not None:
        yield from arrived


def collect(client: Client) -> tuple[dict[int, bytes], control.Exit]:
    """Return all output until the exit, and the exit; clean up as the owner would."""
    output: dict[int, bytes] = {1: b"", 2: b""}
    ended = None
    for stream, content in events(client):
        if stream != CONTROL:
            output[stream] += content
        elif content.get("event") == "exited":
            ended = control.to_exit(content)
            client.cleaned()
    client.close()
    assert ended is not None, "the connection ended before the container"
    return output, ended


def wait_output(client: Client, wanted: bytes) -> bytes:
    """Read output until `wanted` is in it."""
    output = b""
    while wanted not in output:
        arrived = client.read()
        assert arrived is not None, f"the connection ended after {output!r}"
        for position, (stream, content) in enumerate(arrived):
            if stream != CONTROL:
                output += content
                if wanted in output:
                    client._waiting = arrived[position + 1 :]
                    break
    return output
