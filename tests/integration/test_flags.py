"""Flags of `run` that widen or narrow what a container may do, looked at from inside."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from knarr.oci.config import RunConfig
from support.engine import Knarr

pytestmark = pytest.mark.root
RUN = ("run", "--rm", "--network", "none")


def inside(knarr: Knarr, script: str, *options: str) -> str:
    """Return what a shell script says in a container of its own."""
    return knarr(*RUN, *options, "busybox", "sh", "-c", script)


def status_of(text: str) -> dict[str, str]:
    """Return the fields of a /proc/<pid>/status."""
    return {line.partition(":")[0]: line.partition(":")[2].strip() for line in text.splitlines()}


def test_capabilities(knarr: Knarr) -> None:
    def sets(*options: str) -> tuple[str, str]:
        found = status_of(inside(knarr, "cat /proc/self/status", *options))
        return found["CapEff"], found["CapBnd"]

    assert sets("--cap-drop", "all") == ("0" * 16, "0" * 16)
    one = f"{1 << 13 | 1 << 25:016x}"
    given = ("--cap-drop", "ALL", "--cap-add", "net_raw", "--cap-add", "CAP_SYS_TIME")
    assert sets(*given) == (one, one)
    own = int(status_of(Path("/proc/self/status").read_text())["CapBnd"], 16)
    everything = f"{own:016x}"
    assert sets("--cap-add", "ALL") == (everything, everything)
    without = f"{own & ~1:016x}"
    assert sets("--cap-add", "ALL", "--cap-drop", "CHOWN") == (without, without)
    words = 'invalid CapAdd: unknown capability: "CAP_FLY"'
    assert words in knarr.fails(*RUN, "--cap-add", "fly", "busybox", "true", status=125)


def test_security_options(knarr: Knarr, tmp_path: Path) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
    }
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(profile))
    script = "mkdir /tmp/x 2>&1; grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status"
    option = "--security-opt"
    found = inside(knarr, script, option, f"seccomp={file}")
    assert found.startswith("mkdir: can't create directory '/tmp/x': ")
    assert found.endswith("NoNewPrivs:\t0\nSeccomp:\t2\n")
    unconfined = (option, "seccomp=unconfined", option, "no-new-privileges:true")
    assert inside(knarr, script, *unconfined) == "NoNewPrivs:\t1\nSeccomp:\t0\n"
    builtin = (option, "seccomp=builtin", option, "no-new-privileges=false")
    ignored = (option, "apparmor=unconfined", option, "label=disable")
    assert inside(knarr, script, *builtin, *ignored) == "NoNewPrivs:\t0\nSeccomp:\t2\n"
    masks = "grep -c ' /proc/' /proc/self/mountinfo || true"
    assert int(inside(knarr, masks)) > 3
    assert inside(knarr, masks, option, "systempaths=unconfined") == "0\n"


def test_paths_that_are_hidden_or_not(knarr: Knarr) -> None:
    option = "--security-opt"
    assert inside(knarr, "ls /root /etc/passwd; cat /etc/passwd", option, "mask=/etc/passwd") == (
        "/etc/passwd\n\n/root:\n"
    )
    options = (option, "unmask=/proc/sys*:/proc/keys", option, "mask=/etc/:/root")
    knarr("create", "--name", "one", *options, "busybox")
    (document,) = json.loads(knarr("inspect", "one"))
    host = document["HostConfig"]
    assert not {"/proc/sys", "/proc/sysrq-trigger"} & set(host["ReadonlyPaths"])
    assert {"/proc/irq", "/proc/bus"} <= set(host["ReadonlyPaths"])
    assert "/proc/keys" not in host["MaskedPaths"]
    assert {"/proc/kcore", "/etc/", "/root"} <= set(host["MaskedPaths"])
    assert inside(knarr, "grep -c ' /proc/' /proc/mounts || true", option, "unmask=all") == "0\n"
    words = knarr.fails(*RUN, option, "mask=x", "busybox", "true", status=125)
    assert 'invalid --security-opt: "mask=x"' in words


def test_variables_that_are_left_out(knarr: Knarr) -> None:
    knarr.add_image("env", config=RunConfig(env=("PATH=/bin", "A=1", "B=2"), cmd=("env",)))
    found = knarr(*RUN, "--unsetenv", "A", "--unsetenv", "B", "-e", "B=3", "env").splitlines()
    assert "B=3" in found
    assert not any(line.startswith("A=") for line in found)


def test_privileged(knarr: Knarr) -> None:
    nodes = {
        f"{stat.S_IFMT(os.lstat(f'/dev/{name}').st_mode):o} {name}"
        for name in os.listdir("/dev")
        if stat.S_ISCHR(os.lstat(f"/dev/{name}").st_mode)
        or stat.S_ISBLK(os.lstat(f"/dev/{name}").st_mode)
    }
    script = """
        cd /dev; for f in *; do [ -b $f ] && echo 60000 $f; [ -c $f ] && echo 20000 $f; done
        echo = $(grep -E '^(CapEff|Seccomp):' /proc/self/status | cut -f2)
        echo = $(grep -c ' /proc/' /proc/self/mountinfo)
        for f in /sys /sys/fs/cgroup/cpu; do grep " $f " /proc/mounts | cut -d' ' -f4; done"""
    found = inside(knarr, script, "--privileged").splitlines()
    assert nodes <= set(found) | {"20000 console"}
    own = status_of(Path("/proc/self/status").read_text())["CapBnd"]
    assert f"= {own} 0" in found
    assert "= 0" in found
    assert all(line.startswith("rw,") for line in found[-2:] if "," in line)


def test_devices(knarr: Knarr, tmp_path: Path) -> None:
    nodes = tmp_path / "nodes" / "deep"
    nodes.mkdir(parents=True)
    os.mknod(nodes / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    os.mknod(nodes / "full", stat.S_IFCHR | 0o600, os.makedev(1, 7))
    os.chmod(nodes / "zero", 0o666)
    found = inside(
        knarr,
        "cd /dev/many; stat -c '%n %t:%T %a' deep/*",
        "--device",
        f"{tmp_path}/nodes:/dev/many",
    )
    assert found == "deep/full 1:7 600\ndeep/zero 1:5 666\n"
    fails = (*RUN, "--device")
    assert "no such file or directory" in knarr.fails(*fails, "/dev/no", "busybox", "x", status=125)
    assert "not a device node" in knarr.fails(*fails, "/etc/passwd", "busybox", "x", status=125)
    assert "bad mode specified: x" in knarr.fails(
        *fails, "/dev/null:/dev/x:x", "busybox", "x", status=125
    )


@pytest.mark.skipif(not os.path.exists("/dev/loop0"), reason="there is no loop device")
def test_device_permissions(knarr: Knarr) -> None:
    script = """
        mknod /tmp/d b 7 0 2>/dev/null; d=$(ls /dev/mine /tmp/d 2>/dev/null | head -1)
        (: < $d) 2>/dev/null && echo read; (: >> $d) 2>/dev/null && echo wrote; true"""
    assert inside(knarr, script) == ""
    assert inside(knarr, script, "--device", "/dev/loop0:/dev/mine:r") == "read\n"
    assert inside(knarr, script, "--device", "/dev/loop0:/dev/mine") == "read\nwrote\n"
    assert inside(knarr, script, "--device-cgroup-rule", "b 7:* w") == "wrote\n"
    words = "invalid device cgroup format 'x'"
    fails = knarr.fails(*RUN, "--device-cgroup-rule", "x", "busybox", "true", status=125)
    assert words in fails


def test_limits_of_the_process(knarr: Knarr) -> None:
    limits = ("--ulimit", "nofile=10:20", "--ulimit", "core=0", "--ulimit", "stack=-1:-1")
    found = inside(knarr, "ulimit -n; ulimit -Hn; ulimit -c; ulimit -s", *limits)
    assert found == "10\n20\n0\nunlimited\n"
    assert inside(knarr, "cat /proc/self/oom_score_adj", "--oom-score-adj", "300") == "300\n"
    words = knarr.fails(*RUN, "--ulimit", "nofile=4000000000", "busybox", "true", status=125)
    assert "setting rlimit nofile 4000000000:4000000000: operation not permitted" in words
    assert "CAP_SYS_RESOURCE" in words


def test_sysctls(knarr: Knarr) -> None:
    given = ("--sysctl", "kernel.msgmax=1234", "--sysctl", "net.ipv4.ip_forward=1")
    found = inside(knarr, "cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward", *given)
    assert found == "1234\n1\n"

    def refused(*options: str) -> str:
        return knarr.fails("run", "--rm", *options, "busybox", "true", status=125)

    assert "sysctl 'kernel.panic=1' is not allowed" in refused("--sysctl", "kernel.panic=1")
    host = ("--network", "host", "--sysctl", "net.ipv4.ip_forward=1")
    assert 'sysctl "net.ipv4.ip_forward" not allowed in host network' in refused(*host)
    host = ("--ipc", "host", "--sysctl", "kernel.msgmax=1")
    assert 'sysctl "kernel.msgmax" not allowed in host IPC' in refused(*host)


def test_groups_and_names(knarr: Knarr) -> None:
    assert inside(knarr, "id -G", "--group-add", "42", "-u", "7:8") == "8 42\n"
    names = ("-h", "box", "--domainname", "example.org")
    found = inside(knarr, "hostname; cat /proc/sys/kernel/domainname", *names)
    assert found == "box\nexample.org\n"


def test_file_systems(knarr: Knarr, tmp_path: Path) -> None:
    script = """
        touch /a /etc/hosts 2>&1 | wc -l; touch /dev/shm/x /run/y && echo fine
        grep -E ' /(run|scratch|dev/shm) ' /proc/mounts | cut -d' ' -f2,4"""
    found = inside(
        knarr, script, "--read-only", "--shm-size", "2m",
        "--tmpfs", "/run:rw,exec,size=1m,mode=0700",
        "--mount", "type=tmpfs,dst=/scratch,tmpfs-size=3m,tmpfs-mode=1770,readonly",
    )  # fmt: skip
    lines = found.splitlines()
    assert lines[:2] == ["2", "fine"]
    mounts = {place: set(words.split(",")) for place, words in map(str.split, lines[2:])}
    assert {"size=2048k", "nosuid", "noexec"} <= mounts["/dev/shm"]
    assert {"rw", "size=1024k", "mode=700", "nosuid", "nodev"} <= mounts["/run"]
    assert "noexec" not in mounts["/run"]
    assert {"ro", "size=3072k", "mode=1770"} <= mounts["/scratch"]
    (tmp_path / "src").mkdir()
    mount = f"type=bind,src={tmp_path}/src,dst=/mnt"
    script = "(: > /mnt/f) 2>/dev/null || echo refused"
    assert inside(knarr, script, "--mount", f"{mount},readonly") == "refused\n"
    missing = ("--mount", f"type=bind,src={tmp_path}/no,dst=/mnt")
    words = knarr.fails(*RUN, *missing, "busybox", "true", status=125)
    assert "bind source path does not exist" in words


def test_propagation(knarr: Knarr, tmp_path: Path) -> None:
    source = str(tmp_path)
    subprocess.run(["mount", "--bind", source, source], check=True)
    try:
        script = ("busybox", "sh", "-c", "grep ' /mnt ' /proc/self/mountinfo")
        mount = f"type=bind,src={source},dst=/mnt,bind-propagation="
        subprocess.run(["mount", "--make-private", source], check=True)
        for word, kind in (("rslave", "a shared or slave mount"), ("shared", "a shared mount")):
            said = knarr.fails(*RUN, "--mount", f"{mount}{word}", *script, status=125)
            assert f"path {source} is mounted on {source} but it is not {kind}" in said
        subprocess.run(["mount", "--make-shared", source], check=True)
        assert " master:" in knarr(*RUN, "--mount", f"{mount}rslave", *script)
        assert " shared:" in knarr(*RUN, "--mount", f"{mount}rshared", *script)
        assert "er:" not in knarr(*RUN, "-v", f"{source}:/mnt", *script).split(" - ")[0]
    finally:
        subprocess.run(["umount", "--lazy", source], check=True)


def test_host_namespaces(knarr: Knarr) -> None:
    names = ("pid", "uts", "ipc", "cgroup")
    options = ("--pid", "host", "--uts", "host", "--ipc", "host", "--cgroupns", "host")
    script = (
        f"for n in {' '.join(names)}; do readlink /proc/self/ns/$n; done; grep mem /proc/1/cgroup"
    )
    found = inside(knarr, script, *options).splitlines()
    assert found[:4] == [os.readlink(f"/proc/self/ns/{name}") for name in names]
    private = ("--pid", "private", "--uts", "private", "--ipc", "private", "--cgroupns", "private")
    found = inside(knarr, script, *private).splitlines()
    assert not set(found[:4]) & {os.readlink(f"/proc/self/ns/{name}") for name in names}
    assert inside(knarr, "ls -d /dev/shm 2>/dev/null; true", "--ipc", "none") == ""
    for option, words in (
        ("pid", "--pid: invalid PID mode"),
        ("ipc", "invalid IPC mode: odd"),
        ("uts", "--uts: invalid UTS mode"),
        ("cgroupns", "--cgroupns: invalid CGROUP mode"),
    ):
        said = knarr.fails(*RUN, f"--{option}", "odd", "busybox", "true", status=125)
        assert words in said


def test_options_without_effect(knarr: Knarr) -> None:
    done = knarr.do(*RUN, "--kernel-memory", "10m", "--disable-content-trust", "busybox", "true")
    assert done.returncode == 0
    assert done.stderr == "WARNING: --kernel-memory has no effect on Linux and is ignored\n"
    assert 'invalid isolation: "hyperv" - linux only' in knarr.fails(
        *RUN, "--isolation", "hyperv", "busybox", "true", status=125
    )
