"""Restart policies, and what runs again after a reboot, as a user sees them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")
LOOP = ("sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done")
FAIL = ("sh", "-c", "exit 3")


def run(knarr: Knarr, restart: str, *command: str, name: str = "one") -> str:
    words = ("run", "-d", *NONE, "--name", name, "--restart", restart, "busybox", *command)
    return knarr(*words).strip()


def inspect(knarr: Knarr, name: str = "one") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(knarr("inspect", name))[0]
    return found


def test_retries_are_counted_and_end(knarr: Knarr) -> None:
    run(knarr, "on-failure:2,min=10ms", *FAIL)
    knarr.wait_until(lambda: inspect(knarr)["State"]["Status"] == "exited")
    found = inspect(knarr)
    assert (found["RestartCount"], found["State"]["ExitCode"]) == (2, 3)
    policy = {"Name": "on-failure", "MaximumRetryCount": 2, "MinimumDelay": 10_000_000}
    assert found["HostConfig"]["RestartPolicy"] == policy


def test_between_two_runs_lists_and_inspect_say_so(knarr: Knarr) -> None:
    run(knarr, "always,min=1h", *FAIL)
    knarr.wait_until(lambda: inspect(knarr)["State"]["Restarting"])
    words = knarr("ps", "--format", "{{.Status}}|{{.State}}").strip()
    assert re.fullmatch(r"Restarting \(3\) .* seconds? ago\|restarting", words)
    state = inspect(knarr)["State"]
    assert (state["Running"], state["Pid"]) == (True, 0)
    in_an_hour = time.strftime("%Y-%m-%dT%H", time.gmtime(time.time() + 3600))
    assert state["NextStartAt"].startswith(in_an_hour)
    knarr("stop", "one")
    assert inspect(knarr)["State"]["Status"] == "exited"


def test_restarts_go_on_when_nothing_else_of_knarr_runs(knarr: Knarr) -> None:
    run(knarr, "always,min=10ms,factor=1", *FAIL)
    knarr.wait_until(lambda: inspect(knarr)["RestartCount"] >= 3)


def test_a_stopped_container_stays_down_until_it_is_started(knarr: Knarr) -> None:
    run(knarr, "always,min=10ms", *LOOP)
    knarr("stop", "one")
    time.sleep(0.2)
    assert inspect(knarr)["State"]["Status"] == "exited"
    knarr("start", "one")
    assert inspect(knarr)["State"]["Status"] == "running"


def test_the_policy_is_docker_s_without_tuning(knarr: Knarr) -> None:
    run(knarr, "unless-stopped", *LOOP)
    policy = inspect(knarr)["HostConfig"]["RestartPolicy"]
    assert policy == {"Name": "unless-stopped", "MaximumRetryCount": 0}
    assert "NextStartAt" not in inspect(knarr)["State"]


def test_a_policy_that_makes_no_sense_is_refused(knarr: Knarr) -> None:
    words = ("run", *NONE, "--restart", "always,min=soon", "busybox", "true")
    assert "invalid restart policy: min=soon" in knarr.fails(*words, status=125)


# reboots


def pull_the_plug(knarr: Knarr) -> None:
    """Leave what a machine that lost its power has: records of another boot, and no run directory.

    Control groups and interfaces stay here, where a real machine has lost them, too.
    """
    directory = f"{knarr.root}/containers"
    for name in os.listdir(directory):
        path = f"{directory}/{name}/task.json"
        with open(path) as file:
            fields = json.load(file)
        for pid in (fields["supervisor_pid"], fields["pid"]):
            if pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        fields["boot_id"] = "00000000-0000-0000-0000-000000000000"
        with open(path, "w") as file:
            json.dump(fields, file)
    shutil.rmtree(knarr.run_dir)


def test_boot_starts_what_should_run(knarr: Knarr) -> None:
    for policy in ("no", "on-failure", "always", "unless-stopped"):
        run(knarr, policy, *LOOP, name=f"{policy}-up")
        run(knarr, policy, *LOOP, name=f"{policy}-stopped")
        knarr("stop", "-t", "0", f"{policy}-stopped")
    pull_the_plug(knarr)
    assert knarr("ps", "-q") == ""
    started = set(knarr("system", "boot").split())
    assert started == {"always-up", "always-stopped", "unless-stopped-up", "on-failure-up"}
    assert set(knarr("ps", "--format", "{{.Names}}").split()) == started
    assert knarr("system", "boot") == ""
    assert inspect(knarr, "no-up")["State"]["ExitCode"] == 255


def test_boot_goes_on_after_what_does_not_start(knarr: Knarr) -> None:
    source = knarr.directory / "bound"
    source.mkdir()
    bind = ("--mount", f"type=bind,source={source},target=/bound")
    knarr("run", "-d", *NONE, "--name", "bad", "--restart", "always", *bind, "busybox", *LOOP)
    run(knarr, "always", *LOOP, name="good")
    pull_the_plug(knarr)
    source.rmdir()
    done = knarr.do("system", "boot")
    assert (done.returncode, done.stdout) == (1, "good\n")
    assert str(source) in done.stderr


def test_what_was_to_remove_itself_is_gone_after_a_reboot(knarr: Knarr) -> None:
    knarr("run", "-d", "--rm", *NONE, "--name", "one", "busybox", *LOOP)
    pull_the_plug(knarr)
    assert "removed container one" in knarr.do("system", "boot").stderr
    assert knarr("ps", "-aq") == ""


@pytest.mark.parametrize("user", [False, True])
def test_the_unit_runs_boot_for_this_root(knarr: Knarr, user: bool) -> None:
    text = knarr("system", "unit", *(["--user"] if user else []))
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    words = shlex.split(line.partition("=")[2])
    assert os.access(words[0], os.X_OK)
    assert words[1:] == ["--root", knarr.root, "--run", knarr.run_dir, "system", "boot"]
    assert f"WantedBy={'default' if user else 'multi-user'}.target" in text
