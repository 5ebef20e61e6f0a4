"""`ps` and `inspect`: what they show, and of which containers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")


@pytest.fixture
def three(knarr: Knarr) -> Knarr:
    """Lend an engine with a container that runs, one that failed and one that never ran."""
    knarr.add_image("other", files={"only": "here"})
    knarr("run", "-d", "--name", "runs", "--label", "team=a", "-p", "127.0.0.1::80", "--expose",
          "99/udp", "busybox", "sleep", "1000")  # fmt: skip
    knarr.do("run", "--name", "failed", *NONE, "--label", "team=b", "busybox", "sh", "-c", "exit 3")
    knarr("create", "--name", "new", *NONE, "--label", "plain", "-v", "vol:/data", "other")
    return knarr


def names(knarr: Knarr, *words: str) -> list[str]:
    return knarr("ps", "--format", "{{.Names}}", *words).split()


def test_which_are_shown(three: Knarr) -> None:
    assert names(three) == ["runs"]
    assert names(three, "-a") == ["new", "failed", "runs"]
    assert names(three, "-n", "2") == ["new", "failed"]
    assert names(three, "-l") == ["new"]
    assert names(three, "-q") == ["runs"]  # Docker: a format beats -q


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["status=running"], ["runs"]),
        (["status=exited", "status=created"], ["new", "failed"]),
        (["exited=3"], ["failed"]),
        (["exited=4"], []),
        (["name=r"], ["runs"]),
        (["name=^/run"], ["runs"]),
        (["name=ew", "name=un"], ["new", "runs"]),
        (["label=team"], ["failed", "runs"]),
        (["label=team=b"], ["failed"]),
        (["label=team", "label=plain"], []),
        (["ancestor=busybox"], ["failed", "runs"]),
        (["ancestor=other:latest"], ["new"]),
        (["ancestor=nope"], []),
        (["before=new"], ["failed", "runs"]),
        (["since=runs"], ["new", "failed"]),
        (["network=none"], ["new", "failed"]),
        (["network=bridge"], ["runs"]),
        (["volume=vol"], ["new"]),
        (["volume=/data"], ["new"]),
        (["publish=80"], ["runs"]),
        (["publish=80/udp"], []),
        (["expose=99/udp"], ["runs"]),
        (["expose=90-100/udp"], ["runs"]),
        (["is-task=false"], ["new", "failed", "runs"]),
        (["is-task=true"], []),
        (["health=none"], ["new", "failed", "runs"]),
        (["name=runs", "status=exited"], []),
    ],
    ids=" ".join,
)  # fmt: skip
def test_filters(three: Knarr, filters: list[str], found: list[str]) -> None:
    words = [word for text in filters for word in ("-f", text)]
    assert names(three, "-a", *words) == found


def test_filters_by_id_and_what_a_status_implies(three: Knarr) -> None:
    one = three.engine.containers.get("failed").id
    assert names(three, "-a", "-f", f"id={one[:8]}") == ["failed"]
    assert names(three, "-f", "status=exited") == ["failed"]  # without -a


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour=red", "invalid filter 'colour'"),
        ("status=odd", "invalid filter 'status=odd'"),
        ("exited=x", "invalid filter 'exited=x'"),
        ("status", "bad format of filter"),
        ("before=nope", "no such container: nope"),
        ("name=(", "invalid filter 'name=('"),
        ("health=odd", "unrecognised filter value for health: odd"),
    ],
)
def test_bad_filters(knarr: Knarr, text: str, words: str) -> None:
    status = 1 if "=" in text else 125
    assert words in knarr.fails("ps", "-a", "-f", text, status=status)


def test_networks_are_meant_by_name_and_id_wherever_they_come_among_several(knarr: Knarr) -> None:
    network_id = knarr("network", "create", "net").strip()
    knarr("create", "--name", "one", "--network", "bridge", "--network", "net", "busybox")
    for value in ("net", network_id, network_id[:12], "bridge"):
        assert names(knarr, "-a", "-f", f"network={value}") == ["one"]
    assert names(knarr, "-a", "-f", "network=none") == []


def test_the_table(three: Knarr) -> None:
    head, runs = three("ps").splitlines()
    assert re.split("  +", head) == [
        "CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES",
    ]  # fmt: skip
    cells = re.split("  +", runs)
    assert cells[1:3] == ["busybox", '"sleep 1000"']
    assert re.fullmatch("(Less than a|1|2|3) seconds? ago", cells[3])
    assert re.fullmatch(r"127\.0\.0\.1:\d+->80/tcp, 99/udp", cells[5])
    assert cells[6] == "runs"


def test_every_placeholder(three: Knarr) -> None:
    (line,) = three("ps", "-l", "--no-trunc", "--format", "json").splitlines()
    shown = json.loads(line)
    assert sorted(shown) == [
        "Command", "CreatedAt", "ID", "Image", "Labels", "LocalVolumes", "Mounts", "Names",
        "Networks", "Platform", "Ports", "RunningFor", "Size", "State", "Status",
    ]  # fmt: skip
    assert shown["Labels"] == "plain="
    assert (shown["LocalVolumes"], shown["Mounts"], shown["Networks"]) == ("1", "vol", "none")
    assert (shown["State"], shown["Status"]) == ("created", "Created")
    assert three("ps", "-l", "--format", '{{.Label "plain"}}|{{.Label "no"}}') == "|\n"


def test_the_image_is_its_id_when_the_name_moved_on(three: Knarr) -> None:
    image = three.engine.containers.get("runs").row.image
    assert image is not None
    three("tag", "other", "busybox")
    assert three("ps", "--format", "{{.Image}}") == f"{image.hex[:12]}\n"


def test_size_is_the_writable_layer_alone(knarr: Knarr) -> None:
    script = "head -c 100000 /dev/zero > /zeros"
    knarr("run", "--name", "big", *NONE, "busybox", "sh", "-c", script)
    knarr("create", "--name", "small", *NONE, "busybox")
    found = knarr("ps", "-as", "--format", "{{.Names}} {{.Size}}").splitlines()
    assert found[0].startswith("small 0B (virtual ")
    assert found[1].startswith("big 100kB (virtual ")
    document = json.loads(knarr("inspect", "-s", "big"))[0]
    assert document["SizeRw"] == 100000
    assert document["SizeRootFs"] > 100000
    assert "SizeRw" not in json.loads(knarr("inspect", "big"))[0]


def test_inspect_has_what_programs_look_for(three: Knarr, tmp_path: Path) -> None:
    document = json.loads(three("inspect", "runs"))[0]
    container = three.engine.containers.get("runs")
    assert document["Id"] == container.id
    assert document["Name"] == "/runs"
    assert document["State"]["Running"] is True
    assert document["State"]["Pid"] == container.state.pid
    assert document["Config"]["Cmd"] == ["sleep", "1000"]
    assert document["Config"]["Labels"] == {"team": "a"}
    assert document["Config"]["ExposedPorts"] == {"99/udp": {}}
    assert document["HostConfig"]["PortBindings"]["80/tcp"][0]["HostIp"] == "127.0.0.1"
    settings = document["NetworkSettings"]
    assert settings["Ports"]["80/tcp"][0]["HostIp"] == "127.0.0.1"
    assert settings["Ports"]["99/udp"] is None
    assert settings["Networks"]["bridge"]["IPAddress"] == settings["IPAddress"] != ""
    stopped = json.loads(three("inspect", "failed"))[0]
    assert stopped["State"]["ExitCode"] == 3
    assert stopped["State"]["FinishedAt"] > stopped["State"]["StartedAt"] > "2020"
    new = json.loads(three("inspect", "new"))[0]
    assert new["State"]["StartedAt"] == "0001-01-01T00:00:00Z"
    assert [mount["Name"] for mount in new["Mounts"]] == ["vol"]


def test_inspect_finds_what_it_is(three: Knarr) -> None:
    assert three("inspect", "-f", "{{.RepoTags}}", "busybox") == "[busybox:latest]\n"
    assert three("inspect", "-f", "{{.Driver}}", "bridge") == "bridge\n"
    assert three("inspect", "-f", "{{.Name}}", "vol") == "vol\n"
    assert three("inspect", "--type", "image", "-f", "{{.Os}}", "busybox") == "linux\n"
    done = three.do("inspect", "nope", "runs")
    assert done.returncode == 1
    assert json.loads(done.stdout)[0]["Name"] == "/runs"
    assert done.stderr == "knarr: no such object: nope\n"
    assert "no such container: busybox" in three.fails("container", "inspect", "busybox")
    assert "it must be one of" in three.fails("inspect", "--type", "pod", "runs")


def test_processes_are_sorted_as_asked(knarr: Knarr) -> None:
    script = "sleep 61 & sleep 62 & sleep 63 & wait"
    knarr("run", "-d", "--name", "one", "--network", "none", "busybox", "sh", "-c", script)
    knarr.wait_until(lambda: knarr("top", "one").count("sleep 6") >= 4)

    def pids(*words: str) -> list[int]:
        return [int(line.split()[0]) for line in knarr("top", "one", *words).splitlines()[1:]]

    ascending = pids("--sort=pid")
    assert ascending == sorted(ascending)
    assert pids("--sort", "-pid") == ascending[::-1]
    assert pids("-o", "pid,args", "--sort=-args")[0] == ascending[-1]
