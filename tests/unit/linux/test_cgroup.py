"""What the two files of /proc say about cgroups, on machines of every kind."""

from __future__ import annotations

from knarr.linux.cgroup import Hierarchy, parse

V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = r"""
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,xattr,memory,clone_children
34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd,release_agent=/x
35 31 0:32 / /sys/fs/cgroup/with\040space rw - cgroup cgroup rw,pids
36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
37 31 0:29 / /elsewhere rw - cgroup cgroup rw,cpuacct,cpu
""".lstrip()


def shown(found: list[Hierarchy]) -> list[tuple[object, ...]]:
    return [(h.version, h.controllers, h.mount_point, h.own) for h in found]


def test_v2_alone() -> None:
    (only,) = parse(V2, "0::/user.slice\n")
    assert (only.version, only.own) == (2, "/user.slice")
    assert only.directory("/a/b") == "/sys/fs/cgroup/a/b"


def test_hybrid_has_v2_last_and_each_hierarchy_once() -> None:
    text = "9:pids:/\n4:memory:/own/place\n2:cpuacct,cpu:/\n1:name=systemd:/s\n0::/u\n"
    assert shown(parse(HYBRID, text)) == [
        (1, ("cpu", "cpuacct"), "/sys/fs/cgroup/cpu,cpuacct", "/"),
        (1, ("memory",), "/sys/fs/cgroup/memory", "/own/place"),
        (1, ("name=systemd",), "/sys/fs/cgroup/systemd", "/s"),
        (1, ("pids",), "/sys/fs/cgroup/with space", "/"),
        (2, (), "/sys/fs/cgroup/unified", "/u"),
    ]


def test_hierarchies_without_a_name_for_us_are_left_out() -> None:
    assert [h.controllers for h in parse(HYBRID, "4:memory:/\n")] == [("memory",)]


def test_mount_that_shows_a_part() -> None:
    text = "40 1 0:30 /docker/c /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    (part,) = parse(text, "4:memory:/docker/c/below\n")
    assert part.directory(part.own) == "/sys/fs/cgroup/memory/below"
    assert part.directory("/docker/c") == "/sys/fs/cgroup/memory"
    assert part.directory("/docker/cd") == "/sys/fs/cgroup/memory/docker/cd"
