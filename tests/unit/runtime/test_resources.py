"""Limits in the words of the spec, and what is written for them, by version of the controller."""

from __future__ import annotations

from typing import Any

import pytest

from knarr.errors import InvalidArgument, Unsupported
from knarr.runtime.document import Node
from knarr.runtime.resources import Write, io_weight, plan_resources, weight_of_shares

NAMES_V1 = ("cpu", "cpuset", "memory", "blkio", "pids", "hugetlb", "devices", "net_cls", "net_prio")
V1 = dict.fromkeys(NAMES_V1, 1)
V2 = dict.fromkeys(("cpu", "cpuset", "memory", "io", "pids", "hugetlb", "rdma"), 2)
HYBRID = {**V1, "hugetlb": 2}


def written(resources: dict[str, Any], versions: dict[str, int]) -> list[str]:
    return [f"{w.file}={w.value}" for w in plan_resources(Node(resources, "resources"), versions)]


@pytest.mark.parametrize(
    ("resources", "v1", "v2"),
    [
        ({}, [], []),
        (
            {"memory": {"limit": 100, "swap": 300}},
            ["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=300"],
            ["memory.max=100", "memory.swap.max=200"],
        ),
        (
            {"memory": {"limit": -1}},
            ["memory.memsw.limit_in_bytes=-1", "memory.limit_in_bytes=-1"],
            ["memory.max=max", "memory.swap.max=max"],
        ),
        (
            {"memory": {"limit": 100, "swap": -1}},
            ["memory.memsw.limit_in_bytes=-1", "memory.limit_in_bytes=100"],
            ["memory.max=100", "memory.swap.max=max"],
        ),
        (
            {"memory": {"reservation": 7}},
            ["memory.soft_limit_in_bytes=7"],
            ["memory.low=7"],
        ),
        (
            {"memory": {"swappiness": 0, "disableOOMKiller": True, "kernelTCP": 5}},
            ["memory.swappiness=0", "memory.kmem.tcp.limit_in_bytes=5", "memory.oom_control=1"],
            [],
        ),
        (
            {"cpu": {"shares": 1024, "quota": 5, "period": 10}},
            ["cpu.shares=1024", "cpu.cfs_period_us=10", "cpu.cfs_quota_us=5"],
            ["cpu.weight=100", "cpu.max=5 10"],
        ),
        ({"cpu": {"quota": -1}}, ["cpu.cfs_quota_us=-1"], ["cpu.max=max 100000"]),
        ({"cpu": {"idle": 1}}, ["cpu.idle=1"], ["cpu.idle=1"]),
        (
            {"cpu": {"cpus": "0-3", "mems": "0"}},
            ["cpuset.cpus=0-3", "cpuset.mems=0"],
            ["cpuset.cpus=0-3", "cpuset.mems=0"],
        ),
        ({"pids": {"limit": 5}}, ["pids.max=5"], ["pids.max=5"]),
        ({"pids": {"limit": -1}}, ["pids.max=max"], ["pids.max=max"]),
        ({"pids": {"limit": 0}}, ["pids.max=1"], ["pids.max=1"]),
        (
            {"blockIO": {"weight": 10, "weightDevice": [{"major": 8, "minor": 1, "weight": 1000}]}},
            ["blkio.weight=10", "blkio.weight_device=8:1 1000"],
            ["io.bfq.weight=10", "io.bfq.weight=8:1 1000"],
        ),
        (
            {"blockIO": {"throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 9}]}},
            ["blkio.throttle.write_bps_device=8:0 9"],
            ["io.max=8:0 wbps=9"],
        ),
        (
            {"hugepageLimits": [{"pageSize": "2MB", "limit": 4096}]},
            ["hugetlb.2MB.limit_in_bytes=4096", "hugetlb.2MB.rsvd.limit_in_bytes=4096"],
            ["hugetlb.2MB.max=4096", "hugetlb.2MB.rsvd.max=4096"],
        ),
    ],
)
def test_limits(resources: dict[str, Any], v1: list[str], v2: list[str]) -> None:
    assert written(resources, V1) == v1
    assert written(resources, V2) == v2


def test_weights_go_to_the_files_that_there_are() -> None:
    planned = plan_resources(Node({"blockIO": {"weight": 10}}), V1)
    assert [str(write) for write in planned] == [
        "cgroup blkio: blkio.weight = 10, or blkio.bfq.weight = 10"
    ]
    planned = plan_resources(Node({"blockIO": {"weight": 10}}), V2)
    assert planned[0].instead == Write("io", "io.weight", "default 1")


def test_version_is_a_matter_of_each_controller() -> None:
    resources = {
        "memory": {"limit": 100},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
        "unified": {"hugetlb.2MB.rsvd.max": "2"},
    }
    assert written(resources, HYBRID) == [
        "memory.limit_in_bytes=100",
        "hugetlb.2MB.max=1",
        "hugetlb.2MB.rsvd.max=1",
        "hugetlb.2MB.rsvd.max=2",
    ]


def test_device_rules_are_lines_of_v1() -> None:
    resources = {"devices": [{"allow": False, "access": "rwm"}]}
    lines = written(resources, V1)
    assert lines[0] == "devices.deny=a *:* rwm"
    assert "devices.allow=c 1:3 rwm" in lines
    assert written(resources, V2) == []


@pytest.mark.parametrize(
    ("resources", "versions", "words"),
    [
        ({"unified": {"memory.high": "1"}}, V1, "is a controller of cgroup v1 here"),
        ({"memory": {"swap": 5}}, V2, "needs a memory limit"),
        ({"memory": {"limit": 5, "swap": 4}}, V2, "4 is below the memory limit 5"),
    ],
)
def test_contradictions_are_refused(
    resources: dict[str, Any], versions: dict[str, int], words: str
) -> None:
    with pytest.raises(InvalidArgument, match=words):
        written(resources, versions)


def test_limits_without_their_controller_are_refused() -> None:
    for resources in (
        {"memory": {"limit": 1}},
        {"cpu": {"shares": 5}},
        {"cpu": {"cpus": "0"}},
        {"pids": {"limit": 1}},
        {"blockIO": {"weight": 10}},
        {"network": {"classID": 1}},
        {"rdma": {"mlx5_1": {"hcaHandles": 3}}},
        {"unified": {"misc.max": "1"}},
    ):
        with pytest.raises(Unsupported, match="there is no cgroup with the"):
            written(resources, {})


def test_scales_meet_at_their_ends_and_defaults() -> None:
    assert [weight_of_shares(n) for n in (2, 1024, 262144)] == [1, 100, 10000]
    assert [io_weight(n) for n in (10, 1000)] == [1, 10000]
