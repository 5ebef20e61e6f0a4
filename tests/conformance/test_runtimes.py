"""The same containers on every runtime that is here: to test ours, and to test the tests."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from support.runtimes import Bundle, Runtime

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.root


def status_of(runtime: Runtime, bundle: Bundle) -> dict[str, str]:
    text = runtime.output(bundle.command("cat /proc/self/status"))
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_exit_status_is_the_programs(runtime: Runtime, bundle: Bundle) -> None:
    assert runtime.run(bundle.command("exit 7")).returncode == 7


def test_death_by_signal_is_128_and_the_signal(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("pid", gone="")  # process 1 of a namespace ignores its own signals
    bundle.command("kill -USR1 $$")
    assert runtime.run(bundle).returncode == 128 + signal.SIGUSR1


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "mount", "cgroup"])
def test_namespace_is_new(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    file = {"network": "net", "mount": "mnt"}.get(kind, kind)
    inside = runtime.output(bundle.command(f"readlink /proc/self/ns/{file}"))
    assert inside.strip() != os.readlink(f"/proc/self/ns/{file}")


def test_namespace_is_kept_when_not_asked_for(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("ipc", gone="")
    inside = runtime.output(bundle.command("readlink /proc/self/ns/ipc"))
    assert inside.strip() == os.readlink("/proc/self/ns/ipc")


def test_hostname(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["hostname"] = "vinland"
    assert runtime.output(bundle.command("hostname")) == "vinland\n"


def test_environment_is_what_the_spec_says(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["process"]["env"] = ["PATH=/bin", "A=1", "HOME=/nowhere"]
    shown = runtime.output(bundle.command("env", "--")).splitlines()
    assert set(bundle.spec["process"]["env"]) <= set(shown)
    assert not any(line.startswith("PYTHON") for line in shown)


def test_capabilities_are_those_asked_for(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["process"]["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
        "effective": ["CAP_CHOWN"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
    }
    bundle.spec["process"]["user"] = {"uid": 1000, "gid": 1000}
    status = status_of(runtime, bundle)
    # What a user executes gets no capabilities unless they are ambient.
    assert status["CapBnd"] == f"{1 << 0 | 1 << 5 | 1 << 13:016x}"
    assert status["CapEff"] == status["CapPrm"] == f"{0:016x}"


def test_ambient_capabilities_survive_exec(runtime: Runtime, bundle: Bundle) -> None:
    sets = ("bounding", "effective", "permitted", "inheritable", "ambient")
    bundle.spec["process"]["capabilities"] = {name: ["CAP_NET_RAW"] for name in sets}
    bundle.spec["process"]["user"] = {"uid": 1000, "gid": 1000}
    status = status_of(runtime, bundle)
    assert status["CapAmb"] == status["CapEff"] == f"{1 << 13:016x}"


def test_user_groups_and_umask(runtime: Runtime, bundle: Bundle) -> None:
    user = {"uid": 1234, "gid": 5678, "additionalGids": [7, 8], "umask": 0o27}
    bundle.spec["process"]["user"] = user
    status = status_of(runtime, bundle)
    assert status["Uid"].split() == ["1234"] * 4
    assert status["Gid"].split() == ["5678"] * 4
    assert status["Groups"].split() == ["7", "8"]
    assert status["Umask"] == "0027"


def test_no_new_privileges(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["process"]["noNewPrivileges"] = True
    assert status_of(runtime, bundle)["NoNewPrivs"] == "1"


def test_limits(runtime: Runtime, bundle: Bundle) -> None:
    limits = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    ]
    bundle.spec["process"]["rlimits"] = limits
    shown = runtime.output(bundle.command("ulimit -Sn; ulimit -Hn; ulimit -c"))
    assert shown.split() == ["100", "200", "0"]


def test_working_directory(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["process"]["cwd"] = "/var/tmp"
    assert runtime.output(bundle.command("pwd")) == "/var/tmp\n"


def test_masked_file_is_empty_and_masked_directory_too(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["linux"]["maskedPaths"] = ["/etc/passwd", "/tmp", "/not/there"]
    (bundle.rootfs / "tmp" / "file").touch()
    assert runtime.output(bundle.command("cat /etc/passwd; ls -A /tmp")) == ""


def test_readonly_path(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["linux"]["readonlyPaths"] = ["/etc"]
    script = "touch /etc/x 2>&1; touch /tmp/y && echo good"
    shown = runtime.output(bundle.command(script))
    assert "Read-only file system" in shown
    assert "good" in shown


def test_readonly_root(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["root"]["readonly"] = True
    shown = runtime.output(bundle.command("touch /x 2>&1; touch /dev/shm/y && echo good"))
    assert "Read-only file system" in shown
    assert "good" in shown


def test_mounts(runtime: Runtime, bundle: Bundle) -> None:
    text = runtime.output(bundle.command("cat /proc/self/mountinfo"))
    found = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        words, kind = before.split(), after.split()[0]
        found[words[4]] = (kind, words[5])
    for mount in bundle.spec["mounts"]:
        kind, options = found[mount["destination"]]
        if mount["type"] == "cgroup":  # a tmpfs with all hierarchies, or the v2 file system
            continue
        assert kind == mount["type"]
        for option in set(mount.get("options", ())) & {"nosuid", "noexec", "nodev", "ro"}:
            assert option in options.split(","), (mount, options)


def test_bind_mount_is_readonly_when_asked(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "file").write_text("from the host")
    source = str(tmp_path / "host")
    bundle.mount("/data", type="bind", source=source, options=["rbind", "ro", "nosuid"])
    bundle.mount("/data.txt", type="bind", source=f"{source}/file", options=["bind"])
    shown = runtime.output(bundle.command("cat /data/file /data.txt; touch /data/x 2>&1; true"))
    assert shown.startswith("from the host" * 2)
    assert "Read-only file system" in shown


def test_default_devices_and_links(runtime: Runtime, bundle: Bundle) -> None:
    shown = runtime.output(bundle.command("ls -l /dev"))
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        assert re.search(rf"^crw-rw-rw-.*\b{name}$", shown, re.MULTILINE), shown
    for link in ("fd -> /proc/self/fd", "stdin -> /proc/self/fd/0", "ptmx -> pts/ptmx"):
        assert link in shown


def test_device_of_the_spec(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["linux"]["devices"] = [
        {"path": "/dev/mine/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 5,
         "gid": 6},
    ]  # fmt: skip
    shown = runtime.output(bundle.command("stat -c '%a %u %g %t %T' /dev/mine/zero"))
    assert shown == "640 5 6 1 5\n"


def test_device_rules_are_enforced(runtime: Runtime, bundle: Bundle) -> None:
    device = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}
    bundle.spec["linux"]["devices"] = [device]
    script = "head -c 1 /dev/zero | wc -c; sh -c ': < /dev/fuse' 2>&1 || true"
    assert "not permitted" in runtime.output(bundle.command(script))
    rule = {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}
    bundle.spec["linux"]["resources"]["devices"].append(rule)
    assert "not permitted" not in runtime.output(bundle.command(script))


def test_sysctl(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["linux"]["sysctl"] = {
        "net.ipv4.ip_forward": "1",
        "kernel.msgmax": "4444",
    }
    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax"
    assert runtime.output(bundle.command(script)) == "1\n4444\n"


def test_oom_score(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["process"]["oomScoreAdj"] = 321
    assert runtime.output(bundle.command("cat /proc/self/oom_score_adj")) == "321\n"


def test_seccomp_answers_with_the_error_asked_for(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["sethostname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        ],
    }
    script = "mkdir /tmp/x 2>&1; hostname x 2>&1; grep Seccomp: /proc/self/status"
    shown = runtime.output(bundle.command(script))
    assert "/tmp/x': Operation not permitted" in shown
    assert "No space left on device" in shown
    assert "Seccomp:\t2" in shown


def test_seccomp_looks_at_arguments(runtime: Runtime, bundle: Bundle) -> None:
    entry = {
        "names": ["kill"],
        "action": "SCMP_ACT_ERRNO",
        "args": [{"index": 1, "value": 12, "op": "SCMP_CMP_EQ"}],
    }
    bundle.spec["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [entry],
    }
    script = "trap 'echo USR1' USR1; kill -12 1 2>&1; kill -10 1; true"
    shown = runtime.output(bundle.command(script))
    assert "not permitted" in shown
    assert "USR1" in shown


def test_memory_limit_is_visible_and_kills(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["linux"]["resources"]["memory"] = {"limit": 32 << 20, "swap": 32 << 20}
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max"
    assert runtime.output(bundle.command(script)) == f"{32 << 20}\n"
    bundle.mount("/big", type="tmpfs", source="tmpfs", options=["size=100m"])
    script = "dd if=/dev/zero of=/big/x bs=1M 2>/dev/null; echo $?"
    assert runtime.output(bundle.command(script)) == f"{128 + signal.SIGKILL}\n"


def test_tmpfs_is_as_open_as_what_it_covers(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "there").mkdir(mode=0o750)
    bundle.mount("/there", type="tmpfs", source="tmpfs")
    bundle.mount("/not/there", type="tmpfs", source="tmpfs")
    script = "stat -c %a /there /not /not/there"
    covering, *others = runtime.output(bundle.command(script)).split()
    assert others[-1] == "1777"
    if runtime.name != "crun":  # for which every tmpfs is for everybody
        assert [covering, *others] == ["750", "755", "1777"]


def test_limits_of_processor_and_processes(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["linux"]["resources"] |= {
        "cpu": {"shares": 512, "quota": 20000, "period": 100000, "cpus": "0"},
        "pids": {"limit": 20},
    }
    script = (
        "cd /sys/fs/cgroup;"
        " cat cpu/cpu.shares cpu/cpu.cfs_quota_us cpuset/cpuset.cpus pids/pids.max 2>/dev/null"
        " || cat cpu.weight cpu.max cpuset.cpus pids.max"
    )
    shown = runtime.output(bundle.command(script)).split()
    assert shown in (["512", "20000", "0", "20"], ["59", "20000", "100000", "0", "20"]), shown


def test_life_of_a_container(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.start(bundle.command("sleep", "100"))
    state = runtime.state(container_id)
    assert (state["status"], state["id"]) == ("running", container_id)
    done = runtime.call("exec", container_id, "sh", "-c", "echo inside; exit 9")
    assert (done.stdout, done.returncode) == ("inside\n", 9)
    assert runtime.call("pause", container_id).returncode == 0
    assert runtime.state(container_id)["status"] == "paused"
    assert runtime.call("resume", container_id).returncode == 0
    assert runtime.state(container_id)["status"] == "running"
    assert runtime.call("delete", container_id).returncode != 0
    assert runtime.call("kill", container_id, "KILL").returncode == 0
    runtime.wait(container_id, "stopped")
    assert runtime.call("delete", container_id).returncode == 0
    assert runtime.call("state", container_id).returncode != 0


def test_hooks(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    log = tmp_path / "log"

    def hook(moment: str) -> dict[str, object]:
        script = f'read state; echo "{moment} $state" >> {log}'
        return {"path": "/bin/sh", "args": ["sh", "-c", script]}

    moments = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    bundle.spec["hooks"] = {moment: [hook(moment)] for moment in moments}
    bundle.spec["hooks"]["startContainer"] = [
        {"path": "/bin/sh", "args": ["sh", "-c", "cat > /tmp/started"]}
    ]
    assert runtime.output(bundle.command("cat /tmp/started")).startswith("{")
    lines = log.read_text().splitlines()
    assert [line.split()[0] for line in lines] == moments
    assert all('"ociVersion"' in line for line in lines)


def test_failing_hook_stops_the_creation(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
    assert runtime.run(bundle).returncode != 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"args": ["nosuch"]}, 'exec: "nosuch": executable file not found in $PATH'),
        ({"args": ["/nosuch"]}, "no such file or directory"),
        ({"args": ["/etc/passwd"]}, "permission denied"),
    ],
    ids=["not in PATH", "not there", "not executable"],
)
def test_programs_that_cannot_run(
    runtime: Runtime, bundle: Bundle, change: dict[str, object], words: str
) -> None:
    bundle.spec["process"] |= change
    done = runtime.run(bundle)
    assert done.returncode != 0
    if runtime.name != "crun":  # has words of its own
        assert words in done.stderr.replace('\\"', '"')
