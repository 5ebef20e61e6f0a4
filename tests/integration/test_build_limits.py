"""Limits of a build's steps, seen from inside the steps and in the host's control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.workshop import Workshop

pytestmark = pytest.mark.root

# What is read differs between the two versions of control groups.
LOOK = """\
FROM busybox
RUN g=/sys/fs/cgroup; \\
    cat $g/memory/memory.limit_in_bytes $g/memory.max 2>/dev/null > /memory; \\
    cat $g/cpu/cpu.cfs_quota_us $g/cpu.max 2>/dev/null > /quota; \\
    cat $g/cpu/cpu.shares $g/cpu.weight 2>/dev/null > /shares; \\
    grep Cpus_allowed_list /proc/self/status > /cpus; \\
    ulimit -n > /files; \\
    df -k /dev/shm | tail -n 1 > /shm; \\
    cat /proc/self/cgroup > /groups
"""


def test_limits_reach_every_step(shop: Workshop) -> None:
    limits = ("-m", "64m", "--memory-swap", "96m", "--cpu-period", "50000", "--cpu-quota", "20000")
    more = ("-c", "512", "--cpuset-cpus", "0", "--ulimit", "nofile=77:88", "--shm-size", "2m")
    shop.build(LOOK, *limits, *more)
    assert shop.read("cat /memory").split() == [str(64 << 20)]
    assert shop.read("cat /quota").split()[0] == "20000"
    assert shop.read("cat /shares").split()[0] in ("512", "59", "20")
    assert shop.read("cat /cpus").split()[-1] == "0"
    assert shop.read("cat /files") == "77"
    assert shop.read("cat /shm").split()[1] == "2048"


def test_limits_do_not_decide_what_is_cached(shop: Workshop) -> None:
    shop.build(LOOK)
    assert shop.build("", "-m", "64m").done == []


def test_a_step_that_takes_more_memory_than_it_may_is_told_so(shop: Workshop) -> None:
    said = shop.fail(
        "FROM busybox\nRUN dd if=/dev/zero of=/dev/shm/all bs=1M count=60",
        *("-m", "16m", "--memory-swap", "16m"),
    )
    assert "exit code: 137" in said
    assert "It ran out of memory." in said


def test_control_groups_are_below_the_parent_that_was_asked_for(shop: Workshop) -> None:
    wanted = f"trial-{shop.directory.parent.name}"
    script = "FROM busybox\nRUN --network=host sleep 0; cat /proc/1/cgroup > /groups"
    try:
        shop.build(script, "--cgroup-parent", f"/{wanted}", "--allow", "network.host")
        left = _groups(wanted)
        assert left, "the parent stays, as with run"
        assert all(not _below(group) for group in left)
    finally:
        for group in _groups(wanted):
            group.rmdir()


def _groups(name: str) -> list[Path]:
    top = Path("/sys/fs/cgroup")
    return [place / name for place in (top, *top.iterdir()) if (place / name).is_dir()]


def _below(group: Path) -> list[Path]:
    return [each for each in group.iterdir() if each.is_dir()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--memory", "1k"), "Minimum memory limit"),
        (("--memory", "lots"), "invalid argument"),
        (("--ulimit", "nofile"), "invalid argument"),
        (("--cpuset-cpus", "9999"), "Requested CPUs are not available"),
    ],
)
def test_limits_that_make_no_sense_are_refused(
    shop: Workshop, words: tuple[str, ...], message: str
) -> None:
    shop.write("Dockerfile", LOOK)
    built = shop.try_build(*words)
    assert built.status != 0
    assert message.lower() in built.output.lower()
