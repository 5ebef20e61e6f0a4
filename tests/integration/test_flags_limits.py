"""Limits of `run` and `update`, read back from the control files that the container sees."""

from __future__ import annotations

import json
import os
import time

import pytest

from knarr.linux import cgroup
from support.engine import Knarr

pytestmark = pytest.mark.root
RUN = ("run", "--rm", "--network", "none")
VERSIONS = {name: h.version for h in cgroup.hierarchies() for name in h.controllers}
ROOTS = {name: h.mount_point for h in cgroup.hierarchies() for name in h.controllers}


def need(controller: str) -> None:
    """Skip without a controller."""
    if controller not in VERSIONS:
        pytest.skip(f"there is no {controller} controller")


def control(knarr: Knarr, files: tuple[str, str], *options: str, controller: str) -> str:
    """Return what a control file, by its names in v1 and v2, says in a container."""
    need(controller)
    version = VERSIONS[controller]
    place = (
        f"/sys/fs/cgroup/{controller}/{files[0]}" if version == 1 else f"/sys/fs/cgroup/{files[1]}"
    )
    return knarr(*RUN, *options, "busybox", "cat", place).strip()


def refused(knarr: Knarr, *options: str) -> str:
    return knarr.fails(*RUN, *options, "busybox", "true", status=125)


def test_memory(knarr: Knarr) -> None:
    limit = ("memory.limit_in_bytes", "memory.max")
    size = str(32 << 20)
    assert control(knarr, limit, "-m", "32m", controller="memory") == size
    soft = ("memory.soft_limit_in_bytes", "memory.low")
    options = ("-m", "32m", "--memory-reservation", "16m", "--memory-swap", "-1")
    assert control(knarr, soft, *options, controller="memory") == str(16 << 20)
    if VERSIONS["memory"] == 1:
        file = ("memory.swappiness", "")
        assert control(knarr, file, "--memory-swappiness", "7", controller="memory") == "7"
        file = ("memory.oom_control", "")
        found = control(knarr, file, "-m", "20m", "--oom-kill-disable", controller="memory")
        assert found.startswith("oom_kill_disable 1")


def test_memory_that_cannot_be(knarr: Knarr) -> None:
    words = refused(knarr, "-m", "lots")
    assert 'invalid argument "lots" for "-m, --memory" flag: invalid size: \'lots\'' in words
    assert "minimum memory limit allowed is 6MB" in refused(knarr, "-m", "5m")
    assert "should be larger than memory limit" in refused(knarr, "-m", "9m", "--memory-swap", "8m")
    assert "always set the memory limit" in refused(knarr, "--memory-swap", "8m")
    assert "swappiness range is 0-100" in refused(knarr, "--memory-swappiness", "101")
    words = refused(knarr, "-m", "9m", "--memory-reservation", "10m")
    assert "can not be less than memory reservation limit" in words


def test_processors(knarr: Knarr) -> None:
    quota = ("cpu.cfs_quota_us", "cpu.max")
    given = {1: "20000", 2: "20000 50000"}
    options = ("--cpu-period", "50000", "--cpu-quota", "20000")
    assert control(knarr, quota, *options, controller="cpu") == given[VERSIONS["cpu"]]
    shares = ("cpu.shares", "cpu.weight")
    assert control(knarr, shares, "--cpu-shares", "512", controller="cpu") in ("512", "59")
    allowed = "grep -E '(Cpus|Mems)_allowed_list' /proc/self/status | cut -f2"
    found = knarr(*RUN, "--cpuset-cpus", "0", "--cpuset-mems", "0", "busybox", "sh", "-c", allowed)
    assert found == "0\n0\n"
    assert "conflicting options: --cpus and --cpu-period" in refused(
        knarr, "--cpus", "1", "--cpu-period", "5000"
    )
    assert "range of CPUs is from 0.01 to" in refused(knarr, "--cpus", "0.001")
    assert "requested CPUs are not available" in refused(knarr, "--cpuset-cpus", "999")
    assert "requested memory nodes are not available" in refused(knarr, "--cpuset-mems", "99")


