"""AppArmor: a profile that the kernel has confines the program; one that it has not is an error."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from knarr.engine.container.apparmor import DEFAULT, can_load
from knarr.runtime.steps.labels import apparmor_is_enabled
from support.engine import Knarr
from support.runtimes import Bundle, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.root
PROFILE = """
profile knarr-test flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  signal,
  deny /root/secret rwklx,
}
"""


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    found = Runtime("knarr-runtime", tmp_path / "state")
    yield found
    found.clean_up()


@pytest.fixture
def profile(tmp_path: Path) -> Iterator[str]:
    """Load a profile for the time of a test."""
    if not apparmor_is_enabled() or not shutil.which("apparmor_parser"):
        pytest.skip("this kernel has no AppArmor, or apparmor_parser is missing")
    path = tmp_path / "profile"
    path.write_text(PROFILE)
    subprocess.run(["apparmor_parser", "--replace", "--skip-cache", str(path)], check=True)
    yield "knarr-test"
    subprocess.run(["apparmor_parser", "--remove", str(path)], check=True)


def test_a_profile_confines_the_program(profile: str, runtime: Runtime, tmp_path: Path) -> None:
    script = "cat /proc/self/attr/current; cat /root/secret || echo kept; cat /root/open"
    bundle = Bundle(tmp_path / "bundle", script, files={"root/secret": "s\n", "root/open": "o\n"})
    bundle.spec["process"]["apparmorProfile"] = profile
    assert runtime.output(bundle) == f"{profile} (enforce)\nkept\no\n"


def test_exec_is_confined_by_a_profile_of_its_own(
    profile: str, runtime: Runtime, tmp_path: Path
) -> None:
    container_id = runtime.start(Bundle(tmp_path / "bundle", "sleep", "1000"))
    words = ("exec", "--apparmor", profile, container_id, "cat", "/proc/self/attr/current")
    done = runtime.call(*words)
    assert done.stdout == f"{profile} (enforce)\n", done.stderr


def test_a_profile_that_is_not_there(runtime: Runtime, tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / "bundle", "true")
    bundle.spec["process"]["apparmorProfile"] = "no-such-profile"
    done = runtime.run(bundle)
    assert done.returncode == 1
    wanted = "no-such-profile" if apparmor_is_enabled() else "the kernel has no AppArmor"
    assert wanted in done.stderr


def test_the_engine_confines_by_its_default_profile(knarr: Knarr) -> None:
    if not can_load():
        pytest.skip("this kernel has no AppArmor, or apparmor_parser is missing")
    assert "name=apparmor" in knarr("info", "--format", "{{json .SecurityOptions}}")
    run = ("run", "--rm", "--network", "none")
    current = ("busybox", "cat", "/proc/self/attr/current")
    assert knarr(*run, *current) == f"{DEFAULT} (enforce)\n"
    assert knarr(*run, "--privileged", *current) == "unconfined\n"
    assert knarr(*run, "--security-opt", "apparmor=unconfined", *current) == "unconfined\n"
    script = "mount -t tmpfs none /mnt 2>/dev/null || echo kept; kill -0 1 && echo signalled"
    shown = knarr(*run, "--cap-add", "SYS_ADMIN", "busybox", "sh", "-c", f"mkdir /mnt; {script}")
    assert shown == "kept\nsignalled\n"
    knarr("run", "-d", "--name", "one", "--network", "none", "busybox", "sleep", "1000")
    assert knarr("exec", "one", "cat", "/proc/self/attr/current") == f"{DEFAULT} (enforce)\n"
    assert knarr("inspect", "-f", "{{.AppArmorProfile}}", "one").strip() == DEFAULT
    knarr("stop", "-t", "0", "one")


def test_the_engine_refuses_a_profile_that_is_not_there(knarr: Knarr) -> None:
    words = ("run", "--rm", "--network", "none", "--security-opt", "apparmor=no-such-profile")
    said = knarr.fails(*words, "busybox", "true", status=125)
    wanted = "no-such-profile" if apparmor_is_enabled() else "the kernel has no AppArmor"
    assert wanted in said
