"""The life of a container, from create to rm, as a user sees it on the command line."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from typing import TYPE_CHECKING

import pytest

from knarr.engine.container import stopping
from knarr.engine.waiting import watch_end
from knarr.errors import Conflict
from support.engine import Knarr

if TYPE_CHECKING:
    from pathlib import Path

    from knarr.engine.engine import Engine
    from knarr.engine.options.values import Options
    from knarr.store.containers import ContainerRow
    from knarr.supervise.control import Client

pytestmark = pytest.mark.root

NONE = ("--network", "none")
LOOP = ("sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done")


def run(knarr: Knarr, *words: str) -> str:
    return knarr("run", "-d", *NONE, *words).strip()


def state(knarr: Knarr, name: str, field: str = "Status") -> str:
    return knarr("inspect", "-f", f"{{{{.State.{field}}}}}", name).strip()


def log_of(knarr: Knarr, name: str) -> str:
    with open(knarr("inspect", "-f", "{{.LogPath}}", name).strip()) as file:
        return "".join(json.loads(line)["log"] for line in file)


def await_log(knarr: Knarr, name: str, text: str) -> None:
    knarr.wait_until(lambda: text in log_of(knarr, name))


def test_run_detached_prints_the_id_and_returns(knarr: Knarr) -> None:
    container_id = run(knarr, "--name", "web", "busybox", *LOOP)
    assert re.fullmatch("[0-9a-f]{64}", container_id)
    assert state(knarr, "web") == "running"
    line = knarr("ps", "--format", "{{.ID}}|{{.Image}}|{{.Command}}|{{.Names}}|{{.State}}").strip()
    assert line == f"""{container_id[:12]}|busybox|"sh -c 'trap 'exit 7…"|web|running"""


def test_create_start_stop_start_restart_kill_rm(knarr: Knarr) -> None:
    container_id = knarr("create", *NONE, "--name", "web", "busybox", *LOOP).strip()
    assert state(knarr, "web") == "created"
    assert knarr("ps", "-a", "--format", "{{.Status}}") == "Created\n"
    assert knarr("start", "web") == "web\n"
    await_log(knarr, "web", "ready")
    assert knarr("stop", container_id[:10]) == f"{container_id[:10]}\n"
    assert state(knarr, "web", "ExitCode") == "7"
    assert knarr("ps", "-a", "--format", "{{.Status}}").startswith("Exited (7) ")
    knarr("start", "web")
    await_log(knarr, "web", "ready\nready")
    knarr("restart", "web")
    await_log(knarr, "web", "ready\nready\nready")
    assert knarr("kill", "web") == "web\n"
    assert state(knarr, "web", "ExitCode") == "137"
    assert knarr("rm", "web") == "web\n"
    assert knarr("ps", "-aq") == ""


def test_files_survive_a_restart_and_are_seen_by_nobody_else(knarr: Knarr) -> None:
    script = "echo one >> /kept; cat /kept; hostname > /who"
    first = run(knarr, "--name", "first", "busybox", "sh", "-c", script)
    knarr("wait", "first")
    knarr("start", "first")
    knarr("wait", "first")
    assert log_of(knarr, "first") == "one\none\none\n"
    run(knarr, "--name", "second", "busybox", "ls", "/")
    knarr("wait", "second")
    assert "kept" not in log_of(knarr, "second")
    upper = f"{knarr.engine.paths.container(first)}/upper"
    assert sorted(os.listdir(upper)) == ["kept", "who"]


def test_stop_kills_who_does_not_listen(knarr: Knarr) -> None:
    run(knarr, "--name", "deaf", "busybox", "sh", "-c", "trap '' TERM; echo ready; sleep 100")
    await_log(knarr, "deaf", "ready")
    before = time.monotonic()
    knarr("stop", "-t", "1", "deaf")
    assert 1 <= time.monotonic() - before < 5
    assert state(knarr, "deaf", "ExitCode") == "137"


def test_stop_signal_of_the_container_and_of_the_command(knarr: Knarr) -> None:
    script = "trap 'exit 3' USR1; trap 'exit 4' USR2; echo ready; while :; do sleep 0.1; done"
    run(knarr, "--name", "one", "--stop-signal", "USR1", "busybox", "sh", "-c", script)
    await_log(knarr, "one", "ready")
    knarr("stop", "one")
    assert state(knarr, "one", "ExitCode") == "3"
    knarr("start", "one")
    await_log(knarr, "one", "ready\nready")
    knarr("stop", "-s", "SIGUSR2", "one")
    assert state(knarr, "one", "ExitCode") == "4"


def test_stopping_what_does_not_run_is_no_error(knarr: Knarr) -> None:
    knarr("create", *NONE, "--name", "web", "busybox")
    assert knarr("stop", "web") == "web\n"
    run(knarr, "--name", "other", "busybox", *LOOP)
    assert knarr("start", "other") == "other\n"


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 1", 1), ("exit 77", 77), ("kill -9 $$", 137),
                         ("kill -15 $$", 0), ("kill -s HUP $$; sleep 1", 0)],
)  # fmt: skip
def test_exit_codes(knarr: Knarr, script: str, code: int) -> None:
    # Process 1 of a PID namespace ignores signals without a handler, but for those from outside.
    run(knarr, "--name", "one", "busybox", "sh", "-c", script.replace("-9 $$", "-9 -1; exit 137"))
    assert knarr("wait", "one") == f"{code}\n"


@pytest.mark.parametrize(("signal", "code"), [("KILL", "137"), ("9", "137"), ("SIGINT", "130")])
def test_kill_sends_a_signal(knarr: Knarr, signal: str, code: str) -> None:
    script = "trap 'exit 130' INT; echo ready; while :; do sleep 0.1; done"
    run(knarr, "--name", "one", "busybox", "sh", "-c", script)
    await_log(knarr, "one", "ready")
    knarr("kill", "-s", signal, "one")
    assert knarr("wait", "one").strip() == code


def test_kill_of_what_does_not_run(knarr: Knarr) -> None:
    container_id = knarr("create", *NONE, "--name", "web", "busybox").strip()
    said = knarr.fails("kill", "web")
    assert said == f"knarr: cannot kill container: web: container {container_id} is not running\n"
    assert "invalid signal: NOPE" in knarr.fails("kill", "-s", "NOPE", "web", status=1)


def test_rm_of_a_running_container_is_refused_with_dockers_words(knarr: Knarr) -> None:
    run(knarr, "--name", "web", "busybox", *LOOP)
    said = knarr.fails("rm", "web")
    assert said == (
        'knarr: cannot remove container "/web": container is running: stop the container before '
        "removing or force remove\n"
    )
    assert knarr("rm", "-f", "web") == "web\n"
    assert knarr("ps", "-aq") == ""


def test_rm_goes_on_after_a_missing_container(knarr: Knarr) -> None:
    knarr("create", *NONE, "--name", "web", "busybox")
    done = knarr.do("rm", "nope", "web")
    assert (done.returncode, done.stdout) == (1, "web\n")
    assert done.stderr == "knarr: no such container: nope\n"
    assert knarr.do("rm", "-f", "nope").returncode == 0


def test_a_name_is_used_once(knarr: Knarr) -> None:
    first = knarr("create", *NONE, "--name", "web", "busybox").strip()
    said = knarr.fails("run", "-d", *NONE, "--name", "web", "busybox", status=125)
    assert said.startswith(
        f'knarr: Conflict. The container name "/web" is already in use by container "{first}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    assert knarr("ps", "-aq", "--no-trunc") == f"{first}\n"
    knarr("create", *NONE, "--name", "other", "busybox")
    assert "Conflict" in knarr.fails("rename", "other", "web")
    assert "same name" in knarr.fails("rename", "web", "web")
    assert "are allowed" in knarr.fails("rename", "web", "b/ad")
    knarr("rename", "web", "site")
    assert state(knarr, "site") == "created"


def test_containers_without_a_name_get_one(knarr: Knarr) -> None:
    for _ in range(3):
        knarr("create", *NONE, "busybox")
    names = knarr("ps", "-a", "--format", "{{.Names}}").split()
    assert len(set(names)) == 3
    assert all(re.fullmatch("[a-z]+_[a-z]+", name) for name in names)


def test_rm_option_removes_everything_at_the_end(knarr: Knarr) -> None:
    run(knarr, "--rm", "--name", "gone", "busybox", "true")
    knarr.wait_until(lambda: knarr("ps", "-aq") == "")
    knarr.assert_clean()


def test_wait_for_the_end_and_for_what_ended(knarr: Knarr) -> None:
    run(knarr, "--name", "one", "busybox", "sh", "-c", "sleep 0.3; exit 5")
    assert knarr("wait", "one", "one") == "5\n5\n"
    assert "no such container: nope" in knarr.fails("wait", "nope")


def test_pause_and_unpause(knarr: Knarr) -> None:
    run(knarr, "--name", "one", "busybox", "sh", "-c", "while :; do date +%s%N > /now; done")
    path = f"{knarr.engine.paths.container(knarr.engine.containers.get('one').id)}/upper/now"
    knarr.wait_until(lambda: os.path.exists(path))
    knarr("pause", "one")
    assert state(knarr, "one") == "paused"
    assert "(Paused)" in knarr("ps", "--format", "{{.Status}}")
    frozen = os.stat(path).st_mtime_ns
    time.sleep(0.2)
    assert os.stat(path).st_mtime_ns == frozen
    assert "already paused" in knarr.fails("pause", "one")
    assert "unpause" in knarr.fails("start", "one")
    knarr("unpause", "one")
    assert state(knarr, "one") == "running"
    knarr.wait_until(lambda: os.stat(path).st_mtime_ns > frozen)
    assert "not paused" in knarr.fails("unpause", "one")
    knarr("pause", "one")
    knarr("stop", "-t", "0", "one")
    assert state(knarr, "one") == "exited"


def test_top(knarr: Knarr) -> None:
    run(knarr, "--name", "one", "-u", "nobody", "busybox", "sh", "-c", "sleep 1000 & sleep 1001")
    knarr.wait_until(lambda: "1001" in knarr("top", "one"))
    head, *rows = knarr("top", "one").splitlines()
    assert head.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert [row.split()[0] for row in rows] == ["nobody"] * 2
    assert {row.split(None, 7)[7] for row in rows} >= {"sleep 1000", "sleep 1001"}
    head, *rows = knarr("top", "one", "-o", "pid,comm").splitlines()
    assert head.split() == ["PID", "COMMAND"]
    assert "unknown column" in knarr.fails("top", "one", "-o", "colour")
    knarr("kill", "one")
    assert "is not running" in knarr.fails("top", "one")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["busybox", "nope"], 127, 'exec: "nope": executable file not found in $PATH'),
        (["busybox", "/nope"], 127, "no such file or directory"),
        (["busybox", "/etc/passwd"], 126, "permission denied"),
        (["busybox", "/tmp"], 126, ""),
        (["nope", "true"], 125, "Unable to find image 'nope:latest' locally"),
        (["-u", "ghost", "busybox", "true"], 125, "unable to find user ghost"),
        (["-u", "0:ghosts", "busybox", "true"], 125, "unable to find group ghosts"),
        (["-w", "rel", "busybox", "true"], 125, "it needs to be an absolute path"),
        (["-m", "1m", "busybox", "true"], 125, "minimum memory limit allowed is 6MB"),
        (["--nope", "busybox"], 125, "unknown flag: --nope"),
        (["UPPER", "true"], 125, "must be lowercase"),
        (["-v", "/nope/x:/:ro", "busybox"], 125, "destination can't be '/'"),
        (["--mount", "type=bind,src=/nope/x,dst=/x", "busybox"], 125, "path does not exist"),
        (["--restart", "always", "--rm", "busybox"], 125, "cannot specify both --restart and --rm"),
        (["--device", "/dev/nope", "busybox"], 125, "error gathering device information"),
        (["--cap-add", "FLY", "busybox"], 125, "unknown capability"),
        (["--name", "_", "busybox"], 125, "are allowed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_what_cannot_run(knarr: Knarr, words: list[str], status: int, said: str) -> None:
    message = knarr.fails("run", "-d", "--network", "none", *words, status=status)
    assert said in message
    assert message.startswith("knarr: ") or status == 125


def test_a_container_that_cannot_start_stays_created_and_says_why(knarr: Knarr) -> None:
    knarr.fails("run", "-d", *NONE, "--name", "bad", "busybox", "nope", status=127)
    assert state(knarr, "bad") == "created"
    assert state(knarr, "bad", "ExitCode") == "127"
    assert "executable file not found" in state(knarr, "bad", "Error")
    assert knarr("ps", "-a", "--format", "{{.Status}}") == "Created\n"
    knarr.fails("run", "-d", *NONE, "--name", "user", "-u", "ghost", "busybox", status=125)
    assert "unable to find user" in state(knarr, "user", "Error")
    assert "executable file not found" in knarr.fails("start", "bad")


def test_a_container_that_cannot_start_goes_with_rm(knarr: Knarr) -> None:
    knarr.fails("run", "-d", "--rm", *NONE, "busybox", "nope", status=127)
    assert knarr("ps", "-aq") == ""
    knarr.assert_clean()


def test_cidfile(knarr: Knarr, tmp_path: Path) -> None:
    path = tmp_path / "cid"
    container_id = run(knarr, "--cidfile", str(path), "busybox", "true")
    assert path.read_text() == container_id
    said = knarr.fails("run", "-d", "--cidfile", str(path), "busybox", status=125)
    assert "container ID file found" in said
    knarr.fails("run", "-d", "--cidfile", str(tmp_path / "other"), "nope", status=125)
    assert not (tmp_path / "other").exists()


def test_restart_policy_goes_on_without_any_knarr_command(knarr: Knarr) -> None:
    script = "echo run >> /runs; exit 1"
    run(knarr, "--name", "one", "--restart", "on-failure:2", "busybox", "sh", "-c", script)
    knarr.wait_until(lambda: state(knarr, "one") == "exited")
    assert knarr("inspect", "-f", "{{.RestartCount}}", "one") == "2\n"
    container_id = knarr.engine.containers.get("one").id
    with open(f"{knarr.engine.paths.container(container_id)}/upper/runs") as file:
        assert file.read() == "run\nrun\nrun\n"


def test_a_stopped_container_is_not_restarted(knarr: Knarr) -> None:
    run(knarr, "--name", "one", "--restart", "always", "busybox", *LOOP)
    await_log(knarr, "one", "ready")
    knarr("stop", "one")
    assert state(knarr, "one") == "exited"
    knarr("start", "one")
    assert state(knarr, "one") == "running"


def test_a_container_that_restarts_can_be_stopped_and_removed(knarr: Knarr) -> None:
    run(knarr, "--name", "one", "--restart", "always", "busybox", "false")
    knarr.wait_until(lambda: "Restarting (1) " in knarr("ps", "--format", "{{.Status}}"))
    knarr("stop", "one")
    assert state(knarr, "one") == "exited"
    knarr("rm", "one")


def test_prune_removes_what_does_not_run(knarr: Knarr) -> None:
    run(knarr, "--name", "runs", "busybox", *LOOP)
    dead = knarr("create", *NONE, "--label", "keep=no", "busybox").strip()
    kept = knarr("create", *NONE, "--label", "keep=yes", "busybox").strip()
    said = knarr("container", "prune", "-f", "--filter", "label=keep=no")
    assert said == f"Deleted Containers:\n{dead}\n\nTotal reclaimed space: 0B\n"
    left = knarr("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}}")
    assert kept in left
    assert "runs" in left


def test_the_platform_asked_for_is_the_images(knarr: Knarr) -> None:
    run(knarr, "--platform", f"linux/{_architecture()}", "busybox", "true")
    never = ("run", "-d", "--pull", "never", "--platform", "linux/s390x", "busybox")
    assert "does not match the specified platform" in knarr.fails(*never, status=125)
    assert "is not a platform" in knarr.fails("create", "--platform", "x/y/z/w", "busybox")


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


@pytest.mark.parametrize("condition", ["not-running", "next-exit"])
def test_an_end_just_before_who_waits_is_connected_is_not_missed(
    knarr: Knarr, monkeypatch: pytest.MonkeyPatch, condition: str
) -> None:
    run(knarr, "--name", "short", "busybox", "sleep", "60")
    connect = stopping.connect

    def connect_late(engine: Engine, row: ContainerRow) -> Client:
        knarr("kill", "short")
        knarr("wait", "short")
        return connect(engine, row)

    monkeypatch.setattr(stopping, "connect", connect_late)
    answers = watch_end(knarr.engine.containers.get("short"), condition)
    with contextlib.closing(answers):
        assert next(answers) == 137


def test_an_end_while_somebody_is_about_to_end_it(
    knarr: Knarr, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(knarr, "--name", "short", "busybox", "sleep", "60")
    connect = stopping.connect

    def connect_early(engine: Engine, row: ContainerRow) -> Client:
        client = connect(engine, row)
        knarr("kill", "short")
        knarr.wait_until(lambda: not os.path.exists(engine.paths.task(row.id)))
        return client

    monkeypatch.setattr(stopping, "connect", connect_early)
    knarr.engine.containers.get("short").stop()
    knarr("start", "short")
    with pytest.raises(Conflict, match="cannot kill container: short: "):
        knarr.engine.containers.get("short").kill()


def test_a_container_that_is_started_while_it_is_removed_goes_all_the_same(
    knarr: Knarr, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(knarr, "--name", "again", "busybox", "sleep", "60")
    end, starts = stopping.end, iter((True, False))

    def end_and_start(engine: Engine, row: ContainerRow, options: Options) -> None:
        end(engine, row, options)
        if next(starts):
            knarr("start", "again")

    monkeypatch.setattr(stopping, "end", end_and_start)
    knarr.engine.containers.get("again").remove(force=True)
    assert knarr("ps", "-aq") == ""