def test_realtime(knarr: Knarr) -> None:
    options = ("--cpu-rt-period", "1000000", "--cpu-rt-runtime", "1000")
    if VERSIONS.get("cpu") != 1 or not os.path.exists(f"{ROOTS['cpu']}/cpu.rt_runtime_us"):
        assert "does not support CPU real-time scheduler" in refused(knarr, *options)
        return
    words = "cpu real-time runtime cannot be higher than cpu real-time period"
    more = ("--cpu-rt-period", "1000", "--cpu-rt-runtime", "2000")
    assert words in refused(knarr, *more)
    assert "there is not so much real-time left" in refused(
        knarr, "--cpu-rt-period", "1000000", "--cpu-rt-runtime", "990000"
    )
    probe = f"{ROOTS['cpu']}/knarr-probe-{os.getpid()}"
    os.mkdir(probe)
    try:
        with open(f"{probe}/cpu.rt_runtime_us", "w") as file:
            file.write("2000")
    except OSError:
        pytest.skip("all real-time of this machine belongs to other control groups")
    finally:
        os.rmdir(probe)
    file_names = ("cpu.rt_runtime_us", "")
    assert control(knarr, file_names, *options, controller="cpu") == "1000"


def test_block_devices(knarr: Knarr) -> None:
    device = next(
        (n for n in ("loop0", "vda", "sda", "nvme0n1") if os.path.exists(f"/dev/{n}")), ""
    )
    if not device:
        pytest.skip("there is no block device")
    status = os.stat(f"/dev/{device}")
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    controller = "blkio" if "blkio" in VERSIONS else "io"
    for what, v2, value, shown in (
        ("read-bps", "rbps", "1mb", 1 << 20), ("write-bps", "wbps", "2mb", 2 << 20),
        ("read-iops", "riops", "30", 30), ("write-iops", "wiops", "40", 40),
    ):  # fmt: skip
        files = (f"blkio.throttle.{what.replace('-', '_')}_device", "io.max")
        option = (f"--device-{what}", f"/dev/{device}:{value}")
        found = control(knarr, files, *option, controller=controller)
        assert found.startswith(number)
        assert (f"{v2}={shown}" if VERSIONS[controller] == 2 else str(shown)) in found.split()
    words = refused(knarr, "--device-read-bps", "/dev/null:1")
    assert "cannot limit the device /dev/null: it is no block device" in words
    assert "range of blkio weight is from 10 to 1000" in refused(knarr, "--blkio-weight", "5")
    if VERSIONS[controller] == 1 and not os.path.exists(f"{ROOTS['blkio']}/blkio.weight"):
        done = knarr.do(*RUN, "--blkio-weight", "300", "busybox", "true")
        assert done.returncode == 0
        assert done.stderr == (
            "WARNING: Your kernel does not support Block I/O weight or the cgroup is not mounted. "
            "Weight discarded.\n"
        )
        done = knarr.do(*RUN, "--blkio-weight-device", f"/dev/{device}:300", "busybox", "true")
        assert done.returncode == 0
        assert "Your kernel does not support Block I/O weight_device" in done.stderr
    else:
        file = ("blkio.weight", "io.weight")
        found = control(knarr, file, "--blkio-weight", "300", controller=controller)
        assert found.split()[-1] == ("300" if VERSIONS[controller] == 1 else "2930")


def test_place_of_the_control_groups(knarr: Knarr) -> None:
    parent = f"{knarr.engine.paths.realm}/mine"
    script = f"grep -c '/{parent}/' /proc/self/cgroup"
    options = ("--cgroupns", "host", "--cgroup-parent", parent)
    assert int(knarr(*RUN, *options, "busybox", "sh", "-c", script)) >= 1
    for hierarchy in cgroup.hierarchies():
        if os.path.isdir(f"{hierarchy.mount_point}/{parent}"):
            os.rmdir(f"{hierarchy.mount_point}/{parent}")
    writable = (*RUN, "--security-opt", "writable-cgroups", "busybox")
    if 1 in VERSIONS.values():
        words = knarr.fails(*writable, "true", status=125)
        assert "writable-cgroups needs cgroup v2" in words
    else:
        knarr(*writable, "mkdir", "/sys/fs/cgroup/below")


