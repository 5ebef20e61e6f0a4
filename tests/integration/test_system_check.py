"""`system check`: what is broken on purpose is found, named, and mended on request."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from knarr.supervise import task

if TYPE_CHECKING:
    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")
FINE = "Everything is as it should be.\n"


def check(knarr: Knarr, *options: str, status: int = 1) -> list[dict[str, str]]:
    """Return what `system check` finds."""
    done = knarr.do("system", "check", "--format", "json", *options)
    assert (done.returncode, done.stderr) == (status, ""), done
    return [json.loads(line) for line in done.stdout.splitlines()]


def mend(knarr: Knarr) -> None:
    """Assert that everything that is wrong can be mended."""
    repaired = check(knarr, "--repair", status=0)
    assert repaired
    assert {finding["Repaired"] for finding in repaired} == {"yes"}
    assert knarr("system", "check") == FINE


def objects(findings: list[dict[str, str]]) -> set[tuple[str, str]]:
    return {(finding["Kind"], finding["Object"]) for finding in findings}


def identify(knarr: Knarr, name: str) -> str:
    return knarr.engine.containers.get(name).id


def fields(knarr: Knarr, name: str) -> dict[str, Any]:
    found = task.read(knarr.engine.paths.container(identify(knarr, name)))
    assert found
    return found


def test_nothing_is_wrong_with_a_root_in_use(knarr: Knarr) -> None:
    assert knarr("system", "check") == FINE
    knarr("run", "-d", "--name", "one", "-p", "127.0.0.1::80", "busybox", "sleep", "1000")
    knarr("create", *NONE, "-v", "/data", "busybox")
    knarr("run", *NONE, "busybox", "true")
    assert knarr("system", "check") == FINE
    assert check(knarr, status=0) == []
    assert knarr("system", "check", "--repair") == FINE


def test_a_container_without_a_supervisor_gets_one(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "one", *NONE, "busybox", "sleep", "1000")
    before = fields(knarr, "one")
    os.kill(before["supervisor_pid"], signal.SIGKILL)
    (finding,) = check(knarr)
    assert finding == {
        "Kind": "container", "Object": "one", "Problem": "it runs, and its supervisor was killed",
        "Repair": "give it a new supervisor",
    }  # fmt: skip
    mend(knarr)
    after = fields(knarr, "one")
    assert after["pid"] == before["pid"]
    assert after["supervisor_pid"] != before["supervisor_pid"]


def test_a_supervisor_that_does_not_answer_is_replaced(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "one", *NONE, "busybox", "sleep", "1000")
    before = fields(knarr, "one")
    os.kill(before["supervisor_pid"], signal.SIGSTOP)
    assert objects(check(knarr)) == {("supervisor", "one")}
    mend(knarr)
    assert fields(knarr, "one")["pid"] == before["pid"]
    assert knarr("exec", "one", "echo", "here") == "here\n"


def test_an_end_that_nobody_saw(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    before = fields(knarr, "one")
    both = (before["supervisor_pid"], before["pid"])
    for pid in both:
        os.kill(pid, signal.SIGKILL)
    knarr.wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in both))
    assert ("container", "one") in objects(check(knarr))
    mend(knarr)
    assert knarr("ps", "-a", "--format", "{{.Status}}").startswith("Exited (255)")


def test_directories_without_records_and_records_without_directories(knarr: Knarr) -> None:
    knarr("create", "--name", "one", *NONE, "busybox")
    knarr("volume", "create", "data")
    paths = knarr.engine.paths
    shutil.rmtree(paths.container(identify(knarr, "one")))
    shutil.rmtree(f"{paths.volumes_dir}/data")
    made = (paths.container("f" * 64), f"{paths.volumes_dir}/other", paths.task("e" * 64))
    for directory in made:
        os.mkdir(directory)
    assert objects(check(knarr)) == {
        ("container", "one"), ("volume", "data"),
        ("directory", made[0]), ("directory", made[1]), ("run directory", made[2]),
    }  # fmt: skip
    mend(knarr)
    assert knarr("ps", "-aq") == ""
    assert not any(map(os.path.exists, made))
    assert knarr("run", "--rm", *NONE, "-v", "data:/data", "busybox", "ls", "/data") == ""


@pytest.mark.parametrize("text", ["", "{", '{"kind":"create"}'])
def test_entries_of_the_journal_that_nobody_can_read(knarr: Knarr, text: str) -> None:
    path = f"{knarr.engine.paths.journal_dir}/0123456789abcdef"
    with open(path, "w") as file:
        file.write(text)
    assert objects(check(knarr)) == {("journal", "0123456789abcdef")}
    mend(knarr)


def test_operations_that_were_interrupted(knarr: Knarr) -> None:
    done = knarr.do("create", *NONE, "--name", "one", "busybox", trace="create:recorded=kill")
    assert done.returncode == -signal.SIGKILL
    (finding,) = check(knarr)
    assert finding["Problem"].startswith("the create of ")
    mend(knarr)
    assert knarr("ps", "-aq") == ""


def test_tasks_that_nobody_can_read(knarr: Knarr) -> None:
    knarr("run", "--name", "one", *NONE, "busybox", "true")
    path = f"{knarr.engine.paths.container(identify(knarr, 'one'))}/task.json"
    with open(path, "w"):
        pass
    assert objects(check(knarr)) == {("container", "one")}
    mend(knarr)
    assert knarr("ps", "-a", "--format", "{{.Names}} {{.Status}}") == "one Created\n"


def test_mounts_on_our_directories(knarr: Knarr) -> None:
    knarr("create", "--name", "one", *NONE, "busybox")
    point = f"{knarr.engine.paths.container(identify(knarr, 'one'))}/upper"
    subprocess.run(["mount", "-t", "tmpfs", "none", point], check=True)
    try:
        assert objects(check(knarr)) == {("mount", point)}
        mend(knarr)
    finally:
        subprocess.run(["umount", "-q", point], check=False)


def test_control_groups_with_processes_of_nobody(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "one", *NONE, "busybox", "sleep", "1000")
    with open(f"/proc/{fields(knarr, 'one')['pid']}/cgroup", encoding="utf-8") as file:
        inside = next(line.strip().split(":", 2)[2] for line in file if ":pids:" in line)
    group = f"/sys/fs/cgroup/pids{os.path.dirname(inside)}/left"
    os.mkdir(group)
    with subprocess.Popen(["sleep", "1000"]) as process:
        with open(f"{group}/cgroup.procs", "w") as file:
            file.write(str(process.pid))
        (finding,) = check(knarr)
        assert (finding["Kind"], finding["Object"].rpartition("/")[2]) == ("control group", "left")
        mend(knarr)
        assert process.wait(10) == -signal.SIGKILL
    assert knarr("inspect", "-f", "{{.State.Running}}", "one") == "true\n"


def test_interfaces_bridges_and_rules(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "one", "-p", "127.0.0.1::80", "busybox", "sleep", "1000")
    bridges = knarr.engine.networks.bridges
    bridge, table = f"{bridges.realm.prefix}0", bridges.realm.table
    stray, other = f"{bridges.realm.prefix}99", "vethodin0"
    for words in (
        f"add {other} type veth peer name {other}p",
        f"set {other} master {bridge}",
        f"add {stray} type bridge",
    ):
        subprocess.run(["ip", "link", *words.split()], check=True)
    subprocess.run(["nft", "delete", "table", "inet", table], check=True)
    assert objects(check(knarr)) == {
        ("interface", other), ("bridge", stray), ("firewall", f"table {table}")
    }  # fmt: skip
    mend(knarr)
    found = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert other not in found
    assert f"{stray}:" not in found
    assert bridge in found


def test_what_no_program_can_mend_is_named_and_stays(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    (endpoint,) = knarr.engine.networks.endpoints(identify(knarr, "one"))
    subprocess.run(["ip", "link", "delete", endpoint.host_interface], check=True)
    (finding,) = check(knarr, "--repair")
    assert (finding["Object"], finding["Repaired"]) == ("one", "no")
    assert finding["Problem"] == "its interface in the network bridge is gone"
    knarr("restart", "-t", "0", "one")
    assert knarr("system", "check") == FINE
