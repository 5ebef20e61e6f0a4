"""What is the matter with containers that run, wait, or are started again and again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from support.startup import loaded

if TYPE_CHECKING:
    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")
FAST = ("--health-interval", "50ms", "--health-retries", "2")
SERVE = "busybox httpd -f -p"


def start(knarr: Knarr, *words: str) -> None:
    knarr("run", "-d", "--name", "one", *words)


def await_cause(knarr: Knarr, cause: str) -> dict[str, Any]:
    knarr.wait_until(lambda: knarr.explained()["Cause"] == cause)
    return knarr.explained()


def test_never_started(knarr: Knarr) -> None:
    knarr("create", "--name", "one", "busybox", "true")
    assert (
        knarr("explain", "one") == "It was created and never started.\nStart it: knarr start one\n"
    )


def test_running_and_paused(knarr: Knarr) -> None:
    start(knarr, *NONE, "busybox", "sleep", "60")
    assert "nothing is known to be wrong" in knarr("explain", "one")
    assert knarr.explained()["Cause"] == "running"
    knarr("pause", "one")
    assert knarr("explain", "one").endswith("knarr unpause one\n")
    knarr("unpause", "one")


def test_health(knarr: Knarr) -> None:
    check = "test -e /ready || { echo 'not ready'; exit 2; }"
    start(knarr, *NONE, *FAST, "--health-cmd", check, "--health-start-period", "1m",
          "--health-start-interval", "50ms", "busybox", "sleep", "60")  # fmt: skip
    assert knarr.explained()["Cause"] == "health-unknown"
    knarr("exec", "one", "touch", "/ready")
    await_cause(knarr, "healthy")
    knarr("exec", "one", "rm", "/ready")
    found = await_cause(knarr, "unhealthy")
    assert 'the last probe gave "not ready"' in found["Sentence"]
    assert check in found["Fix"]


@pytest.mark.parametrize("form", ["shell", "words"])
def test_a_health_check_without_its_tool(knarr: Knarr, form: str) -> None:
    if form == "shell":
        words = ["--health-cmd", "curl -f http://localhost/", "busybox"]
    else:
        from knarr.oci.config import Healthcheck, RunConfig

        check = Healthcheck(("CMD", "curl", "-f", "http://localhost/"))
        knarr.add_image("checked", config=RunConfig(env=("PATH=/bin",), healthcheck=check))
        words = ["checked"]
    start(knarr, *NONE, *FAST, *words, "sleep", "60")
    found = await_cause(knarr, "health-tool-missing")
    assert "because curl, which the check runs, is not in the image" in found["Sentence"]
    assert "--health-http" in found["Fix"]


def test_ended_for_its_health(knarr: Knarr) -> None:
    start(knarr, *NONE, *FAST, "--health-cmd", "false", "--health-on-failure", "kill", "busybox",
          "sleep", "60")  # fmt: skip
    knarr("wait", "one")
    found = knarr.explained()
    assert found["Cause"] == "killed-as-unhealthy"
    assert "--health-on-failure is kill" in found["Sentence"]


def test_a_loop_that_goes_on(knarr: Knarr) -> None:
    start(knarr, *NONE, "--restart", "always,min=20s", "busybox", "sh", "-c", "echo no; exit 3")
    found = await_cause(knarr, "restart-loop")
    assert "(--restart always), next in " in found["Sentence"]
    assert "status 3" in found["Sentence"]
    assert "    no\n" in knarr("explain", "one") or '"no"' in found["Sentence"]


def test_a_loop_that_was_given_up(knarr: Knarr) -> None:
    start(knarr, *NONE, "--restart", "on-failure:3,min=1ms", "busybox", "sh", "-c", "exit 3")
    knarr.wait_until(lambda: knarr("inspect", "-f", "{{.State.Status}}", "one") == "exited\n")
    found = knarr.explained()
    assert found["Cause"] == "restart-loop"
    assert "started again 3 times (--restart on-failure), and is given up" in found["Sentence"]


PUBLISH = ("-p", "127.0.0.1:0:80")


def test_a_server_for_itself_alone(knarr: Knarr) -> None:
    start(knarr, *PUBLISH, "busybox", "sh", "-c", f"exec {SERVE} 127.0.0.1:80")
    found = await_cause(knarr, "listens-on-loopback")
    assert "Port 80 is published" in found["Sentence"]
    assert "0.0.0.0" in found["Fix"]


def test_a_server_at_another_port(knarr: Knarr) -> None:
    start(knarr, *PUBLISH, "busybox", "sh", "-c", f"exec {SERVE} 8080")
    found = await_cause(knarr, "nothing-listens")
    knarr.wait_until(lambda: "it listens on 8080" in knarr.explained()["Sentence"])
    assert "nothing in the container listens on it" in found["Sentence"]


def test_a_server_that_is_reached(knarr: Knarr) -> None:
    start(knarr, *PUBLISH, "busybox", "sh", "-c", f"exec {SERVE} 80")
    await_cause(knarr, "running")


def test_the_library_explains_too(knarr: Knarr) -> None:
    knarr.do("run", "--name", "one", *NONE, "busybox", "slep")
    found = knarr.engine.containers.get("one").explain()
    assert found.cause == "program-misspelt"
    assert found.certain


def test_formats(knarr: Knarr) -> None:
    knarr.do("run", "--name", "one", *NONE, "busybox", "sh", "-c", "exit 3")
    line = knarr("explain", "--format", "{{.Name}} {{.Status}} {{.ExitCode}} {{.Cause}}", "one")
    assert line == "one exited 3 own-status\n"
    document = json.loads(knarr("explain", "--format", "json", "one"))
    assert set(document) == {
        "ID", "Name", "Status", "ExitCode", "Cause", "Certain", "Sentence", "Fix", "Log",
    }  # fmt: skip


def test_who_succeeds_loads_none_of_it(knarr: Knarr) -> None:
    def own(*words: str, status: int = 0) -> set[str]:
        modules = loaded(knarr.directory, *words, status=status)
        return {name for name in modules if "explain" in name}

    assert own("run", "--rm", *NONE, "busybox", "true") == set()
    assert own("run", "--rm", *NONE, "busybox", "sh", "-c", "exit 3", status=3) == set()
    assert own("run", "--rm", *NONE, "busybox", "slep", status=127)
