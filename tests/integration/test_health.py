"""Health checks, as a user sees them: probes, statuses, and what is done with the unhealthy."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from knarr.oci.config import Healthcheck, RunConfig

if TYPE_CHECKING:
    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")
FAST = ("--health-interval", "50ms", "--health-retries", "2", "--health-timeout", "5s")
LOOP = ("sh", "-c", "trap 'exit 7' TERM; touch /ready; while :; do sleep 0.05; done")


def run(knarr: Knarr, *words: str, name: str = "one") -> str:
    return knarr("run", "-d", *NONE, "--name", name, *FAST, *words).strip()


def state(knarr: Knarr, name: str = "one") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(knarr("inspect", "-f", "{{json .State}}", name))
    return found


def status(knarr: Knarr, name: str = "one") -> str:
    found: str = state(knarr, name)["Health"]["Status"]
    return found


def await_status(knarr: Knarr, wanted: str) -> None:
    knarr.wait_until(lambda: status(knarr) == wanted)


def test_a_command_decides(knarr: Knarr) -> None:
    command = ("--health-cmd", "echo looking; test -e /well", "--health-interval", "400ms")
    run(knarr, *command, "busybox", *LOOP)
    assert "(health: starting)" in knarr("ps", "--format", "{{.Status}}")
    await_status(knarr, "unhealthy")
    assert "(unhealthy)" in knarr("ps", "--format", "{{.Status}}")
    knarr("exec", "one", "touch", "/well")
    await_status(knarr, "healthy")
    assert "(healthy)" in knarr("ps", "--format", "{{.Status}}")
    health = state(knarr)["Health"]
    assert health["FailingStreak"] == 0
    assert health["Log"][-1]["ExitCode"] == 0
    assert health["Log"][-1]["Output"] == "looking\n"
    assert health["Log"][-1]["Start"] < health["Log"][-1]["End"]
    knarr.wait_until(lambda: len(state(knarr)["Health"]["Log"]) == 5)


def test_lists_are_filtered_by_health(knarr: Knarr) -> None:
    run(knarr, "--health-cmd", "true", "busybox", *LOOP)
    knarr("run", "-d", *NONE, "--name", "other", "busybox", *LOOP)
    await_status(knarr, "healthy")
    assert knarr("ps", "-f", "health=healthy", "--format", "{{.Names}}") == "one\n"
    assert knarr("ps", "-f", "health=none", "--format", "{{.Names}}") == "other\n"
    assert knarr("ps", "-f", "health=unhealthy", "-q") == ""


def test_what_has_ended_is_unhealthy_and_starts_anew(knarr: Knarr) -> None:
    run(knarr, "--health-cmd", "true", "--health-interval", "1s", "busybox", *LOOP)
    await_status(knarr, "healthy")
    knarr("stop", "one")
    assert status(knarr) == "unhealthy"
    assert "healthy" not in knarr("ps", "-a", "--format", "{{.Status}}")
    knarr("start", "one")
    assert status(knarr) == "starting"


def test_a_probe_that_takes_too_long_is_killed_with_what_it_started(knarr: Knarr) -> None:
    command = "echo slow; sleep 1000; true"
    run(knarr, "--health-cmd", command, "--health-timeout", "100ms", "busybox", *LOOP)
    await_status(knarr, "unhealthy")
    entry = state(knarr)["Health"]["Log"][0]
    assert entry["ExitCode"] == -1
    assert entry["Output"] == "Health check exceeded timeout (100ms): slow\n"
    knarr.wait_until(lambda: knarr("top", "one").count("sleep 1000") <= 1)


def test_a_probe_that_cannot_be_run_says_why(knarr: Knarr) -> None:
    knarr.add_image(
        "checked", config=RunConfig(cmd=LOOP, healthcheck=Healthcheck(("CMD", "/bin/nothing")))
    )
    run(knarr, "checked")
    await_status(knarr, "unhealthy")
    entry = state(knarr)["Health"]["Log"][0]
    assert entry["ExitCode"] == -1
    assert "/bin/nothing" in entry["Output"]


def test_output_is_cut_at_4096_bytes(knarr: Knarr) -> None:
    run(knarr, "--health-cmd", "head -c 100000 /dev/zero | tr '\\0' x", "busybox", *LOOP)
    await_status(knarr, "healthy")
    assert state(knarr)["Health"]["Log"][0]["Output"] == "x" * 4096 + "..."


def test_the_images_check_counts_and_can_be_switched_off(knarr: Knarr) -> None:
    check = Healthcheck(("CMD-SHELL", "test -e /ready"), interval_ns=50_000_000)
    knarr.add_image("checked", config=RunConfig(env=("PATH=/bin",), cmd=LOOP, healthcheck=check))
    knarr("run", "-d", *NONE, "--name", "one", "checked")
    await_status(knarr, "healthy")
    knarr("run", "-d", *NONE, "--name", "off", "--no-healthcheck", "checked")
    assert "Health" not in state(knarr, "off")


def test_the_images_shell_is_used(knarr: Knarr) -> None:
    config = RunConfig(
        env=("PATH=/bin",),
        cmd=LOOP,
        shell=("/bin/sh", "-xc"),
        healthcheck=Healthcheck(("CMD-SHELL", "true")),
    )
    knarr.add_image("checked", config=config)
    run(knarr, "checked")
    await_status(knarr, "healthy")
    assert state(knarr)["Health"]["Log"][0]["Output"] == "+ true\n"


def test_failures_of_the_start_period_do_not_count(knarr: Knarr) -> None:
    starting = ("--health-start-period", "1h", "--health-start-interval", "20ms")
    run(knarr, "--health-cmd", "test -e /well", *starting, "busybox", *LOOP)
    knarr.wait_until(lambda: len(state(knarr)["Health"]["Log"]) == 5)
    assert state(knarr)["Health"]["FailingStreak"] == 0
    assert status(knarr) == "starting"
    knarr("exec", "one", "touch", "/well")
    await_status(knarr, "healthy")


def test_http_without_any_program_in_the_image(knarr: Knarr) -> None:
    serve = ("busybox", "httpd", "-f", "-p", "8080", "-h", "/srv")
    config = RunConfig(env=("PATH=/bin",))
    knarr.add_image("web", files={"srv/well": "yes"}, config=config)
    run(knarr, "--health-http", "8080/well", "web", *serve)
    await_status(knarr, "healthy")
    assert state(knarr)["Health"]["Log"][0]["Output"] == "HTTP/1.1 200 OK"
    knarr("exec", "one", "rm", "/srv/well")
    await_status(knarr, "unhealthy")
    assert state(knarr)["Health"]["Log"][-1]["Output"] == "HTTP/1.1 404 Not Found"
    config = json.loads(knarr("inspect", "-f", "{{json .Config.Healthcheck.Test}}", "one"))
    assert config == ["HTTP", "http://:8080/well"]


def test_tcp_without_any_program_in_the_image(knarr: Knarr) -> None:
    run(knarr, "--health-tcp", "8081", "busybox", *LOOP)
    await_status(knarr, "unhealthy")
    expected = "cannot connect to localhost:8081: Connection refused"
    assert state(knarr)["Health"]["Log"][0]["Output"] == expected
    knarr("exec", "-d", "one", "nc", "-ll", "-p", "8081", "-e", "cat")
    await_status(knarr, "healthy")


def test_a_server_that_does_not_answer_exceeds_the_timeout(knarr: Knarr) -> None:
    silent = ("--health-http", "8080", "--health-timeout", "150ms")
    run(knarr, *silent, "busybox", "nc", "-ll", "-p", "8080", "-e", "sleep", "1000")
    await_status(knarr, "unhealthy")
    outputs = [entry["Output"] for entry in state(knarr)["Health"]["Log"]]
    assert "Health check exceeded timeout (150ms)" in outputs


@pytest.mark.parametrize(("action", "code"), [("kill", 137), ("stop", 7)])
def test_an_unhealthy_container_is_ended(knarr: Knarr, action: str, code: int) -> None:
    unhealthy = ("--health-cmd", "test ! -e /ready", "--health-on-failure", action)
    run(knarr, *unhealthy, "busybox", *LOOP)
    knarr.wait_until(lambda: state(knarr)["Status"] == "exited")
    assert state(knarr)["ExitCode"] == code


def test_a_killed_one_follows_its_restart_policy_and_a_stopped_one_does_not(knarr: Knarr) -> None:
    unhealthy = ("--restart", "always", "--health-cmd", "test ! -e /ready")
    run(knarr, *unhealthy, "--health-on-failure", "kill", "busybox", *LOOP)
    knarr.wait_until(lambda: int(knarr("inspect", "-f", "{{.RestartCount}}", "one")) >= 1)
    run(knarr, *unhealthy, "--health-on-failure", "stop", "busybox", *LOOP, name="two")
    knarr.wait_until(lambda: state(knarr, "two")["Status"] == "exited")
    assert knarr("inspect", "-f", "{{.RestartCount}}", "two") == "0\n"


def test_an_unhealthy_container_is_restarted_without_a_policy(knarr: Knarr) -> None:
    unhealthy = ("--health-cmd", "test ! -e /ready", "--health-on-failure", "restart")
    run(knarr, *unhealthy, "busybox", *LOOP)
    knarr.wait_until(lambda: int(knarr("inspect", "-f", "{{.RestartCount}}", "one")) >= 1)


def test_a_paused_container_is_left_alone(knarr: Knarr) -> None:
    run(knarr, "--health-cmd", "true", "busybox", *LOOP)
    await_status(knarr, "healthy")
    knarr("pause", "one")
    assert "(Paused)" in knarr("ps", "--format", "{{.Status}}")
    before = state(knarr)["Health"]["Log"][-1]
    knarr("unpause", "one")
    knarr.wait_until(lambda: state(knarr)["Health"]["Log"][-1] != before)
    assert status(knarr) == "healthy"


def test_health_survives_the_supervisor(knarr: Knarr) -> None:
    container_id = run(knarr, "--health-cmd", "true", "busybox", *LOOP)
    await_status(knarr, "healthy")
    record = f"{knarr.root}/containers/{container_id}/task.json"
    with open(record) as file:
        os.kill(json.load(file)["supervisor_pid"], signal.SIGKILL)
    assert "gave container one a new supervisor" in knarr.do("ps").stderr
    before = state(knarr)["Health"]
    assert before["Status"] == "healthy"
    knarr.wait_until(lambda: state(knarr)["Health"]["Log"][-1] != before["Log"][-1])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--health-retries=-1",), "--health-retries cannot be negative"),
        (("--health-interval=-1s",), "--health-interval cannot be negative"),
        (("--health-cmd=true", "--health-interval=10us"), "Interval in Healthcheck cannot be less"),
        (("--no-healthcheck", "--health-cmd=true"), "--no-healthcheck conflicts with --health-*"),
        (("--health-cmd=true", "--health-tcp=80"), "--health-cmd and --health-tcp"),
        (("--health-tcp=none",), "no port from 1 to 65535"),
        (("--health-http=http://example.com:80/",), "'example.com' is not an address"),
        (("--health-cmd=true", "--health-on-failure=pray"), "invalid --health-on-failure: 'pray'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    knarr: Knarr, words: tuple[str, ...], expected: str
) -> None:
    assert expected in knarr.fails("run", *NONE, *words, "busybox", "true", status=125)
