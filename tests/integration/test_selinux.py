"""SELinux: the program and the files made for it have the contexts that the spec gives them.

These want a kernel with SELinux and a policy in it. `VM_APPEND="security=selinux" tests/vm/run`
starts a machine that has the kernel; the policy is loaded there if its package is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from knarr.runtime.steps.labels import selinux_is_enabled
from support.runtimes import Bundle, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.root
PROGRAM = "system_u:system_r:unconfined_t:s0"
FILES = "system_u:object_r:tmp_t:s0"


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    found = Runtime("knarr-runtime", tmp_path / "state")
    yield found
    found.clean_up()


@pytest.fixture
def policy() -> None:
    """Have a policy loaded; what it forbids is only noted."""
    with open("/proc/filesystems", encoding="ascii") as file:
        if "selinuxfs" not in file.read():
            pytest.skip("this kernel has no SELinux")
    if not selinux_is_enabled():
        if not shutil.which("load_policy"):
            pytest.skip("no policy of SELinux is loaded, and load_policy is missing")
        subprocess.run(["load_policy", "-i"], check=False)
        subprocess.run(["setenforce", "0"], check=True)
    assert selinux_is_enabled()


@pytest.mark.usefixtures("policy")
def test_the_program_and_its_files_have_their_contexts(runtime: Runtime, tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / "bundle", "sleep", "1000")
    bundle.spec["process"]["selinuxLabel"] = PROGRAM
    bundle.spec["linux"]["mountLabel"] = FILES
    pid = runtime.state(runtime.start(bundle))["pid"]
    assert _context(f"/proc/{pid}/attr/current") == PROGRAM
    for place in ("/dev", "/dev/shm", "/dev/mqueue", "/dev/null"):
        label = os.getxattr(f"/proc/{pid}/root{place}", "security.selinux")
        assert label.rstrip(b"\0").decode() == FILES, place


def _context(file: str) -> str:
    with open(file, encoding="utf-8") as attribute:
        return attribute.read().rstrip("\0\n")


@pytest.mark.usefixtures("policy")
def test_exec_has_a_context_of_its_own(runtime: Runtime, tmp_path: Path) -> None:
    container_id = runtime.start(Bundle(tmp_path / "bundle", "sleep", "1000"))
    words = ("exec", "--process-label", PROGRAM, container_id, "cat", "/proc/self/attr/current")
    done = runtime.call(*words)
    assert done.stdout.rstrip("\0\n") == PROGRAM, done.stderr


@pytest.mark.usefixtures("policy")
def test_a_context_that_the_policy_does_not_know(runtime: Runtime, tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / "bundle", "true")
    bundle.spec["process"]["selinuxLabel"] = "no_such_u:no_such_r:no_such_t:s0"
    done = runtime.run(bundle)
    assert done.returncode == 1
    assert "choosing the SELinux context no_such_u:no_such_r:no_such_t:s0" in done.stderr


@pytest.mark.parametrize(("place", "key"), [("process", "selinuxLabel"), ("linux", "mountLabel")])
def test_a_label_without_selinux(place: str, key: str, runtime: Runtime, tmp_path: Path) -> None:
    if selinux_is_enabled():
        pytest.skip("this kernel has SELinux")
    bundle = Bundle(tmp_path / "bundle", "true")
    bundle.spec[place][key] = PROGRAM
    done = runtime.run(bundle)
    assert done.returncode == 1
    assert f"{place}.{key}: the kernel has no SELinux" in done.stderr


def test_an_exec_with_a_label_without_selinux(runtime: Runtime, tmp_path: Path) -> None:
    if selinux_is_enabled():
        pytest.skip("this kernel has SELinux")
    container_id = runtime.start(Bundle(tmp_path / "bundle", "sleep", "1000"))
    done = runtime.call("exec", "--process-label", PROGRAM, container_id, "true")
    assert done.returncode == 255
    assert "process.selinuxLabel: the kernel has no SELinux" in done.stderr
