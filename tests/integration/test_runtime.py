"""`knarr-runtime` on real containers: what is its own, beyond what every runtime does."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from array import array
from pathlib import Path

import pytest

from knarr.errors import Unsupported
from knarr.linux import cgroup, mount
from knarr.runtime import cgroups, members
from support.runtimes import CODE, KNARR, Bundle, Runtime

pytestmark = pytest.mark.root


def groups_of(container_id: str) -> list[str]:
    """Return the directories that a container has in the hierarchies."""
    found = []
    for hierarchy in cgroup.hierarchies():
        for directory, _, _ in os.walk(hierarchy.mount_point):
            if os.path.basename(directory) == container_id:
                found.append(directory)
    return found


def test_create_waits_for_start(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    container_id = runtime.new_id()
    pid_file = tmp_path / "pid"
    bundle.command("echo started > /tmp/mark")
    words = ["create", "--bundle", str(bundle.write()), "--pid-file", str(pid_file), container_id]
    log = tmp_path / "log"
    with open(log, "wb") as out:
        command = [*runtime.command, "--root", str(runtime.root), *words]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)
    state = runtime.state(container_id)
    assert state["status"] == "created"
    assert state["pid"] == int(pid_file.read_text())
    assert not (bundle.rootfs / "tmp" / "mark").exists()
    assert runtime.call("start", container_id).returncode == 0
    runtime.wait(container_id, "stopped")
    assert (bundle.rootfs / "tmp" / "mark").read_text() == "started\n"
    again = runtime.call("start", container_id)
    assert "cannot start a container that has stopped" in again.stderr


def test_start_tells_why_the_program_does_not_run(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    (bundle.rootfs / "x").write_text("#!/nosuch\n")
    (bundle.rootfs / "x").chmod(0o755)
    container_id = runtime.new_id()
    bundle.command("/x", "argument")
    with open(tmp_path / "log", "wb") as out:
        words = ["create", "--bundle", str(bundle.write()), container_id]
        command = [*runtime.command, "--root", str(runtime.root), *words]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)
    done = runtime.call("start", container_id)
    assert done.returncode == 1
    assert "exec /x: no such file or directory" in done.stderr
    assert "Its interpreter /nosuch" in done.stderr


def test_id_is_taken_once(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.start(bundle.command("sleep", "100"))
    done = runtime.call("run", "--bundle", str(bundle.directory), container_id)
    assert "container with given ID already exists" in done.stderr
    assert runtime.state(container_id)["status"] == "running"


def test_failed_creation_leaves_nothing(runtime: Runtime, bundle: Bundle) -> None:
    bundle.mount("/data", type="bind", source="/nosuch", options=["bind"])
    container_id = runtime.new_id()
    done = runtime.call("run", "--bundle", str(bundle.write()), container_id)
    assert "mounting bind /nosuch at /data: no such file or directory" in done.stderr
    assert groups_of(container_id) == []
    assert not (runtime.root / container_id).exists()


def test_log_is_what_callers_read(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    globals_ = ("--log", str(log), "--log-format", "json")
    done = runtime.call("state", "nosuch", globals_=globals_)
    assert done.stderr == "container does not exist\n"
    entry = json.loads(log.read_text())
    assert (entry["level"], entry["msg"]) == ("error", "container does not exist")


def test_called_runc_it_speaks_like_runc(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    program = tmp_path / "runc"
    program.write_text(f"#!{sys.executable} -IS\n{CODE}\n")
    program.chmod(0o755)
    runtime.command = [str(program)]
    assert runtime.call("--version").stdout.startswith("runc version ")
    assert "runc - Open Container Initiative runtime" in runtime.call("--help").stdout
    (bundle.rootfs / "x").write_text("#!/nosuch\n")
    (bundle.rootfs / "x").chmod(0o755)
    assert runtime.run(bundle.command("/x", "y")).stderr == "exec /x: no such file or directory\n"
    assert runtime.output(bundle.command("echo fine")) == "fine\n"


def test_terminal_over_a_console_socket(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.spec["process"]["terminal"] = True
    bundle.spec["process"]["consoleSize"] = {"height": 33, "width": 99}
    bundle.command("tty; stty size; test -c /dev/console && echo console; id -u")
    path = str(tmp_path / "console")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        words = ["run", "--detach", "--console-socket", path, "--bundle", str(bundle.write())]
        done = runtime.call(*words, runtime.new_id())
        assert done.returncode == 0, done.stderr
        connection, _ = listener.accept()
    with connection:
        name, [(_, _, rights)], _, _ = connection.recvmsg(100, 100)
    assert name == b"/dev/pts/0"
    (master,) = array("i", rights)
    with os.fdopen(master, "rb", buffering=0) as terminal:
        assert read_all(terminal).split() == [b"/dev/pts/0", b"33", b"99", b"console", b"0"]


def read_all(terminal: object) -> bytes:
    """Read a terminal until nobody has its other side open."""
    data = b""
    try:
        while part := terminal.read(1024):  # type: ignore[attr-defined]
            data += part
    except OSError:  # EIO
        pass
    return data


def test_terminal_in_the_foreground(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["process"]["terminal"] = True
    done = runtime.run(bundle.command("tty && echo words"))
    assert done.stdout == "/dev/pts/0\nwords\n"


def test_detaching_from_a_terminal_needs_a_socket(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["process"]["terminal"] = True
    done = runtime.run(bundle, "--detach")
    assert "without a console socket" in done.stderr


def test_signals_are_passed_on(runtime: Runtime, bundle: Bundle) -> None:
    bundle.command("trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.01; done")
    words = ["--root", str(runtime.root), "run", "--bundle", str(bundle.write()), runtime.new_id()]
    with subprocess.Popen([*KNARR, *words], stdout=subprocess.PIPE) as running:
        assert running.stdout
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(signal.SIGTERM)
        assert running.stdout.read() == b"got\n"
        assert running.wait() == 5


def test_descriptors_are_closed_but_those_preserved(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("kept")
    bundle.command("ls /proc/self/fd; cat <&3")
    words = ["run", "--preserve-fds", "1", "--bundle", str(bundle.write()), runtime.new_id()]
    script = 'file=$1; shift; exec "$@" 3<"$file" 7</dev/null 9</dev/null </dev/null'
    command = [*runtime.command, "--root", str(runtime.root), *words]
    command = ["sh", "-c", script, "sh", str(tmp_path / "file"), *command]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    # 0, 1, 2, the one preserved, and that of the directory being listed
    assert done.stdout == "0\n1\n2\n3\n4\nkept"


def test_exec_is_a_member_of_everything(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.start(bundle.command("sleep", "100"))
    script = (
        "for n in cgroup ipc mnt net pid uts; do"
        " readlink /proc/self/ns/$n; readlink /proc/1/ns/$n; done;"
        "cat /proc/self/cgroup; echo; cat /proc/1/cgroup"
    )
    done = runtime.call("exec", container_id, "sh", "-c", script)
    names, _, groups = done.stdout.partition("9:")
    lines = names.split()
    assert len(lines) >= 12
    assert lines[::2] == lines[1::2]
    first, second = f"9:{groups}".split("\n\n") if "\n\n" in groups else (groups, groups)
    assert first.strip() == second.strip()


def test_exec_has_the_limits_and_filter_of_the_container(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["process"]["capabilities"] = {"bounding": ["CAP_CHOWN"]}
    bundle.spec["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}],
    }
    container_id = runtime.start(bundle.command("sleep", "100"))
    script = "grep -E 'CapBnd|CapEff|Seccomp:|NoNew' /proc/self/status; mkdir /x 2>&1; ulimit -n"
    shown = runtime.call("exec", container_id, "sh", "-c", script).stdout
    assert "CapEff:\t0000000000000000\nCapBnd:\t0000000000000001\n" in shown
    assert "NoNewPrivs:\t1\nSeccomp:\t2\n" in shown
    assert "No space left on device" in shown
    assert shown.endswith("1024\n")


def test_exec_options(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    container_id = runtime.start(bundle.command("sleep", "100"))
    words = ("exec", "--user", "5:6", "--cwd", "/tmp", "--env", "A=b", "-g", "7", container_id)
    done = runtime.call(*words, "sh", "-c", "id -u; id -g; id -G; pwd; echo $A")
    assert done.stdout.split() == ["5", "6", "6", "7", "/tmp", "b"]
    process = {"args": ["sh", "-c", "exit 4"], "cwd": "/", "env": ["PATH=/bin"]}
    (tmp_path / "process.json").write_text(json.dumps(process))
    done = runtime.call("exec", "--process", str(tmp_path / "process.json"), container_id)
    assert done.returncode == 4


def test_exec_failures(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.start(bundle.command("sleep", "100"))
    done = runtime.call("exec", container_id, "nosuch")
    assert 'exec: "nosuch": executable file not found in $PATH' in done.stderr
    assert done.returncode == 255
    done = runtime.call("exec", "--cwd", "/nosuch", container_id, "true")
    assert 'chdir to cwd ("/nosuch") set in config.json failed: no such file' in done.stderr
    assert runtime.call("exec", container_id, "true").returncode == 0


@pytest.mark.parametrize("own_users", [False, True], ids=["host-users", "own-users"])
def test_exec_where_processes_may_trace(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, *, own_users: bool
) -> None:
    """It is made another way round there, and comes to the same."""
    if own_users:
        map_users(bundle)
    sets = ("bounding", "effective", "permitted")
    names = ["CAP_SYS_PTRACE", "CAP_KILL"]
    bundle.spec["process"]["capabilities"] = {name: list(names) for name in sets}
    bundle.spec["linux"]["resources"]["pids"] = {"limit": 100}
    container_id = runtime.start(bundle.command("sleep", "100"))
    script = """
        for n in cgroup ipc mnt net pid user uts; do
            test $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) || echo other $n
        done
        test "$(cat /proc/self/cgroup)" = "$(cat /proc/1/cgroup)" || echo other cgroups
        cut -d' ' -f5,6 /proc/self/stat
        echo $$; id -u; id -G; pwd; echo $A; ls /proc/self/fd | wc -l; exit 9"""
    pid_file = tmp_path / "pid"
    words = ("exec", "--cwd", "/tmp", "--env", "A=b", "--pid-file", str(pid_file), container_id)
    done = runtime.call(*words, "sh", "-c", script)
    assert done.returncode == 9
    group, pid, *rest = done.stdout.split("\n")
    assert group == f"{pid} {pid}"  # a session and a group of its own
    assert rest == ["0", "0", "/tmp", "b", "4", ""]
    assert pid_file.read_text() != pid  # as the caller numbers it
    shown = runtime.call(
        "exec", "--tty", container_id, "sh", "-c", "tty; grep CapEff /proc/self/status"
    )
    assert shown.stdout.split() == ["/dev/pts/0", "CapEff:", "0000000000080020"]
    done = runtime.call("exec", container_id, "nosuch")
    assert 'exec: "nosuch": executable file not found in $PATH' in done.stderr
    done = runtime.call("exec", "--user", "5", container_id, "kill", "-0", "1")
    assert "Operation not permitted" in done.stderr


def test_exec_with_a_terminal(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.start(bundle.command("sleep", "100"))
    done = runtime.call("exec", "--tty", container_id, "sh", "-c", "tty; ps -o pid,tty | wc -l")
    assert done.stdout.startswith("/dev/pts/0\n")


def test_update_and_stats(runtime: Runtime, bundle: Bundle) -> None:
    resources = {"memory": {"limit": 64 << 20, "swap": 64 << 20}, "pids": {"limit": 100}}
    bundle.spec["linux"]["resources"] |= resources
    container_id = runtime.start(bundle.command("sleep", "100"))
    data = json.loads(runtime.call("events", "--stats", container_id).stdout)["data"]
    assert data["memory"]["usage"]["limit"] == 64 << 20
    assert data["pids"] == {"current": 1, "limit": 100}
    assert data["cpu"]["usage"]["total"] > 0
    words = ("update", "--memory", "128m", "--memory-swap", "128m", "--pids-limit", "50")
    done = runtime.call(*words, container_id)
    assert done.returncode == 0, done.stderr
    data = json.loads(runtime.call("events", "--stats", container_id).stdout)["data"]
    assert data["memory"]["usage"]["limit"] == 128 << 20
    assert data["memory"]["swap"]["limit"] == 128 << 20
    assert data["pids"]["limit"] == 50


def test_list_and_ps(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.start(bundle.command("sleep", "100"))
    assert container_id in runtime.call("list").stdout
    assert runtime.call("list", "--quiet").stdout == f"{container_id}\n"
    (entry,) = json.loads(runtime.call("list", "--format", "json").stdout)
    assert entry["status"] == "running"
    pids = json.loads(runtime.call("ps", "--format", "json", container_id).stdout)
    assert pids == [entry["pid"]]
    assert re.search(r"\bsleep 100\b", runtime.call("ps", container_id).stdout)


def test_processes_without_a_namespace_of_their_own_end_with_init(
    runtime: Runtime, bundle: Bundle
) -> None:
    bundle.namespace("pid", gone="")
    runtime.output(bundle.command("sleep 1234 >/dev/null 2>&1 & echo $!"))
    ps = subprocess.run(["ps", "-e", "-o", "args"], capture_output=True, text=True, check=True)
    assert "sleep 1234" not in ps.stdout


def test_joining_namespaces(runtime: Runtime, bundle: Bundle) -> None:
    first = runtime.start(bundle.command("sleep", "100"))
    pid = runtime.state(first)["pid"]
    for kind, file in (("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")):
        bundle.namespace(kind, path=f"/proc/{pid}/ns/{file}")
    del bundle.spec["hostname"]
    script = (
        "for n in pid net ipc uts; do readlink /proc/self/ns/$n; readlink /proc/1/ns/$n; done; ps"
    )
    shown = runtime.output(bundle.command(script))
    names = [line for line in shown.splitlines() if ":[" in line]
    assert names[::2] == names[1::2]
    assert len(names) == 8
    assert "sleep 100" in shown


def test_cgroups_made_inside_are_removed_too(runtime: Runtime, bundle: Bundle) -> None:
    bundle.mount("/sys/fs/cgroup", type="cgroup", source="cgroup", options=["nosuid", "rw"])
    container_id = runtime.new_id()
    inner = next(h for h in cgroup.hierarchies() if "memory" in h.controllers)
    place = "/sys/fs/cgroup" + ("/memory" if inner.version == 1 else "")
    bundle.command(f"mkdir -p {place}/a/b && echo 0 > {place}/a/b/cgroup.procs && echo done")
    done = runtime.call("run", "--bundle", str(bundle.write()), container_id)
    assert done.stdout == "done\n", done.stderr
    assert groups_of(container_id) == []


def test_the_root_of_a_hierarchy_is_nobodys() -> None:
    """Where another runtime left a container there, all processes of the host would be its."""
    places = [
        cgroups.Place(h.version, h.controllers, h.mount_point, h.mount_point)
        for h in cgroup.hierarchies()
    ]
    root = cgroups.Cgroup(places)
    assert members.processes(root) == []
    assert not members.is_frozen(root)
    with pytest.raises(Unsupported, match="there is no cgroup with the freezer"):
        members.freeze(root, frozen=False)


def test_paused_container_can_be_killed(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.start(bundle.command("sleep", "100"))
    assert runtime.call("pause", container_id).returncode == 0
    assert "in a paused container" in runtime.call("exec", container_id, "true").stderr
    assert runtime.call("delete", "--force", container_id).returncode == 0
    assert groups_of(container_id) == []


MAP = "cat /proc/self/uid_map; id -u"


def map_users(bundle: Bundle) -> None:
    bundle.namespace("user")
    for kind in ("uidMappings", "gidMappings"):
        bundle.spec["linux"][kind] = [{"containerID": 0, "hostID": 100000, "size": 1000}]


def test_users_mapped(runtime: Runtime, bundle: Bundle) -> None:
    map_users(bundle)
    bundle.spec["process"]["oomScoreAdj"] = 10
    bundle.spec["linux"]["resources"]["pids"] = {"limit": 50}
    script = f"{MAP}; cat /proc/self/oom_score_adj; echo > /dev/null; stat -c %u /bin"
    shown = runtime.output(bundle.command(script))
    assert shown.split() == ["0", "100000", "1000", "0", "10", "65534"]


def test_users_mapped_on_a_root_in_a_shared_tree(runtime: Runtime, tmp_path: Path) -> None:
    """What systemd sets up is shared; no mount of the container's may reach it."""
    place = tmp_path / "shared"
    place.mkdir()
    mount.mount("tmpfs", str(place), "tmpfs", 0, None)
    try:
        mount.mount("", str(place), "", mount.MS_SHARED, None)
        script = "mount -t tmpfs none /var/tmp && grep -c /var/ /proc/mounts"
        bundle = Bundle(place / "bundle", script)
        map_users(bundle)
        for names in bundle.spec["process"]["capabilities"].values():
            names.append("CAP_SYS_ADMIN")
        bundle.spec["linux"].pop("seccomp", None)
        assert runtime.output(bundle) == "1\n"
        assert f"{place}/bundle" not in Path("/proc/self/mountinfo").read_text()
    finally:
        mount.umount2(str(place), mount.MNT_DETACH)


