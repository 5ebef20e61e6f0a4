"""Docker and Podman with `knarr-runtime` beneath them, next to the runtime that they come with.

Every case is run on both, at the same time; both have to end and to say the same, and what is
written here.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from support.engines import Docker, Engine, Podman, lent_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    T = TypeVar("T")

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", params=[Docker, Podman], ids=["docker", "podman"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    directory = tmp_path_factory.mktemp(request.param.name)
    with lent_engine(request.param, directory) as lent:
        yield lent


def on_both(engine: Engine, do: Callable[[str], T]) -> T:
    """Return what `do` gives for our runtime, once it is the same as for the engine's own."""
    names = [name for name in ("knarr", engine.oracle) if name]
    with ThreadPoolExecutor() as pool:
        ours, *theirs = pool.map(do, names)
    assert theirs in ([], [ours])
    return ours


LIMITS = """
for file in memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max \
            memory.max cpu.max pids.max; do
    if [ -e /sys/fs/cgroup/$file ]; then cut -d' ' -f1 /sys/fs/cgroup/$file; fi
done
"""
CAPABILITIES = "grep ^Cap /proc/self/status | cut -f2"

# Options, what the shell runs, exit status, output (None: whatever the other runtime gives).
RUNS: dict[str, tuple[tuple[str, ...], str, int, str | None]] = {
    "status": ((), "exit 7", 7, ""),
    "signal": (("--init",), "kill -KILL $$", 137, ""),
    "limits": (
        ("-m", "64m", "--cpus", "0.5", "--pids-limit", "50"), LIMITS, 0, "67108864\n50000\n50\n",
    ),
    "volumes": (
        ("-v", "/etc:/v:ro", "--tmpfs", "/t"), "touch /t/x && ls /t; touch /v/x", 1, "x\n",
    ),
    "read-only": (
        ("--read-only", "--tmpfs", "/tmp"), "touch /tmp/x && echo yes; touch /x", 1, "yes\n",
    ),
    "user": (
        ("-u", "1000:1001", "--group-add", "5", "-w", "/tmp"), "id -u; id -g; pwd", 0,
        "1000\n1001\n/tmp\n",
    ),
    "capabilities": (
        ("--cap-drop", "all", "--cap-add", "chown"), CAPABILITIES, 0,
        f"{0:016x}\n{1:016x}\n{1:016x}\n{1:016x}\n{0:016x}\n",
    ),
    "security": (
        ("--security-opt", "no-new-privileges"),
        "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status", 0, "NoNewPrivs:\t1\nSeccomp:\t2\n",
    ),
    "unconfined": (
        ("--security-opt", "seccomp=unconfined"), "grep ^Seccomp: /proc/self/status", 0,
        "Seccomp:\t0\n",
    ),
    # Docker wants all capabilities that the kernel knows, which not every root has.
    "privileged": (("--privileged",), f"{CAPABILITIES}; grep ^Sec /proc/self/status", -1, None),
    "ulimits": (
        ("--ulimit", "nofile=100:200", "--ulimit", "nproc=1000:1000"), "ulimit -n; ulimit -Hn", 0,
        "100\n200\n",
    ),
    "sysctl": (
        ("--sysctl", "net.ipv4.ip_forward=1"), "cat /proc/sys/net/ipv4/ip_forward", 0, "1\n",
    ),
    "devices": (("--device", "/dev/null:/dev/mine:r"), "ls /dev", 0, None),
    "names": (("-h", "vinland"), "hostname", 0, "vinland\n"),
    "host's namespaces": (
        ("--pid", "host", "--ipc", "host", "--uts", "host"),
        "for name in pid ipc uts; do readlink /proc/self/ns/$name; done", 0, None,
    ),
    "private cgroups": (
        ("--cgroupns", "private"), "cat /proc/self/cgroup; ls /sys/fs/cgroup", 0, None,
    ),
}  # fmt: skip
PODMAN_ONLY: dict[str, tuple[tuple[str, ...], str, int, str | None]] = {
    "users": (
        ("--uidmap", "0:100000:65536"),
        "cat /proc/self/uid_map; touch /x && stat -c %u /x; ls /dev", 0, None,
    ),
    "users and mounts": (
        ("--uidmap", "0:100000:65536", "--read-only", "-v", "/etc:/v:ro", "--tmpfs", "/t"),
        "touch /t/x && echo yes; cat /v/hostname >/dev/null && echo good", 0, "yes\ngood\n",
    ),
    "users of its own": (
        ("--userns", "auto:size=1000"), "tr -s ' ' </proc/self/uid_map | cut -d' ' -f2,4; id -u", 0,
        "0 1000\n0\n",
    ),
    "notified by the container": (("--sdnotify", "container"), "echo yes", 0, "yes\n"),
    "systemd's mounts": (
        ("--systemd", "always"), "cut -d' ' -f5 /proc/self/mountinfo | sort", 0, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RUNS)
def test_run(engine: Engine, case: str) -> None:
    check(engine, *RUNS[case])


@pytest.mark.parametrize("engine", [Podman], ids=["podman"], indirect=True)
@pytest.mark.parametrize("case", PODMAN_ONLY)
def test_run_as_podman_alone_can(engine: Engine, case: str) -> None:
    check(engine, *PODMAN_ONLY[case])


def check(
    engine: Engine, flags: tuple[str, ...], script: str, status: int, output: str | None
) -> None:
    if engine.name == "podman" and "--init" in flags:
        flags = ()
        script = f"sh -c '{script}'; exit $?"
    ours = on_both(engine, lambda name: engine.run(name, ("--rm", *flags), script)[:2])
    assert status in (-1, ours[0])
    assert output in (None, ours[1])


def test_input(engine: Engine) -> None:
    done = on_both(engine, lambda name: engine.run(name, ("--rm", "-i"), "cat", data="over")[:2])
    assert done == (0, "over")


def test_terminal(engine: Engine) -> None:
    # Podman may attach late: what a container that is gone by then wrote is lost with its terminal.
    script = "sleep 1; tty; tty <&2; sleep 1; exit 3"
    done = on_both(engine, lambda name: engine.run(name, ("--rm", "-it"), script, tty=True)[:2])
    assert done == (3, "/dev/pts/0\n/dev/pts/0\n")


@pytest.mark.parametrize(("program", "status"), [("/nope", 127), ("/etc", 126)])
def test_what_cannot_be_executed(engine: Engine, program: str, status: int) -> None:
    flags = ("--rm",)
    assert on_both(engine, lambda name: engine.run(name, flags, program, "x").status) == status


def test_memory_that_ran_out(engine: Engine) -> None:
    # Whether Docker says "OOMKilled" is a race between two of its events.
    flags = ("--rm", "-m", "16m", "--memory-swap", "16m")
    script = "x=a; while true; do x=$x$x; done"
    assert on_both(engine, lambda name: engine.run(name, flags, script).status) == 137


WAITING = "trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 0.1; done"


def live(engine: Engine, name: str) -> list[object]:
    """Lead a container through its life; return what was seen, one entry a step."""
    container = f"life-{name}"
    state = "{{.State.Status}} {{.State.ExitCode}}"
    seen: list[object] = [engine.run(name, ("-d", "--name", container), WAITING).status]

    def note(*words: str) -> None:
        seen.append(engine.call(*words)[:2])

    def say(word: str) -> None:
        deadline = time.monotonic() + 10
        while word not in engine.call("logs", container).output:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    say("ready")
    note("inspect", "-f", state, container)
    note("exec", container, "sh", "-c", "echo inside; exit 4")
    note("exec", "-u", "1000:1001", "-w", "/tmp", "-e", "A=b", container,
         "sh", "-c", "id -u; id -g; pwd; echo $A")  # fmt: skip
    seen.append(engine.call("exec", "-d", container, "sleep", "1000").status)
    seen.append(engine.call("exec", "-it", container, "sh", "-c", "tty; exit 3", tty=True)[:2])
    seen.append(engine.call("exec", container, "/nope").status)
    seen.append(engine.must("top", container).count("sleep 1000"))
    seen.append(engine.must("stats", "--no-stream", container).count(container))
    note("pause", container)
    note("inspect", "-f", state, container)
    note("unpause", container)
    seen.append(engine.call("update", "--cpus", "0.7", "-m", "64m", "--memory-swap", "64m",
                            container).status)  # fmt: skip
    note("exec", container, "sh", "-c", LIMITS.replace("pids", "no"))
    note("stop", container)
    note("inspect", "-f", state, container)
    note("logs", container)
    seen.append(engine.call("start", container).status)
    note("kill", container)
    note("wait", container)
    note("rm", container)
    return [_without(entry, container) for entry in seen]


def _without(entry: object, container: str) -> object:
    """Return what was seen without the name of the container."""
    if not isinstance(entry, tuple):
        return entry
    status, output = entry
    return status, output.replace(container, "life")


def test_life(engine: Engine) -> None:
    seen = on_both(engine, lambda name: live(engine, name))
    assert seen == [
        0, (0, "running 0\n"), (4, "inside\n"), (0, "1000\n1001\n/tmp\nb\n"), 0,
        (3, "/dev/pts/0\n"), 126 if engine.name == "docker" else 127, 1, 1,
        (0, "life\n"), (0, "paused 0\n"), (0, "life\n"),
        0, (0, "67108864\n70000\n"),
        (0, "life\n"), (0, "exited 5\n"), (0, "ready\nasked\n"), 0, (0, "life\n"),
        (0, "137\n"), (0, "life\n"),
    ]  # fmt: skip


def test_attachment(engine: Engine) -> None:
    def attach(name: str) -> tuple[int, str]:
        container = f"attached-{name}"
        script = "sleep 1; echo late; exit 3"
        assert engine.run(name, ("-d", "--name", container), script).status == 0
        done = engine.call("attach", "--no-stdin", container)
        engine.must("rm", container)
        return done[:2]

    status, output = on_both(engine, attach)
    assert output.strip() == "late"
    assert status == (3 if engine.name == "docker" else 0)


def test_restarts(engine: Engine) -> None:
    def fail(name: str) -> str:
        container = f"failing-{name}"
        flags = ("-d", "--restart", "on-failure:2", "--name", container)
        assert engine.run(name, flags, "exit 1").status == 0
        deadline = time.monotonic() + 10
        form = "{{.RestartCount}} {{.State.Status}}"
        while (shown := engine.must("inspect", "-f", form, container)) != "2 exited\n":
            assert time.monotonic() < deadline, shown
            time.sleep(0.1)
        engine.must("rm", container)
        return shown

    on_both(engine, fail)


def test_namespaces_of_another_container(engine: Engine) -> None:
    def join(name: str) -> tuple[int, str]:
        container = f"host-{name}"
        assert engine.run(name, ("-d", "--name", container), "sleep 1000").status == 0
        flags = ("--rm", "--pid", f"container:{container}")
        done = engine.run(name, flags, "ps -o args | grep '^sleep'")
        # To the other runtime's containers, too: a namespace is a namespace.
        engine.must("rm", "-f", *(("-t", "0") if engine.name == "podman" else ()), container)
        return done[:2]

    assert on_both(engine, join) == (0, "sleep 1000\n")
