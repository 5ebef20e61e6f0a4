"""Containers that share namespaces with each other, and containers with users of their own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.engine import Knarr

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.root
KINDS = ("net", "ipc", "pid", "uts", "cgroup")
READ = f"for n in {' '.join(KINDS)}; do readlink /proc/self/ns/$n; done"


def test_each_namespace_of_another_container(knarr: Knarr) -> None:
    knarr(
        "run",
        "-d",
        "--name",
        "donor",
        "--ipc",
        "shareable",
        "-h",
        "theirs",
        "--add-host",
        "db:10.1.2.3",
        "busybox",
        "sh",
        "-c",
        "echo shared > /dev/shm/f; sleep 99; :",
    )
    theirs = dict(zip(KINDS, knarr("exec", "donor", "sh", "-c", READ).split(), strict=True))
    options = {"net": "network", "cgroup": "cgroupns"}
    for kind in KINDS:
        option = f"--{options.get(kind, kind)}"
        found = knarr("run", "--rm", option, "container:donor", "busybox", "sh", "-c", READ)
        ours = dict(zip(KINDS, found.split(), strict=True))
        assert {k for k in KINDS if ours[k] == theirs[k]} == {kind}
    everything = (
        "--network",
        "container:donor",
        "--ipc",
        "container:donor",
        "--pid",
        "container:donor",
        "--uts",
        "container:donor",
    )
    script = "cat /dev/shm/f; hostname; grep -c db /etc/hosts; cat /etc/hostname; cat /proc/1/comm"
    found = knarr("run", "--rm", *everything, "busybox", "sh", "-c", script)
    assert found == "shared\ntheirs\n1\ntheirs\nsh\n"
    address = "ip -4 addr show eth0 | grep inet"
    assert knarr("exec", "donor", "sh", "-c", address) == knarr(
        "run", "--rm", "--network", "container:donor", "busybox", "sh", "-c", address
    )


def test_whose_namespaces_cannot_be_joined(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "donor", "--network", "none", "busybox", "sleep", "99")

    def refused(*options: str) -> str:
        return knarr.fails("run", "--rm", *options, "busybox", "true", status=125)

    assert "no such container: nobody" in refused("--network", "container:nobody")
    words = refused("--ipc", "container:donor")
    assert "non-shareable IPC (hint: use IpcMode:shareable for the donor container)" in words
    joined = ("--network", "container:donor")
    for option, word in (
        (("-h", "x"), "hostname and the network mode"),
        (("--dns", "10.0.0.1"), "dns and the network mode"),
        (("--add-host", "a:10.0.0.1"), "custom host-to-IP mapping and the network mode"),
        (("-p", "80"), "port publishing and the container type network mode"),
        (("--expose", "80"), "port exposing and the container type network mode"),
    ):
        assert f"conflicting options: {word}" in refused(*joined, *option)
    knarr("create", "--name", "joiner", *joined, "--pid", "container:donor", "busybox", "true")
    knarr("rename", "donor", "renamed")
    knarr("start", "-a", "joiner")
    knarr("stop", "-t", "0", "renamed")
    assert "cannot join network of a non running container" in knarr.fails("start", "joiner")


def test_a_restart_stays_with_the_namespaces_of_the_first_run(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "donor", "--ipc", "shareable", "busybox", "sleep", "99")
    knarr(
        "run",
        "-d",
        "--name",
        "joiner",
        "--restart",
        "always",
        "--network",
        "container:donor",
        "--uts",
        "container:donor",
        "--ipc",
        "container:donor",
        "busybox",
        "sleep",
        "99",
    )
    joiner = knarr.engine.containers.get("joiner")
    before = knarr("exec", "joiner", "sh", "-c", READ).split()
    pid = joiner.state.pid
    os.kill(pid, 9)
    knarr.wait_until(lambda: joiner.state.pid not in (0, pid) and joiner.status == "running")
    after = knarr("exec", "joiner", "sh", "-c", READ).split()
    assert after[:2] == before[:2]
    assert after[3] == before[3]
    knarr("kill", "donor")
    pid = joiner.state.pid
    os.kill(pid, 9)  # the /dev/shm that it shared is gone with its owner
    knarr.wait_until(lambda: joiner.status == "exited")
    assert "the container that shares /dev/shm has ended" in joiner.state.error


# users


def test_users_of_its_own(knarr: Knarr, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir(mode=0o755)
    knarr(
        "run",
        "-d",
        "--name",
        "one",
        "--userns",
        "auto",
        "-v",
        "data:/data",
        "-v",
        f"{tmp_path}/src:/src",
        "busybox",
        "sh",
        "-c",
        "id -u > /data/f; chown 33:44 /data/f; rm /etc/group; sleep 99",
    )
    container = knarr.engine.containers.get("one")
    with open(f"/proc/{container.state.pid}/uid_map") as file:
        inside, outside, size = map(int, file.read().split())
    assert (inside, size) == (0, 65536)
    assert outside >= 65536
    assert os.stat(f"/proc/{container.state.pid}").st_uid == outside
    script = """
        id -u; stat -c %u:%g / /bin/busybox /data /data/f /src; cat /proc/self/uid_map | wc -l
        touch /new && chown 1000 /new && stat -c %u /new; echo hello > /dev/stdout
        (echo x > /src/f) 2>/dev/null || echo refused; dmesg 2>/dev/null || echo refused"""
    found = knarr("exec", "one", "sh", "-c", script).split()
    assert found == [
        "0",
        "0:0",
        "0:0",
        "0:0",
        "33:44",
        "65534:65534",
        "1",
        "1000",
        "hello",
        "refused",
        "refused",
    ]
    upper = f"{knarr.engine.paths.container(container.id)}/upper"
    assert os.stat(f"{upper}/new").st_uid == 1000
    volume = knarr.engine.volumes.path("data")
    assert os.stat(f"{volume}/f").st_uid == 33
    assert "A /new\n" in knarr("diff", "one")
    assert "D /etc/group\n" in knarr("diff", "one")
    other = knarr(
        "run",
        "--rm",
        "--network",
        "none",
        "--userns",
        "auto:size=1024",
        "-v",
        "data:/data",
        "busybox",
        "sh",
        "-c",
        "cat /proc/self/uid_map; stat -c %u /data/f",
    )
    _, second, count, owner = map(int, other.split())
    assert (count, owner) == (1024, 33)
    assert second >= outside + size or second + count <= outside
    script = "readlink /proc/self/ns/user; stat -c %u /bin"
    joined = ("--userns", "container:one", "--pid", "container:one")
    shown = knarr("run", "--rm", "--network", "none", *joined, "busybox", "sh", "-c", script)
    assert shown.split() == [os.readlink(f"/proc/{container.state.pid}/ns/user"), "0"]
    knarr("rm", "-f", "one")
    knarr("volume", "rm", "data")


def test_mappings_by_hand(knarr: Knarr) -> None:
    script = "cat /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g /bin; id"
    given = ("--uidmap", "0:300000:1000", "--uidmap", "1000:5000:1", "--gidmap", "0:400000:2000")
    found = knarr(
        "run", "--rm", "--network", "none", *given, "-u", "1000", "busybox", "sh", "-c", script
    )
    numbers = " ".join(found.split())
    assert numbers.startswith("0 300000 1000 1000 5000 1 0 400000 2000 0:0 uid=1000")
    refused = knarr.fails("run", "--rm", "--uidmap", "0:1", "busybox", "true", status=125)
    assert "--uidmap: invalid mapping: 0:1" in refused


def test_what_users_of_their_own_exclude(knarr: Knarr) -> None:
    def refused(*options: str) -> str:
        return knarr.fails("run", "--rm", *options, "--userns", "auto", "busybox", "x", status=125)

    assert "privileged mode is incompatible with user namespaces" in refused("--privileged")
    assert "cannot share the host's network namespace" in refused("--network", "host")
    assert "cannot share the host PID namespace" in refused("--pid", "host")
    words = knarr.fails("run", "--rm", "--userns", "keep-it", "busybox", "true", status=125)
    assert "--userns: invalid USER mode" in words
    assert (
        knarr(
            "run",
            "--rm",
            "--network",
            "none",
            "--userns",
            "host",
            "busybox",
            "cat",
            "/proc/self/uid_map",
        ).split()[1]
        == "0"
    )
