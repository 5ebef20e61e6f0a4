"""Flags of Podman's about a container's life, as a user sees them."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from knarr.oci.config import RunConfig

if TYPE_CHECKING:
    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")
ZONES = "/usr/share/zoneinfo"


def run(knarr: Knarr, *words: str) -> str:
    return knarr("run", "--rm", *NONE, *words)


def state(knarr: Knarr, field: str) -> str:
    return knarr("inspect", "-f", f"{{{{.State.{field}}}}}", "one").strip()


def test_a_container_is_killed_when_its_time_is_over(knarr: Knarr) -> None:
    began = time.monotonic()
    words = ("run", "--rm", *NONE, "--timeout", "1", "busybox", "sleep", "100")
    assert knarr.do(*words).returncode == 137
    assert 1 <= time.monotonic() - began < 10
    assert run(knarr, "--timeout", "100", "busybox", "echo", "in time") == "in time\n"


def test_the_time_goes_on_for_an_adopted_container(knarr: Knarr) -> None:
    words = ("run", "-d", *NONE, "--name", "one", "--timeout", "2", "busybox", "sleep", "100")
    container_id = knarr(*words).strip()
    with open(f"{knarr.root}/containers/{container_id}/task.json") as file:
        os.kill(json.load(file)["supervisor_pid"], signal.SIGKILL)
    assert "new supervisor" in knarr.do("ps").stderr
    knarr.wait_until(lambda: state(knarr, "Status") == "exited")


def test_replace_takes_the_place_of_what_has_the_name(knarr: Knarr) -> None:
    words = ("run", "-d", *NONE, "--replace", "--name", "one", "busybox", "sleep", "100")
    first, second = knarr(*words), knarr(*words)
    assert first != second
    assert knarr("ps", "-aq", "--no-trunc") == second
    third = knarr("create", *NONE, "--replace", "--name", "one", "busybox", "true")
    assert knarr("ps", "-aq", "--no-trunc") == third
    said = knarr.fails("run", *NONE, "--replace", "busybox", "true", status=125)
    assert "cannot replace container without --name being set" in said


def test_the_host_s_environment_is_under_all_others(
    knarr: Knarr, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunConfig(env=("PATH=/bin", "LEVEL=image"), cmd=("env",))
    knarr.add_image("levels", config=config)
    for name in ("LEVEL", "GIVEN", "HOSTS_OWN"):
        monkeypatch.setenv(name, "host")
    found = run(knarr, "--env-host", "-e", "GIVEN=given", "levels").splitlines()
    assert {"PATH=/bin", "LEVEL=image", "GIVEN=given", "HOSTS_OWN=host"} <= set(found)
    assert len({line.partition("=")[0] for line in found}) == len(found)
    assert "HOSTS_OWN=host" not in run(knarr, "levels")


def test_umask(knarr: Knarr) -> None:
    assert run(knarr, "busybox", "sh", "-c", "umask") == "0022\n"
    assert run(knarr, "--umask", "0077", "busybox", "sh", "-c", "umask") == "0077\n"
    knarr("run", "-d", *NONE, "--name", "one", "--umask", "7", "busybox", "sleep", "100")
    assert knarr("exec", "one", "sh", "-c", "umask") == "0007\n"


@pytest.mark.skipif(not os.path.exists(f"{ZONES}/Asia/Tokyo"), reason="no time zones (tzdata)")
def test_the_time_zone(knarr: Knarr) -> None:
    with open(f"{ZONES}/Asia/Tokyo", "rb") as file:
        zone = file.read()
    shown = knarr.start(
        "run", "--rm", *NONE, "--tz", "Asia/Tokyo", "busybox", "cat", "/etc/localtime"
    )
    out, _ = shown.communicate()
    assert out == zone


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--timeout=-1",), "invalid timeout -1"),
        (("--umask=999",), "invalid umask 999"),
        (("--umask=1777",), "invalid umask 1777"),
        (("--tz=Mars/Olympus",), "unknown time zone Mars/Olympus"),
        (("--tz=../../../etc/passwd",), "unknown time zone"),
    ],
)
def test_what_makes_no_sense_is_refused(
    knarr: Knarr, words: tuple[str, ...], expected: str
) -> None:
    assert expected in knarr.fails("run", *NONE, *words, "busybox", "true", status=125)