def test_exec_and_others_join_a_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    map_users(bundle)
    container_id = runtime.start(bundle.command("sleep", "100"))
    done = runtime.call("exec", container_id, "sh", "-c", MAP)
    assert done.stdout.split() == ["0", "100000", "1000", "0"], done.stderr
    bundle.namespace("user", path=f"/proc/{runtime.state(container_id)['pid']}/ns/user")
    del bundle.spec["linux"]["uidMappings"], bundle.spec["linux"]["gidMappings"]
    shown = runtime.output(bundle.command(f"{MAP}; cat /proc/self/cgroup"))
    assert shown.split()[:4] == ["0", "100000", "1000", "0"]
    assert all(line.endswith(":/") for line in shown.splitlines()[2:])


def test_times_shifted(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("time")
    bundle.spec["linux"]["timeOffsets"] = {"boottime": {"secs": 1_000_000}}
    shown = runtime.output(bundle.command("cat /proc/uptime"))
    assert float(shown.split()[0]) > 1_000_000
    assert time.clock_gettime(time.CLOCK_BOOTTIME) < 1_000_000


def test_tmpcopyup_keeps_what_the_image_has(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "opt" / "in").mkdir(parents=True)
    (bundle.rootfs / "opt" / "in" / "file").write_text("kept")
    bundle.mount("/opt", type="tmpfs", source="tmpfs", options=["tmpcopyup", "noexec"])
    shown = runtime.output(bundle.command("cat /opt/in/file; touch /opt/new; stat -f -c %T /opt"))
    assert shown == "kepttmpfs\n"
    assert not (bundle.rootfs / "opt" / "new").exists()


def test_recursively_readonly_bind(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    script = 'mount -t tmpfs inner "$1/outer/inner" && shift && exec "$@"'
    bundle.mount("/data", type="bind", source=f"{tmp_path}/outer", options=["rbind", "rro"])
    bundle.command("touch /data/x 2>&1; touch /data/inner/x 2>&1; true")
    words = ["--root", str(runtime.root), "run", "--bundle", str(bundle.write()), runtime.new_id()]
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), *KNARR, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("Read-only file system") == 2
