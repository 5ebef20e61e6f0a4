"""`--runtime`: containers that another OCI runtime makes, under the same supervisor."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.engine.container import tasks
from knarr.linux import cgroup
from knarr.supervise import task
from support.engine import lent_engine
from support.engines import OURS
from support.runtimes import need

if TYPE_CHECKING:
    from support.engine import Knarr

pytestmark = pytest.mark.root

WAITING = "trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 0.1; done"


# crun refuses a machine with cgroups of both versions, so it gets a view without the second.
HIDING = """#!/bin/sh
exec unshare -m sh -c 'umount "$0" && exec "$@"' {mount_point} {crun} "$@"
"""


@pytest.fixture(params=["runc", "crun", "path"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "path":
        return OURS
    need(request.param)
    points = {hierarchy.version: hierarchy.mount_point for hierarchy in cgroup.hierarchies()}
    if request.param == "crun" and len(points) == 2:
        program = tmp_path / "crun"
        program.write_text(HIDING.format(mount_point=points[2], crun=shutil.which("crun")))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return str(request.param)


def start(knarr: Knarr, runtime: str, *words: str) -> str:
    """Start a container that waits, and return its ID when it is ready."""
    flags = ("--name", "one", "--runtime", runtime)
    container = knarr("run", "-d", *flags, *words, "busybox", "sh", "-c", WAITING).strip()
    knarr.wait_until(lambda: "ready" in knarr("logs", "one"))
    return container


def test_output_and_exit_status(knarr: Knarr, runtime: str) -> None:
    script = "cat; echo no >&2; exit 7"
    words = ("run", "--rm", "-i", "--runtime", runtime, "busybox", "sh", "-c", script)
    done = knarr.do(*words, stdin=b"yes\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "yes\n", "no\n")


@pytest.mark.parametrize(("program", "status"), [("/nope", 127), ("/etc", 126)])
def test_what_cannot_be_executed(knarr: Knarr, runtime: str, program: str, status: int) -> None:
    said = knarr.fails("run", "--rm", "--runtime", runtime, "busybox", program, status=status)
    assert os.path.basename(runtime) in said


def test_what_the_runtime_refuses_is_told(knarr: Knarr, runtime: str) -> None:
    flags = ("--sysctl", "net.no.such=1")
    said = knarr.fails("run", "--rm", "--runtime", runtime, *flags, "busybox", "true", status=125)
    assert "no/such" in said or "no.such" in said
    assert knarr("ps", "-aq") == ""


def test_terminal(knarr: Knarr, runtime: str) -> None:
    words = ("run", "--rm", "-it", "--runtime", runtime, "busybox", "sh", "-c")
    script = "tty; stty size <&2; exit 3"
    command = ["script", "-qec", shlex.join(knarr.command(*words, script)), "/dev/null"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3
    assert "/dev/pts/0" in done.stdout


def test_options_reach_the_container(knarr: Knarr, runtime: str) -> None:
    flags = ("--read-only", "--tmpfs", "/t", "-v", f"{knarr.directory}:/v:ro", "-u", "1000:1001",
             "--cap-drop", "all", "-h", "vinland", "--ulimit", "nofile=100:200")  # fmt: skip
    script = """
        touch /x /v/x || echo read-only; touch /t/x && ls /t; id -u; id -g; hostname; ulimit -n
        grep CapBnd /proc/self/status; grep ^Seccomp: /proc/self/status
    """
    words = ("run", "--rm", "--runtime", runtime, *flags, "busybox", "sh", "-c", script)
    assert knarr.do(*words).stdout.split("\n") == [
        "read-only", "x", "1000", "1001", "vinland", "100", f"CapBnd:\t{0:016x}", "Seccomp:\t2", "",
    ]  # fmt: skip


def test_mapped_users(runtime: str) -> None:
    flags = ("--uidmap", "0:100000:65536", "-v", "data:/v")
    script = "cat /proc/self/uid_map; touch /x /v/x && stat -c %u /x /v/x /bin; echo >/dev/stdout"
    words = ("run", "--rm", "--runtime", runtime, *flags, "busybox", "sh", "-c", script)
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o711)  # so that the container's root can get there
        with lent_engine(Path(directory)) as knarr:
            assert knarr(*words).split() == ["0", "100000", "65536", "0", "0", "0"]
            assert os.stat(f"{knarr.engine.volumes.path('data')}/x").st_uid == 0
    # crun gives its container's streams away, whatever they are.
    assert os.stat("/dev/null").st_uid == 0


def test_mapped_users_need_a_way(knarr: Knarr, runtime: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    flags = ("--uidmap", "0:100000:65536", "--runtime", runtime)
    said = knarr.fails("run", "--rm", *flags, "busybox", "true", status=125)
    assert "may not enter" in said


def test_memory_that_another_container_shares(knarr: Knarr, runtime: str) -> None:
    flags = ("--name", "host", "--ipc", "shareable")
    knarr("run", "-d", *flags, "busybox", "sh", "-c", "echo shared >/dev/shm/x; sleep 1000")
    knarr.wait_until(lambda: knarr.do("exec", "host", "test", "-e", "/dev/shm/x").returncode == 0)
    words = ("run", "--rm", "--runtime", runtime, "--ipc", "container:host", "busybox")
    assert knarr(*words, "cat", "/dev/shm/x") == "shared\n"


def test_memory_that_ran_out(knarr: Knarr, runtime: str) -> None:
    flags = ("--name", "one", "--runtime", runtime, "-m", "16m", "--memory-swap", "16m")
    script = "x=a; while true; do x=$x$x; done"
    assert knarr.do("run", *flags, "busybox", "sh", "-c", script).returncode == 137
    assert knarr("inspect", "-f", "{{.State.OOMKilled}}", "one") == "true\n"


def test_life(knarr: Knarr, runtime: str) -> None:
    start(knarr, runtime)
    state = (
        "inspect",
        "-f",
        "{{.State.Status}} {{.State.ExitCode}} {{.HostConfig.Runtime}}",
        "one",
    )
    assert knarr(*state) == f"running 0 {runtime}\n"
    assert knarr.do("exec", "one", "sh", "-c", "echo in; exit 4").stdout == "in\n"
    assert knarr.do("exec", "one", "sh", "-c", "exit 4").returncode == 4
    assert knarr.do("exec", "-i", "one", "cat", stdin=b"over").stdout == "over"
    assert (
        knarr("exec", "-u", "1000", "-w", "/tmp", "one", "sh", "-c", "id -u; pwd") == "1000\n/tmp\n"
    )
    knarr.fails("exec", "one", "/nope", status=127)
    knarr("pause", "one")
    assert knarr(*state).startswith("paused")
    knarr("unpause", "one")
    assert "eth0" in knarr("exec", "one", "ip", "address")
    knarr("stop", "one")
    assert knarr(*state) == f"exited 5 {runtime}\n"
    assert knarr("logs", "one") == "ready\nasked\n"
    knarr("start", "one")
    knarr("kill", "one")
    assert knarr("wait", "one") == "137\n"


def test_root_is_mounted_nowhere_on_the_host(knarr: Knarr, runtime: str) -> None:
    start(knarr, runtime)
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        assert str(knarr.directory) not in file.read()
    knarr("rm", "-f", "one")


def test_restarts_keep_the_network(knarr: Knarr, runtime: str) -> None:
    script = "ip -o -4 address show eth0 | tr -s ' ' | cut -d' ' -f4; exit 1"
    flags = ("--name", "one", "--runtime", runtime, "--restart", "on-failure:2")
    knarr("run", "-d", *flags, "busybox", "sh", "-c", script)
    state = ("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "one")
    knarr.wait_until(lambda: knarr(*state) == "exited 2\n")
    first, *others = knarr("logs", "one").splitlines()
    assert "/" in first
    assert others == [first, first]


def test_container_outlives_its_supervisor(knarr: Knarr, runtime: str) -> None:
    container = start(knarr, runtime)
    fields = task.read(knarr.engine.paths.container(container))
    assert fields is not None
    os.kill(fields["supervisor_pid"], signal.SIGKILL)
    knarr.wait_until(lambda: not task.start_time(fields["supervisor_pid"]))
    assert "new supervisor" in knarr.do("ps").stderr
    assert knarr("exec", "one", "echo", "there") == "there\n"
    knarr("stop", "one")
    assert knarr("logs", "one") == "ready\nasked\n"
    knarr("start", "one")
    assert tasks.read_state(knarr.engine.paths, container).status == "running"
    knarr("rm", "-f", "one")


@pytest.mark.parametrize("point", ["created", "saved", "starting"])
def test_nothing_is_left_of_a_start_that_was_killed(knarr: Knarr, runtime: str, point: str) -> None:
    words = ("run", "-d", "--name", "one", "--runtime", runtime, "busybox", "sleep", "1000")
    done = knarr.do(*words, trace=f"supervise:{point}=kill")
    assert done.returncode == 125
    deadline = time.monotonic() + 10
    while any("sleep" in said or "init" in said for _, said in knarr.processes()):
        assert time.monotonic() < deadline, knarr.processes()
        knarr.do("ps")
    knarr.do("ps")  # says what it found
    assert "one" not in knarr("ps", "--format", "{{.Names}}")
    knarr("rm", "-f", "one")


def test_runtimes_are_shown_and_checked(knarr: Knarr) -> None:
    assert "knarr" in knarr("info", "-f", "{{json .Runtimes}}")
    said = knarr.fails("run", "--runtime", "nonsense", "busybox", "true", status=125)
    assert "unknown or invalid runtime name: nonsense" in said
    said = knarr.fails("create", "--runtime", "/no/such", "busybox", "true")
    assert "unknown or invalid runtime name: /no/such" in said
    assert knarr("run", "--rm", "--runtime", "knarr", "busybox", "echo", "own") == "own\n"
