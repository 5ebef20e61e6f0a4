"""`knarr-runtime --systemd-cgroup`: what systemd and the cgroup say of the container's scope."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.linux import cgroup
from support.engine import Knarr
from support.runtimes import Bundle, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.root


class Systemd(Runtime):
    """Our runtime, with systemd as the manager of cgroups."""

    def __init__(self, root: Path) -> None:
        super().__init__("knarr-runtime", root)
        self.command = [*self.command, "--systemd-cgroup"]

    @property
    def unit(self) -> str:
        """The unit of the last container."""
        return f"test-{self.ids[-1]}.scope"

    def properties(self, *names: str) -> dict[str, str]:
        """Return what systemd says of that unit."""
        words = ["systemctl", "show", self.unit, *(f"--property={name}" for name in names)]
        text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Systemd]:
    if not Path("/run/systemd/private").exists() or not cgroup.is_unified():
        pytest.skip("systemd with nothing but cgroup v2 does not run here")
    found = Systemd(tmp_path / "state")
    yield found
    found.clean_up()


def started(runtime: Systemd, bundle: Bundle) -> Path:
    """Start a container of the unit `runtime.unit` in test.slice; return its cgroup."""
    number = len(runtime.ids)
    bundle.spec["linux"]["cgroupsPath"] = f"test.slice:test:{runtime._prefix}-{number}"
    container_id = runtime.start(bundle)
    pid = runtime.state(container_id)["pid"]
    (line,) = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    assert line == f"0::/test.slice/{runtime.unit}"
    return Path("/sys/fs/cgroup" + line[3:])


def test_a_scope_is_made_limited_and_removed(runtime: Systemd, tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / "bundle", "sleep", "1000")
    bundle.spec["annotations"] = {"org.systemd.property.TimeoutStopUSec": "uint64 123456789"}
    bundle.spec["linux"]["resources"] = {
        "memory": {"limit": 64 << 20, "reservation": 32 << 20},
        "cpu": {"quota": 25_000, "period": 100_000, "shares": 2048, "cpus": "0"},
        "pids": {"limit": 33},
        "unified": {"memory.high": "50331648"},
        "devices": [{"allow": False, "access": "rwm"}],
    }
    directory = started(runtime, bundle)
    shown = runtime.properties(
        "ActiveState", "Slice", "Delegate", "MemoryMax", "MemoryLow", "MemoryHigh", "TasksMax",
        "CPUQuotaPerSecUSec", "AllowedCPUs", "TimeoutStopUSec",
    )  # fmt: skip
    assert shown == {
        "ActiveState": "active", "Slice": "test.slice", "Delegate": "yes",
        "MemoryMax": str(64 << 20), "MemoryLow": str(32 << 20), "MemoryHigh": "50331648",
        "TasksMax": "33", "CPUQuotaPerSecUSec": "250ms", "AllowedCPUs": "0",
        "TimeoutStopUSec": "2min 3.456789s",
    }  # fmt: skip
    files = ("memory.max", "memory.high", "pids.max", "cpu.max", "cpuset.cpus")
    assert [(directory / file).read_text().strip() for file in files] == [
        str(64 << 20), "50331648", "33", "25000 100000", "0",
    ]  # fmt: skip
    assert (directory / "cgroup.procs").read_text().split() == [
        str(runtime.state(runtime.ids[-1])["pid"])
    ]
    done = runtime.call("delete", "--force", runtime.ids[-1])
    assert done.returncode == 0, done.stderr
    assert not directory.exists()
    assert runtime.properties("LoadState", "ActiveState")["ActiveState"] == "inactive"


def test_limits_outlive_a_reload_of_systemd(runtime: Systemd, tmp_path: Path) -> None:
    directory = started(runtime, Bundle(tmp_path / "bundle", "sleep", "1000"))
    resources = {"memory": {"limit": 96 << 20}, "pids": {"limit": 44}}
    done = runtime.call(
        "update", "--resources", "-", runtime.ids[-1], input_text=json.dumps(resources)
    )
    assert done.returncode == 0, done.stderr
    shown = runtime.properties("MemoryMax", "TasksMax")
    assert shown == {"MemoryMax": str(96 << 20), "TasksMax": "44"}
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    assert (directory / "memory.max").read_text().strip() == str(96 << 20)
    assert (directory / "pids.max").read_text().strip() == "44"


def test_exec_pause_and_kill_inside_a_scope(runtime: Systemd, tmp_path: Path) -> None:
    directory = started(runtime, Bundle(tmp_path / "bundle", "sleep", "1000"))
    container_id = runtime.ids[-1]
    inside = runtime.call("exec", container_id, "cat", "/proc/self/cgroup")
    assert inside.stdout == "0::/\n", inside.stderr
    assert runtime.call("pause", container_id).returncode == 0
    assert "frozen 1" in (directory / "cgroup.events").read_text()
    assert runtime.call("resume", container_id).returncode == 0
    assert runtime.call("kill", container_id, "KILL").returncode == 0
    runtime.wait(container_id, "stopped")
    assert runtime.call("delete", container_id).returncode == 0


def test_what_fails_leaves_no_scope(runtime: Systemd, tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / "bundle", "/no/such/program")
    bundle.spec["linux"]["cgroupsPath"] = "test.slice:test:failing"
    done = runtime.run(bundle)
    assert done.returncode != 0
    words = ["systemctl", "list-units", "--all", "--no-legend", "test-failing.scope"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == ""


def test_a_name_that_is_taken(runtime: Systemd, tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / "bundle", "sleep", "1000")
    started(runtime, bundle)
    done = runtime.run(bundle)
    assert done.returncode == 1
    assert f"starting the unit {runtime.ids[0].join(('test-', '.scope'))}" in done.stderr
    assert "already" in done.stderr


def test_a_property_that_systemd_does_not_know(runtime: Systemd, tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / "bundle", "true")
    bundle.spec["linux"]["cgroupsPath"] = "test.slice:test:unknown"
    bundle.spec["annotations"] = {"org.systemd.property.NoSuchThing": "true"}
    done = runtime.run(bundle)
    assert done.returncode == 1
    assert "NoSuchThing" in done.stderr


@pytest.fixture
def managed(knarr: Knarr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Knarr:
    """Let systemd make the control groups of an engine's containers."""
    if not Path("/run/systemd/private").exists() or not cgroup.is_unified():
        pytest.skip("systemd with nothing but cgroup v2 does not run here")
    settings = tmp_path / "knarr.toml"
    settings.write_text('[runtime]\ncgroup_manager = "systemd"\n')
    monkeypatch.setenv("KNARR_SETTINGS", str(settings))
    return knarr


