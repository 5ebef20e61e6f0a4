"""`knarr-runtime`: the less common parts of the spec, seen from outside the container."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from array import array
from fcntl import ioctl
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Any

import pytest

from knarr.linux import cgroup, mount, namespaces, netlink, rtnetlink
from support.runtimes import Bundle, Runtime

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.root

# <linux/seccomp.h>
SECCOMP_IOCTL_NOTIF_RECV = 0xC0502100
SECCOMP_IOCTL_NOTIF_SEND = 0xC0182101
ENOMEDIUM = 123


def test_scheduler_and_io_priority(runtime: Runtime, bundle: Bundle) -> None:
    process = bundle.command("sleep", "100").spec["process"]
    process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 7}
    process["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE"}
    pid = runtime.state(runtime.start(bundle))["pid"]
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH
    assert os.getpriority(os.PRIO_PROCESS, pid) == 7
    shown = subprocess.run(["ionice", "-p", str(pid)], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "idle"


def test_memory_policy_reaches_execs(runtime: Runtime, bundle: Bundle) -> None:
    if not os.path.exists("/proc/self/numa_maps"):
        pytest.skip("the kernel knows no nodes of memory")
    policy = {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}
    bundle.spec["linux"]["memoryPolicy"] = policy
    container_id = runtime.start(bundle.command("sleep", "100"))
    shown = runtime.call("exec", container_id, "head", "-n", "1", "/proc/self/numa_maps")
    assert " bind=static:0 " in shown.stdout


def test_affinity_is_that_of_the_exec_not_of_the_caller(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        pytest.skip("there is one processor")
    runtime.command = ["taskset", "-c", str(allowed[0]), *runtime.command]
    container_id = runtime.start(bundle.command("sleep", "100"))
    pid = runtime.state(container_id)["pid"]
    assert len(os.sched_getaffinity(pid)) > 1
    process: dict[str, Any] = {
        "cwd": "/",
        "args": ["/bin/grep", "Cpus_allowed_list", "/proc/self/status"],
    }
    process["execCPUAffinity"] = {"initial": str(allowed[0]), "final": str(allowed[1])}
    (tmp_path / "process.json").write_text(json.dumps(process))
    shown = runtime.call("exec", "--process", str(tmp_path / "process.json"), container_id)
    assert shown.stdout.split() == ["Cpus_allowed_list:", str(allowed[1])]


def mappings(first: int) -> dict[str, Any]:
    """Return mappings of a mount that show root as the user and the group `first`."""
    entry = {"containerID": 0, "hostID": first, "size": 10}
    return {"uidMappings": [entry], "gidMappings": [entry]}


def test_mapped_mounts_also_of_what_is_mounted_inside(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").touch()
    inside = bundle.rootfs / "inside"
    inside.mkdir()
    bind = {"type": "bind", "options": ["bind"]}
    bundle.mount("/inside", source=str(tmp_path / "source"), **bind)
    bundle.mount("/mapped", source=str(tmp_path / "source"), **bind, **mappings(1000))
    bundle.mount("/again", source=str(inside), **bind, **mappings(2000))
    bundle.command("stat -c %u:%g /inside/file /mapped/file /again/file")
    assert runtime.output(bundle).split() == ["0:0", "1000:1000", "2000:2000"]


def notify(bundle: Bundle, path: Path) -> None:
    """Let an agent at `path` decide about every directory that is made."""
    bundle.spec["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": str(path),
        "listenerMetadata": "for the agent",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
    }


def answer_once(server: socket.socket, told: list[dict[str, Any]]) -> None:
    """Be an agent: keep what is told, and let one call fail."""
    connection, _ = server.accept()
    fds = array("i")
    data, rights, _, _ = connection.recvmsg(65536, socket.CMSG_LEN(4))
    fds.frombytes(rights[0][2])
    told.append(json.loads(data))
    # struct seccomp_notif: id, pid, flags, then the call
    request = ioctl(fds[0], SECCOMP_IOCTL_NOTIF_RECV, bytes(80))
    (number,) = unpack_from("=Q", request)
    ioctl(fds[0], SECCOMP_IOCTL_NOTIF_SEND, pack("=QqiI", number, 0, -ENOMEDIUM, 0))
    os.close(fds[0])
    connection.close()


@pytest.mark.parametrize("way", ["run", "start", "exec"])
def test_agent_decides_about_calls(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, way: str
) -> None:
    notify(bundle, tmp_path / "agent")
    script = "mkdir /tmp/x 2>/tmp/said; true"
    told: list[dict[str, Any]] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "agent"))
        server.listen()
        agent = threading.Thread(target=answer_once, args=(server, told), daemon=True)
        agent.start()
        if way == "run":
            assert runtime.run(bundle.command(script)).returncode == 0
        elif way == "start":
            container_id = runtime.new_id()
            words = ("create", "--bundle", str(bundle.command(script).write()), container_id)
            with open(tmp_path / "out", "wb") as out:
                command = [*runtime.command, "--root", str(runtime.root), *words]
                subprocess.run(command, stdout=out, stderr=out, check=True)
            assert runtime.call("start", container_id).returncode == 0
            runtime.wait(container_id, "stopped")
        else:
            with_filter = bundle.spec["linux"].pop("seccomp")
            container_id = runtime.start(bundle.command("sleep", "100"))
            state = runtime.root / container_id / "state.json"
            fields = json.loads(state.read_text())
            fields["spec"]["linux"]["seccomp"] = with_filter
            state.write_text(json.dumps(fields))
            assert runtime.call("exec", container_id, "sh", "-c", script).returncode == 0
        agent.join(10)
    assert "No medium found" in (bundle.rootfs / "tmp" / "said").read_text()
    assert told[0]["metadata"] == "for the agent"
    assert told[0]["fds"] == ["seccompFd"]
    assert told[0]["state"]["status"] == "running" or way == "start"


def test_nothing_runs_without_the_agent(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    notify(bundle, tmp_path / "nobody")
    done = runtime.run(bundle.command("touch /tmp/ran"))
    assert "failed to connect with seccomp agent" in done.stderr
    assert not (bundle.rootfs / "tmp" / "ran").exists()


def test_network_device_keeps_its_addresses(runtime: Runtime, bundle: Bundle) -> None:
    def prepare() -> None:
        namespaces.unshare(namespaces.CLONE_NEWNET)
        with netlink.Socket(netlink.NETLINK_ROUTE) as route:
            peer = rtnetlink.Peer("outer", mac="02:00:00:00:00:07")
            route.request(rtnetlink.new_veth("other", peer, mtu=1400))
            link = rtnetlink.find_link(route, "outer")
            assert link
            route.request(rtnetlink.add_address(link.index, "198.51.100.7", 24))

    bundle.spec["linux"]["netDevices"] = {"outer": {"name": "inner"}}
    words = ["run", "--bundle", str(bundle.command("ip addr show dev inner").write())]
    command = [*runtime.command, "--root", str(runtime.root), *words, runtime.new_id()]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=prepare, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "02:00:00:00:00:07" in done.stdout
    assert "198.51.100.7/24" in done.stdout


def test_failing_hook_is_named_and_heard(runtime: Runtime, bundle: Bundle) -> None:
    script = "echo about $ONE >&2; exit 3"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script]}
    bundle.spec["process"]["env"].append("ONE=two")
    for moment, said in (("createRuntime", "about"), ("startContainer", "about two")):
        bundle.spec["hooks"] = {moment: [{"path": "/bin/true"}, hook]}
        done = runtime.run(bundle)
        wanted = f"error running {moment} hook #1: /bin/sh exited with status 3: {said}\n"
        assert wanted in done.stderr


def test_hooks_in_the_container_are_under_its_filter(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    }
    hook = {"path": "/bin/mkdir", "args": ["mkdir", "/tmp/x"]}
    bundle.spec["hooks"] = {"startContainer": [hook]}
    assert "Operation not permitted" in runtime.run(bundle).stderr


def test_home_is_where_the_container_says(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "etc").mkdir(exist_ok=True)
    (bundle.rootfs / "etc" / "passwd").write_text("u:x:7:7::/home/u:/bin/sh\n")
    bundle.spec["process"]["user"] = {"uid": 7, "gid": 7}
    bundle.command("echo $HOME")
    assert runtime.output(bundle) == "/home/u\n"
    (bundle.rootfs / "etc" / "passwd").unlink()
    os.mkfifo(bundle.rootfs / "etc" / "passwd")
    assert runtime.output(bundle) == "/\n"


def test_frozen_cgroup_is_refused_not_waited_in(runtime: Runtime, bundle: Bundle) -> None:
    found = cgroup.hierarchies()
    v1 = next((h for h in found if "freezer" in h.controllers and h.version == 1), None)
    hierarchy = v1 or next(h for h in found if h.version == 2)
    file, word = ("freezer.state", "FROZEN") if v1 else ("cgroup.freeze", "1")
    name = f"/knarr-test-frozen-{os.getpid()}"
    directory = hierarchy.directory(name)
    os.mkdir(directory)
    try:
        with open(f"{directory}/{file}", "w", encoding="ascii") as control:
            control.write(word)
        bundle.spec["linux"]["cgroupsPath"] = name
        assert "container's cgroup unexpectedly frozen" in runtime.run(bundle).stderr
    finally:
        os.rmdir(directory)


def test_a_cgroup_in_which_all_were_killed_can_be_used_again(
    runtime: Runtime, bundle: Bundle
) -> None:
    unified = next((h for h in cgroup.hierarchies() if h.version == 2), None)
    if unified is None:
        pytest.skip("there is no cgroup v2")
    name = f"/knarr-test-killed-{os.getpid()}"
    directory = unified.directory(name)
    os.mkdir(directory)
    try:
        with open(f"{directory}/cgroup.kill", "w", encoding="ascii") as control:
            control.write("1")
        bundle.spec["linux"]["cgroupsPath"] = name
        bundle.command("cat /proc/self/cgroup")
        bundle.namespace("cgroup", gone="")
        assert f"0::{name}" in runtime.output(bundle).splitlines()
        os.mkdir(directory)
        with open(f"{directory}/cgroup.kill", "w", encoding="ascii") as control:
            control.write("1")
        container_id = runtime.start(bundle.command("sleep", "100"))
        done = runtime.call("exec", container_id, "cat", "/proc/self/cgroup")
        assert f"0::{name}" in done.stdout.splitlines()
        runtime.call("delete", "--force", container_id)
    finally:
        if os.path.isdir(directory):
            os.rmdir(directory)


@pytest.mark.parametrize("own_users", [False, True], ids=["host-users", "own-users"])
def test_what_the_host_forbids_on_a_mount_stays_with_own_users(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, *, own_users: bool
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    mount.mount("tmpfs", str(source), "tmpfs", mount.MS_RDONLY | mount.MS_NODEV, None)
    try:
        bundle.mount("/mnt", source=str(source), type="bind", options=["bind", "nosuid"])
        bundle.command("grep ' /mnt ' /proc/mounts")
        if own_users:
            entry = {"containerID": 0, "hostID": 100000, "size": 1000}
            bundle.spec["linux"].update(uidMappings=[entry], gidMappings=[entry])
            bundle.namespace("user")
            for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
                os.lchown(path, 100000, 100000)
            for parent in tmp_path.parents[:3]:
                parent.chmod(parent.stat().st_mode | 0o111)
        options = runtime.output(bundle).split()[3].split(",")
        assert "nosuid" in options
        assert ("nodev" in options) == own_users
        bundle.mount("/mnt", source=str(source), type="bind", options=["bind", "dev"])
        assert ("operation not permitted" in runtime.run(bundle).stderr) == own_users
    finally:
        mount.umount2(str(source))


def test_a_created_container_ends_when_asked_to(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.new_id()
    words = ("create", "--bundle", str(bundle.write()), container_id)
    command = [*runtime.command, "--root", str(runtime.root), *words]
    null = subprocess.DEVNULL
    subprocess.run(command, stdin=null, stdout=null, stderr=null, check=True)
    os.kill(runtime.state(container_id)["pid"], signal.SIGTERM)
    runtime.wait(container_id, "stopped")


def test_without_a_mount_namespace_the_root_is_changed_alone(
    runtime: Runtime, bundle: Bundle
) -> None:
    bundle.namespace("mount", gone="")
    bundle.spec["linux"].update(maskedPaths=[], readonlyPaths=[])
    bundle.spec["mounts"] = [m for m in bundle.spec["mounts"] if m["destination"] == "/proc"]
    (bundle.rootfs / "mark").touch()
    try:
        assert "mark" in runtime.output(bundle.command("ls /"))
    finally:
        mount.umount2(str(bundle.rootfs), mount.MNT_DETACH)


def test_log_tells_what_is_done_and_what_cannot_be(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    bundle.spec["process"]["capabilities"]["ambient"] = ["CAP_CHOWN"]
    log = tmp_path / "log"
    words = ("run", "--bundle", str(bundle.write()), runtime.new_id())
    globals_ = ("--debug", "--log", str(log), "--log-format", "json")
    assert runtime.call(*words, globals_=globals_).stderr == ""
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    warnings = [entry["msg"] for entry in entries if entry["level"] == "warning"]
    assert warnings[0].startswith("can't raise ambient capability CAP_CHOWN: ")
    assert any(entry["msg"] == "pivot into the root" for entry in entries)


def test_what_the_machine_lacks_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["linux"]["intelRdt"] = {"closID": "x"}
    assert "linux.intelRdt: is not supported" in runtime.run(bundle).stderr
    del bundle.spec["linux"]["intelRdt"]
    if not os.path.exists("/sys/module/apparmor"):
        bundle.spec["process"]["apparmorProfile"] = "x"
        assert "the kernel has no AppArmor" in runtime.run(bundle).stderr
