"""`knarr-runtime`: options of its commands, by what they change outside and inside."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.linux import cgroup
from support.runtimes import Bundle, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.root


@pytest.fixture
def idle(runtime: Runtime, bundle: Bundle) -> str:
    """Return the ID of a container that sleeps."""
    return runtime.start(bundle.command("sleep", "100"))


@pytest.fixture
def socket_path(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    with socket.socket(socket.AF_UNIX) as listener:
        path = str(tmp_path / "socket")
        listener.bind(path)
        listener.listen()
        listener.settimeout(10)
        yield path, listener


def received(listener: socket.socket) -> tuple[bytes, int]:
    """Return the message and the descriptor that somebody sends."""
    connection, _ = listener.accept()
    with connection:
        name, [(_, _, rights)], _, _ = connection.recvmsg(100, 100)
    (descriptor,) = array("i", rights)
    return name, descriptor


@pytest.mark.parametrize("way", ["run", "exec"])
def test_pidfd_socket(
    runtime: Runtime, bundle: Bundle, socket_path: tuple[str, socket.socket], way: str
) -> None:
    path, listener = socket_path
    words = ["--detach", "--pidfd-socket", path]
    container_id = runtime.new_id()
    null = subprocess.DEVNULL
    command = [*runtime.command, "--root", str(runtime.root)]
    run = [*command, "run", "--bundle", str(bundle.command("sleep", "100").write()), container_id]
    if way == "run":
        run[len(command) + 1 : len(command) + 1] = words
        subprocess.run(run, stdin=null, stdout=null, stderr=null, check=True)
    else:
        run.insert(len(command) + 1, "--detach")
        subprocess.run(run, stdin=null, stdout=null, stderr=null, check=True)
        executing = [*command, "exec", *words, container_id, "sleep", "50"]
        subprocess.run(executing, stdin=null, stdout=null, stderr=null, check=True)
    name, pidfd = received(listener)
    assert name == b"pidfd"
    pid = int(Path(f"/proc/self/fdinfo/{pidfd}").read_text().partition("Pid:")[2].split()[0])
    assert (pid == runtime.state(container_id)["pid"]) == (way == "run")
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    if way == "run":
        runtime.wait(container_id, "stopped")
    os.close(pidfd)


def test_without_a_keyring_of_its_own(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["linux"]["maskedPaths"] = []
    bundle.command("cat /proc/keys")
    shown = runtime.output(bundle, "--no-new-keyring")
    assert f"_ses.{runtime.ids[-1]}: " not in shown
    shown = runtime.output(bundle)
    assert f"_ses.{runtime.ids[-1]}: " in shown


def test_without_pivot_root(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "mark").touch()
    script = "ls -d /mark /work /tests 2>/dev/null; cat /proc/self/mountinfo"
    shown = runtime.output(bundle.command(script), "--no-pivot")
    assert shown.startswith("/mark\n")
    # The host's proc and sysfs are not left behind the root, for user namespaces to see.
    kinds = [line.partition(" - ")[2].split()[0] for line in shown.splitlines()[1:]]
    assert (kinds.count("proc"), kinds.count("sysfs")) <= (6, 1)


def test_keep_leaves_what_has_ended(runtime: Runtime, bundle: Bundle) -> None:
    done = runtime.run(bundle.command("exit 3"), "--keep")
    assert done.returncode == 3
    assert runtime.state(runtime.ids[-1])["status"] == "stopped"
    assert runtime.call("delete", runtime.ids[-1]).returncode == 0
    assert runtime.run(bundle).returncode == 3
    assert not (runtime.root / runtime.ids[-1]).exists()


def test_capabilities_and_privileges_of_an_exec(runtime: Runtime, idle: str) -> None:
    script = "grep -E '^(CapEff|NoNewPrivs)' /proc/self/status"
    plain = runtime.call("exec", idle, "sh", "-c", script).stdout.split()
    more = runtime.call("exec", "--cap", "CAP_SYS_TIME", idle, "sh", "-c", script).stdout.split()
    assert int(more[1], 16) == int(plain[1], 16) | 1 << 25
    assert plain[3] == "1"
    less = runtime.call("exec", "--no-new-privs=false", idle, "sh", "-c", script).stdout.split()
    assert less[3] == "0"


def test_groups_of_an_exec(runtime: Runtime, idle: str) -> None:
    words = ("exec", "--user", "5:6", "--additional-gids", "7", "--additional-gids", "8", idle)
    assert runtime.call(*words, "id", "-G").stdout.split() == ["6", "7", "8"]


def test_exec_below_the_containers_cgroup(runtime: Runtime, idle: str) -> None:
    pid = runtime.state(idle)["pid"]
    places = [
        h.directory(h.own) for h in cgroup.hierarchies(pid) if h.controllers or h.version == 2
    ]
    for place in places:
        os.mkdir(f"{place}/below")
        for name in ("cpuset.cpus", "cpuset.mems"):  # v1 lets nobody in before they are filled
            if os.path.exists(f"{place}/{name}"):
                Path(f"{place}/below/{name}").write_text(Path(f"{place}/{name}").read_text())
    done = runtime.call("exec", "--cgroup", "below", idle, "cat", "/proc/self/cgroup")
    groups = {line.partition(":")[2] for line in done.stdout.splitlines()}
    assert sum(group.endswith("/below") for group in groups) >= 1, done
    done = runtime.call("exec", "--cgroup", "nowhere", idle, "true")
    assert "nowhere: no such file or directory" in done.stderr
    done = runtime.call("exec", "--cgroup", "../..", idle, "true")
    assert "leads upwards" in done.stderr
    for place in places:
        os.rmdir(f"{place}/below")


def test_exec_where_the_cgroup_became_a_branch(runtime: Runtime, idle: str) -> None:
    if not cgroup.is_unified():
        pytest.skip("cgroup v1 lets processes into branches")
    pid = runtime.state(idle)["pid"]
    (place,) = [h.directory(h.own) for h in cgroup.hierarchies(pid)]
    os.mkdir(f"{place}/below")
    Path(f"{place}/below/cgroup.procs").write_text(str(pid))
    Path(f"{place}/cgroup.subtree_control").write_text("+memory")
    assert runtime.call("exec", idle, "cat", "/proc/1/cgroup").stdout == "0::/below\n"
    assert runtime.call("exec", idle, "cat", "/proc/self/cgroup").stdout == "0::/below\n"
    done = runtime.call("exec", "--cgroup", "/", idle, "true")
    assert done.returncode != 0
    assert "to cgroups" in done.stderr
    assert "device or resource busy" in done.stderr


def test_exec_in_a_paused_container_may_wait(runtime: Runtime, idle: str) -> None:
    assert runtime.call("pause", idle).returncode == 0
    assert "paused container" in runtime.call("exec", idle, "true").stderr
    command = [*runtime.command, "--root", str(runtime.root), "exec", "--ignore-paused", idle]
    with subprocess.Popen([*command, "echo", "went on"], stdout=subprocess.PIPE) as waiting:
        time.sleep(0.2)
        assert waiting.poll() is None
        assert runtime.call("resume", idle).returncode == 0
        assert waiting.stdout
        assert waiting.stdout.read() == b"went on\n"


def test_kill_all_reaches_everybody(runtime: Runtime, bundle: Bundle) -> None:
    script = "trap 'echo > /tmp/parent' USR1; (trap 'echo > /tmp/child; exit' USR1; echo > /tmp/up;"
    script += " while :; do sleep 0.02; done) & while :; do wait; done"
    container_id = runtime.start(bundle.command(script))
    place = bundle.rootfs / "tmp"
    wait_for(place / "up")
    assert runtime.call("kill", "--all", container_id, "USR1").returncode == 0
    wait_for(place / "child")
    wait_for(place / "parent")


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


def test_update_from_a_document(runtime: Runtime, idle: str, tmp_path: Path) -> None:
    document = json.dumps({"pids": {"limit": 33}})
    (tmp_path / "resources.json").write_text(document)
    for words, text in ((str(tmp_path / "resources.json"), None), ("-", document)):
        done = runtime.call("update", "--resources", words, idle, input_text=text)
        assert done.returncode == 0, done.stderr
        data = json.loads(runtime.call("events", "--stats", idle).stdout)["data"]
        assert data["pids"]["limit"] == 33


def test_events_until_the_end(runtime: Runtime, bundle: Bundle) -> None:
    """Figures again and again, and who was killed for want of memory."""
    bundle.spec["linux"]["resources"] |= {"memory": {"limit": 16 << 20, "swap": 16 << 20}}
    bundle.command("sleep 0.5; (tail /dev/zero); sleep 0.5")
    container_id = runtime.start(bundle)
    done = runtime.call("events", "--interval", "100ms", container_id)
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    assert {entry["id"] for entry in entries} == {container_id}
    kinds = [entry["type"] for entry in entries]
    assert kinds.count("stats") >= 3
    assert kinds.count("oom") == 1


def test_spec_for_who_is_not_root(runtime: Runtime, tmp_path: Path) -> None:
    for words in ((), ("--rootless",)):
        directory = tmp_path / f"bundle{len(words)}"
        directory.mkdir()
        assert runtime.call("spec", *words, "--bundle", str(directory)).returncode == 0
        spec = json.loads((directory / "config.json").read_text())
        kinds = {entry["type"] for entry in spec["linux"]["namespaces"]}
        assert ("user" in kinds) == bool(words)
        again = runtime.call("spec", *words, "--bundle", str(directory))
        assert "config.json exists. Remove it first" in again.stderr