def test_an_engine_s_container_is_a_scope(managed: Knarr) -> None:
    assert managed("info", "--format", "{{.CgroupDriver}}") == "systemd\n"
    run = ("run", "-d", "--network", "none", "--restart", "always", "--memory", "64m")
    container_id = managed(*run, "busybox", "sleep", "1000").strip()
    unit = f"{managed.engine.paths.realm}-{container_id}.scope"
    assert _show(unit, "ActiveState", "MemoryMax") == ["active", str(64 << 20)]
    managed("update", "--memory", "96m", "--memory-swap", "96m", container_id)
    assert _show(unit, "MemoryMax") == [str(96 << 20)]
    managed("restart", "--time", "0", container_id)
    assert _show(unit, "ActiveState") == ["active"]
    managed("rm", "--force", container_id)
    assert _show(unit, "ActiveState") == ["inactive"]


def test_a_scope_of_no_container_is_found_and_removed(managed: Knarr) -> None:
    unit = f"{managed.engine.paths.realm}-{'0' * 64}.scope"
    words = ["systemd-run", "--quiet", "--scope", "--slice=system.slice", f"--unit={unit}"]
    left = subprocess.Popen([*words, "sleep", "1000"])
    try:
        while _show(unit, "ActiveState") != ["active"]:
            assert left.poll() is None
            time.sleep(0.05)
        found = managed.do("system", "check").stdout
        assert f":{managed.engine.paths.realm}:{'0' * 64}" in found
        managed("system", "check", "--repair")
        assert left.wait(timeout=30) < 0
    finally:
        left.kill()
        left.wait()
    assert _show(unit, "ActiveState") == ["inactive"]


def test_a_parent_that_is_no_slice(managed: Knarr) -> None:
    words = ("run", "--rm", "--network", "none", "--cgroup-parent", "/here", "busybox", "true")
    said = managed.fails(*words, status=125)
    assert 'should be a valid slice named as "xxx.slice"' in said


def _show(unit: str, *names: str) -> list[str]:
    words = ["systemctl", "show", unit, *(f"--property={name}" for name in names)]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    values = dict(line.split("=", 1) for line in text.splitlines())
    return [values[name] for name in names]
