"""Plans as text: what will be done for a spec, and what is refused before anything is."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from knarr.errors import InvalidArgument, KnarrError
from knarr.linux.cgroup import Hierarchy
from knarr.oci.runtime import VERSION
from knarr.runtime.command.default_spec import default_spec
from knarr.runtime.document import SPEC_VERSION
from knarr.runtime.plan import Surroundings, make_plan
from knarr.runtime.steps.rootfs import joins_layers

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = sorted((Path(__file__).parents[2] / "golden" / "plan").iterdir())
V1 = ("cpu,cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb")


def around(kind: str = "v2") -> Surroundings:
    """Return a bundle at /bundle on a machine whose cgroups are of a kind."""
    if kind == "v2":
        names = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")
        found = [Hierarchy(2, names, "/sys/fs/cgroup", "/")]
    else:
        found = [Hierarchy(1, tuple(name.split(",")), f"/sys/fs/cgroup/{name}", "/") for name in V1]
    views = [(hierarchy, f"{hierarchy.mount_point}/c") for hierarchy in found]
    versions = {name: h.version for h in found for name in h.controllers}
    return Surroundings("/bundle", views=views, versions=versions, keyring="_ses.c")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plan_is_as_written_down(case: Path, golden: Callable[[Path, str], None]) -> None:
    spec = json.loads((case / "config.json").read_text())
    kind = "v1" if case.name.endswith("v1") else "v2"
    golden(case / "steps", f"{make_plan(spec, around(kind))}\n")


def test_overlay_is_the_root_when_given() -> None:
    known = around()
    known.overlay = [
        ("lowerdir+", "/l2"),
        ("lowerdir+", "/l1"),
        ("upperdir", "/u"),
        ("volatile", ""),
    ]
    known.root_path = "/run/c/rootfs"
    lines = make_plan(default_spec(), known).lines()
    assert "root overlay (lowerdir+=/l2,lowerdir+=/l1,upperdir=/u,volatile)" in lines


def test_spec_version_is_that_of_the_documents() -> None:
    assert SPEC_VERSION == VERSION


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the default spec with the field at a dotted path set."""
    spec = copy.deepcopy(default_spec())
    *parents, last = path.split(".")
    place: Any = spec
    for name in parents:
        place = place[int(name)] if name.isdigit() else place.setdefault(name, {})
    place[int(last) if last.isdigit() else last] = value
    return spec


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("process.args", [], "process.args: is required"),
        ("process.args", ["a\0b"], "process.args: must be a list of strings without NUL"),
        ("process.cwd", "relative", 'process.cwd: "relative" is not an absolute path'),
        ("process.user", {"uid": -1, "gid": 0}, "process.user.uid: must be from 0 to 4294967294"),
        ("process.rlimits", [{"type": "RLIMIT_X", "soft": 1, "hard": 1}], "is no resource limit"),
        ("process.rlimits", [{"type": "RLIMIT_AS", "soft": 2, "hard": 1}], "above the hard limit"),
        ("process.oomScoreAdj", 1001, "oomScoreAdj: must be from -1000 to 1000"),
        ("root", {}, "root.path: is required"),
        ("mounts.0", {"type": "proc"}, "mounts[0].destination: is required"),
        ("mounts.0", {"destination": "/x"}, "mounts[0].type: is required"),
        ("mounts.0", {"destination": "/x", "options": ["bind"]}, "source: is required"),
        ("linux.namespaces", [{"type": "nett"}], 'linux.namespaces[0].type: "nett" is none of'),
        ("linux.memoryPolicy", {"mode": "BIND"}, "invalid memory policy mode"),
        (
            "linux.memoryPolicy",
            {"mode": "MPOL_BIND", "nodes": "0-9999"},
            "invalid memory policy no",
        ),
        (
            "linux.memoryPolicy",
            {"mode": "MPOL_LOCAL", "nodes": "0-3"},
            "requires 0 nodes but got 4",
        ),
        ("linux.netDevices", {"eth0": {"name": "a/b"}}, '"a/b" is no name of an interface'),
        ("process.scheduler", {"policy": "SCHED_X"}, 'scheduler.policy: "SCHED_X" is none of'),
        ("process.ioPriority", {"class": "IOPRIO_CLASS_BE", "priority": 8}, "must be from 0 to 7"),
        (
            "mounts.0",
            {"destination": "/x", "source": "/x", "options": ["bind", "idmap"]},
            "idmap needs mappings",
        ),
        (
            "mounts.0",
            {"destination": "/x", "type": "tmpfs", "uidMappings": [{}], "gidMappings": [{}]},
            "only bind mounts can map owners",
        ),
        (
            "linux.namespaces",
            [{"type": "mount"}, {"type": "mount"}],
            'linux.namespaces[1].type: "mount" is given twice',
        ),
        (
            "linux.namespaces",
            [{"type": "mount"}, {"type": "pid", "path": "x"}],
            "is not an absolute path",
        ),
        (
            "linux.namespaces",
            [{"type": "mount"}, {"type": "user"}],
            "are required for a new user namespace",
        ),
        ("linux.uidMappings", [{"containerID": 0, "hostID": 0, "size": 1}], "user namespace"),
        ("linux.timeOffsets", {"boottime": {"secs": 1}}, "needs a new time namespace"),
        ("linux.sysctl", {"vm.swappiness": "1"}, "it would change the whole machine"),
        ("linux.sysctl", {"kernel.hostname": "x"}, "is set by hostname"),
        ("linux.sysctl", {"net.x": 1}, "must be a string"),
        ("linux.maskedPaths", ["etc"], "is not an absolute path"),
        ("linux.rootfsPropagation", "most", "rootfsPropagation"),
        ("linux.devices", [{"path": "/dev/x", "type": "x"}], 'devices[0].type: "x" is none of'),
        ("linux.devices", [{"path": "/dev/x", "type": "c"}], "and minor are required"),
        ("linux.resources", {"devices": [{"access": "x"}]}, "letters other than r, w and m"),
        ("linux.resources", {"memory": {"swappiness": 101}}, "must be from 0 to 100"),
        ("linux.resources", {"blockIO": {"weight": 5}}, "must be from 10 to 1000"),
        ("linux.resources", {"unified": {"../x": "1"}}, "is no file of a cgroup"),
        ("linux.personality", {"domain": "BSD"}, "personality.domain"),
        ("hooks", {"prestart": [{"path": "x"}]}, "hooks.prestart[0].path"),
        ("hooks", {"poststop": [{"path": "/x", "timeout": 0}]}, "must be greater than 0"),
    ],
)
def test_impossible_specs_are_refused(path: str, value: object, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make_plan(changed(path, value), around())
    assert words in caught.value.message
    assert caught.value.message.startswith("config.json: ")


def test_sysctl_needs_a_namespace_of_its_kind() -> None:
    spec = changed("linux.sysctl", {"net.ipv4.ip_forward": "1"})
    make_plan(spec, around())
    spec["linux"]["namespaces"] = [{"type": "mount"}]
    del spec["hostname"]
    with pytest.raises(InvalidArgument, match="needs a network namespace"):
        make_plan(spec, around())


def test_limit_without_its_controller_is_refused() -> None:
    spec = changed("linux.resources", {"memory": {"limit": 1 << 20}})
    with pytest.raises(KnarrError, match="no cgroup with the memory controller"):
        make_plan(spec, Surroundings("/bundle"))


@pytest.mark.parametrize(
    ("release", "joined"),
    [("6.1.0-50-cloud-amd64", True), ("6.7", True), ("6.8-rc1", False), ("6.18.5", False)],
)
def test_older_kernels_get_all_layers_in_one_option(release: str, joined: bool) -> None:
    assert joins_layers(release) is joined
