"""From options to the writes for control files, on machines with either version of cgroups."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from knarr.cli import options as parser
from knarr.cli.commands.run import COMMAND
from knarr.cli.creating import parse_create
from knarr.engine.resources.limits import resources
from knarr.engine.resources.statistics import Sample, make_sample, parse_interfaces
from knarr.runtime.document import Node
from knarr.runtime.resources import plan_resources

V1 = dict.fromkeys(("cpu", "cpuset", "memory", "pids", "blkio"), 1)
V2 = dict.fromkeys(("cpu", "cpuset", "memory", "pids", "io"), 2)
NUMBERS = {"/dev/vda": (254, 0)}


def writes(command: str, versions: dict[str, int]) -> list[str]:
    given, arguments = parser.parse(COMMAND, [*shlex.split(command), "busybox"], path="knarr run")
    asked = parse_create(given, arguments, detached=False)
    found: dict[str, Any] = dict(resources(asked, (), NUMBERS))
    del found["devices"]
    planned = plan_resources(Node(found, "resources"), versions)
    return [f"{write.file}={write.value}" for write in planned]


@pytest.mark.parametrize(
    ("command", "v1", "v2"),
    [
        (
            "-m 64m",
            ["memory.limit_in_bytes=67108864", "memory.memsw.limit_in_bytes=134217728"],
            ["memory.max=67108864", "memory.swap.max=67108864"],
        ),
        (
            "-m 64m --memory-swap 64m",
            ["memory.limit_in_bytes=67108864", "memory.memsw.limit_in_bytes=67108864"],
            ["memory.max=67108864", "memory.swap.max=0"],
        ),
        (
            "-m 64m --memory-swap -1 --memory-reservation 32m",
            [
                "memory.memsw.limit_in_bytes=-1",
                "memory.limit_in_bytes=67108864",
                "memory.soft_limit_in_bytes=33554432",
            ],
            ["memory.max=67108864", "memory.swap.max=max", "memory.low=33554432"],
        ),
        ("--cpus 1.5", ["cpu.cfs_period_us=100000", "cpu.cfs_quota_us=150000"],
         ["cpu.max=150000 100000"]),
        ("--cpu-quota 5000 --cpu-period 10000",
         ["cpu.cfs_period_us=10000", "cpu.cfs_quota_us=5000"],
         ["cpu.max=5000 10000"]),
        ("--cpu-shares 512", ["cpu.shares=512"], ["cpu.weight=59"]),
        ("--cpuset-cpus 0-1 --cpuset-mems 0", ["cpuset.cpus=0-1", "cpuset.mems=0"],
         ["cpuset.cpus=0-1", "cpuset.mems=0"]),
        ("--pids-limit 7", ["pids.max=7"], ["pids.max=7"]),
        ("--pids-limit -1", ["pids.max=max"], ["pids.max=max"]),
        ("--blkio-weight 300", ["blkio.weight=300"], ["io.bfq.weight=300"]),
        ("--blkio-weight-device /dev/vda:300", ["blkio.weight_device=254:0 300"],
         ["io.bfq.weight=254:0 300"]),
        ("--device-read-bps /dev/vda:1mb", ["blkio.throttle.read_bps_device=254:0 1048576"],
         ["io.max=254:0 rbps=1048576"]),
        ("--device-write-iops /dev/vda:9", ["blkio.throttle.write_iops_device=254:0 9"],
         ["io.max=254:0 wiops=9"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_control_files(command: str, v1: list[str], v2: list[str]) -> None:
    assert writes(command, V1) == v1
    assert writes(command, V2) == v2


def test_realtime_is_of_v1() -> None:
    found = writes("--cpu-rt-period 1000000 --cpu-rt-runtime 5000", V1)
    assert found == ["cpu.rt_period_us=1000000", "cpu.rt_runtime_us=5000"]


# what a container uses


def test_sample_of_either_version() -> None:
    v1: dict[str, Any] = {
        "cpu": {"usage": {"total": 5_000}},
        "memory": {
            "usage": {"usage": 100, "limit": 1 << 62},
            "raw": {"total_inactive_file": 30, "inactive_file": 1},
        },
        "pids": {"current": 3},
        "blkio": {
            "ioServiceBytesRecursive": [
                {"op": "Read", "value": 7}, {"op": "Write", "value": 8}, {"op": "Sync", "value": 9},
                {"op": "Read", "value": 1},
            ]
        },
    }  # fmt: skip
    found = make_sample(v1, 1, 2, 4096, 1_000)
    assert found == Sample(1_000, 5_000, 70, 4096, 1, 2, 8, 8, 3)
    v2 = {"memory": {"usage": {"usage": 100, "limit": 200}, "raw": {"inactive_file": 60}}}
    assert make_sample(v2, 0, 0, 4096, 0).memory == 40
    assert make_sample(v2, 0, 0, 4096, 0).memory_share == 0.2
    assert make_sample({}, 0, 0, 4096, 0).processes == 0


def test_share_of_the_processors() -> None:
    one = make_sample({"cpu": {"usage": {"total": 10}}}, 0, 0, 1, 100)
    two = make_sample({"cpu": {"usage": {"total": 60}}}, 0, 0, 1, 200)
    assert two.cpu_share(one) == 0.5
    assert one.cpu_share(one) == 0.0


def test_counters_are_those_of_all_interfaces_but_loopback() -> None:
    text = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo:    1000      10    0    0    0     0          0         0     1000      10    0    0
  eth0:       5       1    2    3    0     0          0         0        7       1    4    0
eth1:11 1 0 0 0 0 0 0 13 1 0 6
"""
    found = parse_interfaces(text)
    assert [(one["rx_bytes"], one["tx_bytes"]) for one in found.values()] == [(5, 7), (11, 13)]
    assert (found["eth0"]["rx_errors"], found["eth1"]["tx_dropped"]) == (2, 6)
