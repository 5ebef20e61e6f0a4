"""The same image under Docker and under knarr: what a process sees of itself and around it.

Every line that only one of them shows has to be one of `DIFFERENCES`, each of which is explained in
docs/compatibility.md, "Beside Docker", in the same words.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from support.engine import Knarr
from support.engine import lent_engine as lent_knarr
from support.engines import NARROW, Docker, lent_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.root

SCRIPT = (Path(__file__).parents[1] / "support" / "look_around.sh").read_text()
DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility.md"

CASES: dict[str, tuple[str, ...]] = {
    "default": (),
    "privileged": ("--privileged",),
    "no capabilities": ("--cap-drop", "all"),
    "one capability": ("--cap-drop", "all", "--cap-add", "net_bind_service"),
    "read-only": ("--read-only", "--tmpfs", "/tmp"),
    "limits": (
        "-m", "64m", "--memory-reservation", "32m", "--cpus", "0.5", "--cpuset-cpus", "0",
        "--pids-limit", "50", "--ulimit", "nofile=100:200", "--shm-size", "1m",
        "--oom-score-adj", "100",
    ),
    "user": ("--user", "1000:1001", "--group-add", "5", "--workdir", "/tmp"),
    "user with capabilities": ("--user", "nobody", "--cap-add", "net_admin"),
    "unconfined": (
        "--security-opt", "seccomp=unconfined", "--security-opt", "no-new-privileges",
        "--cap-add", "sys_admin",
    ),
    "unmasked": ("--security-opt", "systempaths=unconfined"),
    "host's namespaces": ("--ipc", "host", "--uts", "host"),
    "host's cgroups": ("--cgroupns", "host"),
    "names and parameters": (
        "--hostname", "vinland", "--domainname", "north", "--sysctl", "net.ipv4.ip_forward=1",
        "--sysctl", "kernel.msgmax=9000", "-e", "A=b", "-e", "PATH=/bin", "--add-host", "a:1.2.3.4",
    ),
    "devices": ("--device", "/dev/null:/dev/mine:r", "--device-cgroup-rule", "c 9:* rm"),
    "mounts": ("-v", "/usr:/v:ro", "--tmpfs", "/t:size=1m", "--mount", "type=tmpfs,target=/u"),
    "terminal": ("-t",),
}  # fmt: skip


class Difference(NamedTuple):
    """Lines of one section that only one of both shows, as patterns of whole lines."""

    section: str
    dockers: str
    ours: str
    reason: str


DIFFERENCES = (
    Difference(
        "status", r"Cap(Bnd|Eff|Prm):\t000000[0-3].*", r"Cap(Bnd|Eff|Prm):\t000001f.*",
        "a privileged container has every capability of the kernel; Docker 20.10 does not know "
        "the newest three",
    ),
    Difference(
        "mounts", r"/ / r[wo],relatime (master )?- overlay overlay r[wo].*",
        r"/ / r[wo],relatime - overlay overlay r[wo].*",
        "the root is an overlay with options of our own, mounted for the container alone",
    ),
    Difference(
        "mounts", r"/(proc|sys)/\S+ / ro,relatime - tmpfs tmpfs ro",
        r"/(proc|sys)/\S+ / ro,relatime - tmpfs tmpfs ro,nr_inodes=1,mode=755",
        "a masked directory is covered with a file system that has room for nothing",
    ),
    Difference(
        "mounts", r"/proc/\S+ /null rw,nosuid\S* - tmpfs tmpfs rw,.*",
        r"/proc/\S+ /null rw,relatime - devtmpfs devtmpfs rw,.*",
        "a masked file is covered with the host's /dev/null, which the container cannot replace",
    ),
    Difference(
        "reading", r"/proc/interrupts has text", r"/proc/interrupts is empty",
        "what tells how warm the processors are is masked, as in newer Docker",
    ),
    Difference(
        "mounts", r"/sys/fs/cgroup / rw,\S+ - tmpfs tmpfs rw,mode=755",
        r"/sys/fs/cgroup / ro,\S+ - tmpfs tmpfs rw,mode=755",
        "the directory of the cgroup v1 hierarchies is read-only like what is mounted in it",
    ),
    Difference(
        "writing", r"/sys/fs/cgroup/x(: Permission denied| can be written)",
        r"/sys/fs/cgroup/x: Read-only file system",
        "the directory of the cgroup v1 hierarchies is read-only like what is mounted in it",
    ),
    Difference(
        "mounts", r"/sys/fs/cgroup/systemd / \S+ - cgroup systemd rw,.*",
        r"/sys/fs/cgroup/systemd / \S+ - cgroup cgroup rw,.*",
        "the named cgroup hierarchy is mounted under the name `cgroup`, like the others",
    ),
    Difference(
        "parameters", r"net/ipv6/conf/all/disable_ipv6 1", r"net/ipv6/conf/all/disable_ipv6 0",
        "IPv6 works on the loopback interface, as in Docker from version 26 on",
    ),
    Difference(
        "files", r"hosts: (fe|ff)00::0\t.*", r"hosts: (fe|ff)00::\t.*",
        "addresses in /etc/hosts are written in their short form",
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    with lent_engine(Docker, tmp_path_factory.mktemp("docker")) as lent:
        assert isinstance(lent, Docker)
        yield lent


@pytest.fixture(scope="module")
def knarr(tmp_path_factory: pytest.TempPathFactory, docker: Docker) -> Iterator[Knarr]:
    with lent_knarr(tmp_path_factory.mktemp("knarr")) as lent:
        with open(docker.directory / "image.tar", "rb") as file:
            lent("import", "-", "bb", stdin=file.read())
        yield lent


def under_docker(docker: Docker, flags: tuple[str, ...]) -> dict[str, list[str]]:
    # Where both versions of cgroups are, Docker gives no cgroup namespace unless it is asked.
    private = () if "--cgroupns" in flags else ("--cgroupns", "private")
    done = docker.run(NARROW, ("--rm", *private, *flags), SCRIPT)
    assert "== namespaces" in done.output, done
    return sections(done.output)


def under_knarr(knarr: Knarr, flags: tuple[str, ...]) -> dict[str, list[str]]:
    words = ("run", "--rm", "--network", "none", *flags, "bb", "sh", "-c", SCRIPT)
    done = knarr.do(*words)
    assert "== namespaces" in done.stdout, done
    return sections(done.stdout)


def sections(text: str) -> dict[str, list[str]]:
    """Return what `look_around` printed by section, without what differs with every container."""
    text = re.sub(r"[0-9a-f]{64}", "ID", text.replace("\r", ""))
    name = re.search(r"^HOSTNAME=([0-9a-f]{12})$", text, re.MULTILINE)
    if name:
        text = text.replace(name[1], "NAME")
    found: dict[str, list[str]] = {}
    for part in text.split("== ")[1:]:
        title, *lines = part.splitlines()
        if title in ("mounts", "namespaces"):
            lines = [_mount(line) if title == "mounts" else _namespace(line) for line in lines]
        if title == "cgroups":
            lines = [re.sub(r":/\S+/ID$", ":/parent/ID", line) for line in lines]
        # The order of mounts, variables and device rules means nothing.
        found[title] = sorted(lines)
    return found


def _mount(line: str) -> str:
    """Return what a mount shows, without numbers, places on the host and options of layers."""
    words = line.split(" ")
    dash = words.index("-")
    root = re.sub(r".*/(hostname|hosts|resolv\.conf)", r"\1", words[3])
    root = re.sub(r".*/(docker-init|init/.*|tini.*)", "init", root)
    root = re.sub(r"/[\w/-]*/ID", "/ID", root)
    peers = [re.sub(r":.*", "", word) for word in words[6:dash]]
    options = [o for o in words[dash + 3].split(",") if not re.match(r"(lower|upper|work)dir", o)]
    shown = [words[4], root, words[5], *peers, "-", *words[dash + 1 : dash + 3], ",".join(options)]
    return " ".join(shown)


def _namespace(line: str) -> str:
    kind = line.partition(":")[0]
    return f"{kind} {'host' if line == os.readlink(f'/proc/self/ns/{kind}') else 'own'}"


@pytest.mark.parametrize("case", CASES)
def test_container_looks_like_dockers(docker: Docker, knarr: Knarr, case: str) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(under_docker, docker, CASES[case])
        ours = under_knarr(knarr, CASES[case])
        theirs = waiting.result()
    assert list(theirs) == list(ours)
    unexplained = [
        f"{who} alone: {section}: {line}"
        for who, here, there in (("Docker", theirs, ours), ("knarr", ours, theirs))
        for section, lines in here.items()
        for line in set(lines) - set(there[section])
        if not is_explained(section, line, dockers=who == "Docker")
    ]
    assert not unexplained, "\n".join(sorted(unexplained))


def is_explained(section: str, line: str, *, dockers: bool) -> bool:
    return any(
        re.fullmatch(one.dockers if dockers else one.ours, line)
        for one in DIFFERENCES
        if one.section == section
    )


def test_differences_are_explained() -> None:
    text = " ".join(DOCUMENT.read_text(encoding="utf-8").split())
    assert [d.reason for d in DIFFERENCES if d.reason.lower() not in text.lower()] == []
