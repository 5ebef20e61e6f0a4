"""Events, as a user sees them: what is noted, by whom, in which order, and what is shown of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from knarr.oci.config import RunConfig
from knarr.oci.document import FrozenDict
from knarr.util import eventlog
from support.terminal import Terminal

if TYPE_CHECKING:
    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")
LOOP = ("sh", "-c", "trap 'exit 7' TERM; touch /ready; while :; do sleep 0.05; done")


def events(knarr: Knarr, *words: str) -> list[dict[str, Any]]:
    """Return all events so far that pass the filters in `words`."""
    given = [text for word in words for text in ("--filter", word)]
    now = f"{time.time():.9f}"
    out = knarr("events", "--since", "1", "--until", now, "--format", "json", *given)
    return [json.loads(line) for line in out.splitlines()]


def actions(knarr: Knarr, *words: str) -> list[str]:
    return [event["Action"] for event in events(knarr, *words)]


def test_the_life_of_a_container_in_order(knarr: Knarr) -> None:
    container_id = knarr("run", "-d", *NONE, "--name", "one", "-l", "team=blue", "busybox", *LOOP)
    knarr.wait_until(lambda: knarr.do("exec", "one", "test", "-e", "/ready").returncode == 0)
    before = len(events(knarr, "type=container"))
    for verb in ("pause", "unpause", "stop", "start", "restart", "kill"):
        knarr(verb, "one")
    knarr("rename", "one", "two")
    knarr("start", "two")
    knarr("rm", "-f", "two")
    found = events(knarr, "type=container")
    assert [event["Action"] for event in found[:2]] == ["create", "start"]
    assert [event["Action"] for event in found[before:]] == [
        "pause", "unpause", "kill", "die", "stop", "start",
        "kill", "die", "stop", "start", "restart", "kill", "die",
        "rename", "start", "kill", "die", "destroy",
    ]  # fmt: skip
    assert {event["Actor"]["ID"] for event in found} == {container_id.strip()}
    about = found[0]["Actor"]["Attributes"]
    assert about == {"image": "busybox", "name": "one", "team": "blue"}
    (renamed,) = [event for event in found if event["Action"] == "rename"]
    assert renamed["Actor"]["Attributes"]["oldName"] == "/one"
    assert found[-1]["Actor"]["Attributes"]["name"] == "two"
    times = [event["timeNano"] for event in found]
    assert times == sorted(times)


def test_ends_say_how_and_attached_runs_say_so(knarr: Knarr) -> None:
    knarr.do("run", *NONE, "--name", "one", "busybox", "sh", "-c", "exit 3")
    assert actions(knarr) == [
        "load", "create", "attach", "connect", "start", "die", "disconnect"
    ]  # fmt: skip
    (died,) = events(knarr, "event=die")
    assert died["Actor"]["Attributes"]["exitCode"] == "3"
    assert (died["status"], died["from"], died["scope"]) == ("die", "busybox", "local")


def test_what_removes_itself_is_destroyed_last(knarr: Knarr) -> None:
    knarr("run", "--rm", *NONE, "busybox", "true")
    assert actions(knarr, "type=container")[-2:] == ["die", "destroy"]
    knarr("run", "-d", "--rm", *NONE, "busybox", "true")
    knarr.wait_until(lambda: actions(knarr, "type=container")[-2:] == ["die", "destroy"])


def test_restarts_of_a_policy_are_starts(knarr: Knarr) -> None:
    words = ("run", "-d", *NONE, "--restart", "on-failure:2,min=10ms", "busybox", "false")
    knarr(*words)
    expected = ["create", *["start", "die"] * 3]
    knarr.wait_until(lambda: actions(knarr, "type=container") == expected)


def test_execs(knarr: Knarr) -> None:
    knarr("run", "-d", *NONE, "--name", "one", "busybox", *LOOP)
    knarr.do("exec", "one", "sh", "-c", "exit 4")
    found = events(knarr, "event=exec_create", "event=exec_start", "event=exec_die")
    words = ["exec_create: sh -c exit 4", "exec_start: sh -c exit 4", "exec_die"]
    assert [event["Action"] for event in found] == words
    assert len({event["Actor"]["Attributes"]["execID"] for event in found}) == 1
    assert found[-1]["Actor"]["Attributes"]["exitCode"] == "4"


def test_changes_of_health(knarr: Knarr) -> None:
    check = ("--health-cmd", "test -e /well", "--health-interval", "50ms", "--health-retries", "1")
    knarr("run", "-d", *NONE, "--name", "one", *check, "busybox", *LOOP)
    unhealthy = ["health_status: unhealthy"]
    knarr.wait_until(lambda: actions(knarr, "event=health_status") == unhealthy)
    knarr("exec", "one", "touch", "/well")
    both = [*unhealthy, "health_status: healthy"]
    knarr.wait_until(lambda: actions(knarr, "event=health_status") == both)


def test_memory_that_ran_out(knarr: Knarr) -> None:
    words = ("run", *NONE, "--memory", "8m", "--memory-swap", "8m", "busybox")
    done = knarr.do(*words, "sh", "-c", "tail /dev/zero")
    if done.returncode != 137:
        pytest.skip("the kernel does not limit memory here")
    assert actions(knarr, "type=container")[-2:] == ["oom", "die"]


def test_labels_of_images_are_said_and_filtered_by(knarr: Knarr) -> None:
    config = RunConfig(labels=FrozenDict({"team": "blue"}), cmd=("sh",), env=("PATH=/bin",))
    knarr.add_image("labelled", files={"own": ""}, config=config)
    knarr("tag", "labelled", "other")
    (found,) = events(knarr, "event=tag", "label=team=blue")
    assert found["Actor"]["Attributes"] == {"name": "other:latest", "team": "blue"}
    assert events(knarr, "event=tag", "label=team=red") == []


def test_images(knarr: Knarr) -> None:
    image = knarr("images", "-q", "--no-trunc").strip()
    knarr("tag", "busybox", "other:1")
    knarr("save", "-o", f"{knarr.directory}/saved.tar", "busybox")
    knarr("rmi", "other:1")
    knarr("rmi", "busybox")
    assert actions(knarr, "type=image") == ["load", "tag", "save", "untag", "untag", "delete"]
    (tagged,) = events(knarr, "event=tag")
    assert tagged["Actor"] == {"ID": image, "Attributes": {"name": "other:1"}}


def test_networks_and_volumes(knarr: Knarr) -> None:
    knarr("network", "create", "net")
    knarr("volume", "create", "data")
    container_id = knarr("run", "-d", "--network", "net", "busybox", *LOOP).strip()
    knarr("rm", "-f", container_id)
    knarr("network", "rm", "net")
    knarr("volume", "rm", "data")
    assert actions(knarr, "type=network") == ["create", "connect", "disconnect", "destroy"]
    assert actions(knarr, "volume=data") == ["create", "destroy"]
    connected = events(knarr, "event=connect")[0]["Actor"]["Attributes"]
    assert connected == {"container": container_id, "name": "net", "type": "bridge"}


@pytest.mark.parametrize(
    ("mode", "driver"), [("host", "host"), ("none", "null"), ("bridge", "bridge")]
)
def test_networks_are_joined_and_left_with_each_run(knarr: Knarr, mode: str, driver: str) -> None:
    container_id = knarr("run", "-d", "--network", mode, "busybox", *LOOP).strip()
    knarr("restart", "-t", "0", container_id)
    knarr("rm", "-f", container_id)
    about = {"container": container_id, "name": mode, "type": driver}
    assert actions(knarr, "type=network") == ["connect", "disconnect"] * 2
    assert [one["Actor"]["Attributes"] for one in events(knarr, "type=network")] == [about] * 4
    (network_id,) = {one["Actor"]["ID"] for one in events(knarr, "type=network")}
    assert network_id == knarr("network", "inspect", "-f", "{{.Id}}", mode).strip()


def test_volumes_are_mounted_with_a_start_and_unmounted_with_an_end(knarr: Knarr) -> None:
    knarr("run", "--rm", *NONE, "-v", "data:/data:ro", "busybox", "true")
    assert actions(knarr, "volume=data") == ["create", "mount", "unmount"]
    seen = [action for action in actions(knarr) if action in ("mount", "start", "die", "unmount")]
    assert seen[:4] == ["mount", "start", "die", "unmount"]
    mounted = events(knarr, "event=mount")[0]["Actor"]
    about = mounted["Attributes"]
    assert (mounted["ID"], about["destination"], about["read/write"]) == ("data", "/data", "false")
    (created, *_) = events(knarr, "event=create", "type=container")
    assert about["container"] == created["Actor"]["ID"]


def test_a_start_that_is_taken_back_leaves_networks_and_volumes(knarr: Knarr) -> None:
    knarr("create", "--name", "one", "-v", "data:/data", "busybox", "/broken")
    path = knarr.directory / "broken"
    path.write_bytes(b"\x7fELF nothing more")
    path.chmod(0o755)
    knarr("cp", str(path), "one:/broken")
    knarr.fails("start", "one")
    assert actions(knarr, "type=network") == ["connect", "disconnect"]
    assert actions(knarr, "volume=data") == ["create", "mount", "unmount"]


def test_what_is_asked_of_a_container(knarr: Knarr) -> None:
    knarr("run", "-d", *NONE, "--name", "one", "busybox", *LOOP)
    before = len(events(knarr))
    knarr("top", "one")
    knarr("update", "--memory", "64m", "one")
    knarr("cp", "one:/bin/sh", f"{knarr.directory}/sh")
    knarr("cp", f"{knarr.directory}/sh", "one:/sh")
    knarr("commit", "-m", "words", "one", "made:1")
    knarr.do("exec", "one", "nonesuch")
    assert actions(knarr)[before:] == [
        "top", "update", "archive-path", "extract-to-dir", "pause", "unpause", "tag", "commit",
        "exec_create: nonesuch", "exec_start: nonesuch",
    ]  # fmt: skip
    about = events(knarr, "event=commit")[0]["Actor"]["Attributes"]
    assert (about["comment"], about["imageRef"]) == ("words", "made:1")


def test_clients_that_come_and_go_on_purpose(knarr: Knarr) -> None:
    knarr("run", "-dit", *NONE, "--name", "one", "busybox", "sh")
    for words in (("attach", "one"), ("exec", "-it", "one", "sh")):
        person = Terminal(knarr, *words)
        person.type("echo h''ere\n")
        person.expect("here")
        person.type("\x10\x11")
        assert person.status() == 0
    seen = [action for action in actions(knarr) if "tach" in action]
    assert seen == ["attach", "detach", "exec_detach"]


def test_prunes_say_what_they_gave_back(knarr: Knarr) -> None:
    knarr("run", *NONE, "busybox", "sh", "-c", "head -c 3000 /dev/zero > /x")
    knarr("container", "prune", "--dry-run")
    knarr("container", "prune", "-f")
    knarr("network", "prune", "-f")
    found = [
        (e["Type"], e["Actor"]["Attributes"]["reclaimed"]) for e in events(knarr, "event=prune")
    ]
    assert found == [("container", "3000"), ("network", "0")]


def test_filters(knarr: Knarr) -> None:
    knarr("run", *NONE, "--name", "one", "-l", "team=blue", "busybox", "true")
    container_id = knarr("create", *NONE, "--name", "two", "busybox", "true").strip()
    assert set(actions(knarr, "container=one")) == {"create", "attach", "start", "die"}
    assert actions(knarr, f"container={container_id[:12]}") == ["create"]
    assert actions(knarr, "label=team=blue", "event=die") == ["die"]
    assert actions(knarr, "image=busybox", "event=create") == ["create", "create"]
    assert actions(knarr, "type=image") == ["load"]
    assert "invalid filter 'colour'" in knarr.fails("events", "--filter", "colour=red")


def test_the_line_is_docker_s(knarr: Knarr) -> None:
    container_id = knarr("create", *NONE, "--name", "one", "busybox", "true").strip()
    line = knarr("events", "--since", "1", "--until", "0s", "-f", "event=create").strip()
    when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d)"
    expected = f"{when} container create {container_id} \\(image=busybox, name=one\\)"
    assert re.fullmatch(expected, line)
    form = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}"
    words = knarr("events", "--since", "1", "--until", "0s", "--format", form)
    assert words.splitlines()[-1] == "container create one"


def follow(knarr: Knarr, *words: str) -> subprocess.Popen[bytes]:
    return knarr.start("events", "--format", "{{.Action}} {{.Actor.Attributes.name}}", *words)


def test_following_sees_what_comes_from_any_process(knarr: Knarr) -> None:
    with follow(knarr, "--since", "1") as process:
        assert process.stdout
        assert process.stdout.readline().startswith(b"load")
        knarr("run", "--rm", *NONE, "--name", "one", "busybox", "true")
        seen = [process.stdout.readline().decode().split()[0] for _ in range(7)]
        assert seen == [
            "create", "attach", "connect", "start", "die", "disconnect", "destroy"
        ]  # fmt: skip
        process.send_signal(signal.SIGTERM)


def test_nothing_is_lost_over_rotations(knarr: Knarr) -> None:
    with follow(knarr, "--since", "1", "--filter", "type=daemon") as process:
        assert process.stdout
        count = 4 * eventlog.LIMIT // 10_000
        for number in range(count):
            eventlog.append(knarr.root, "daemon", f"n{number}", "x", {"name": "y" * 9_900})
        seen = [process.stdout.readline().split()[0].decode() for _ in range(count)]
        process.send_signal(signal.SIGTERM)
    assert seen == [f"n{number}" for number in range(count)]
    names = sorted(name for name in os.listdir(knarr.root) if name.startswith(eventlog.NAME))
    assert names == [eventlog.NAME, *(f"{eventlog.NAME}.{n}" for n in range(1, eventlog.KEPT))]