# update and stats


def test_update_while_it_runs(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "one", "--network", "none", "-m", "64m", "busybox", "sleep", "99")
    assert knarr("update", "-m", "96m", "--cpus", "0.5", "--pids-limit", "9", "one") == "one\n"
    files = {
        1: "memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max",
        2: "memory.max cpu.max pids.max",
    }[VERSIONS["memory"]]
    found = knarr("exec", "one", "sh", "-c", f"cd /sys/fs/cgroup; cat {files}").split()
    assert found[0] == str(96 << 20)
    assert found[1] == "50000"
    assert found[-1] == "9"
    shown = knarr("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}", "one")
    assert shown == f"{96 << 20} 9\n"
    words = knarr.fails("update", "--cpu-period", "5000", "one")
    assert "CPU Period cannot be updated as NanoCPUs has already been set" in words
    assert "you must provide one or more flags" in knarr.fails("update", "one")
    knarr("update", "--restart", "always", "--memory", "80m", "one")
    pid = knarr.engine.containers.get("one").state.pid
    os.kill(pid, 9)
    container = knarr.engine.containers.get("one")
    knarr.wait_until(lambda: container.state.pid not in (0, pid) and container.status == "running")
    place = files.split()[0]
    assert knarr("exec", "one", "cat", f"/sys/fs/cgroup/{place}") == f"{80 << 20}\n"


def test_update_that_the_kernel_refuses_changes_nothing(knarr: Knarr) -> None:
    knarr(
        "run",
        "-d",
        "--name",
        "one",
        "--network",
        "none",
        "--shm-size",
        "40m",
        "busybox",
        "sh",
        "-c",
        "dd if=/dev/zero of=/dev/shm/x bs=1M count=30 2>/dev/null; touch /ok; sleep 99",
    )
    need("memory")
    container = knarr.engine.containers.get("one")
    ready = f"{knarr.engine.paths.container(container.id)}/upper/ok"
    knarr.wait_until(lambda: os.path.exists(ready))
    if VERSIONS["memory"] == 1:
        words = knarr.fails("update", "--memory", "8m", "--memory-swap", "8m", "one")
        assert "setting memory.limit_in_bytes" in words
        assert knarr("inspect", "-f", "{{.HostConfig.Memory}}", "one") == "0\n"


def test_update_of_a_stopped_container(knarr: Knarr) -> None:
    knarr("create", "--name", "one", "--network", "none", "busybox", "cat", "/proc/self/status")
    knarr("update", "--cpuset-cpus", "0", "one")
    assert "Cpus_allowed_list:\t0\n" in knarr("start", "-a", "one")
    knarr("create", "--rm", "--name", "two", "busybox", "true")
    words = knarr.fails("update", "--restart", "always", "two")
    assert "because AutoRemove is enabled" in words


def test_statistics(knarr: Knarr) -> None:
    knarr(
        "run",
        "-d",
        "--name",
        "busy",
        "-m",
        "64m",
        "busybox",
        "sh",
        "-c",
        "wget -q -T 1 http://127.0.0.1:1/ 2>/dev/null; while :; do :; done",
    )
    knarr("run", "-d", "--name", "idle", "--network", "none", "busybox", "sleep", "99")
    knarr("create", "--name", "off", "busybox", "true")
    lines = knarr("stats", "--no-stream").splitlines()
    head = "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT"
    assert lines[0].startswith(head)
    assert len(lines) == 3
    found = json.loads(knarr("stats", "--no-stream", "--format", "json", "busy"))
    assert float(found["CPUPerc"].rstrip("%")) > 5
    assert found["MemUsage"].endswith(" / 64MiB")
    assert found["PIDs"] == "1"
    assert knarr("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}}", "off") == "off --\n"
    assert len(knarr("stats", "--no-stream", "-a").splitlines()) == 4
    stream = knarr.start("stats", "idle")
    time.sleep(2.0)
    stream.send_signal(2)
    output, _ = stream.communicate(timeout=10)
    assert output.count(b"idle") >= 2
    assert stream.returncode == 0
