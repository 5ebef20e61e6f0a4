"""What is mounted, as /proc/self/mountinfo tells it.

Man: proc_pid_mountinfo(5)
"""

from __future__ import annotations

from knarr.linux.cgroup import unescape
from knarr.util.value import Value


class Mounted(Value):
    """A mount of our namespace: where it is, the type of its file system, what it is called."""

    point: str
    fstype: str
    source: str


def mounted() -> list[Mounted]:
    """Return all mounts of our namespace, those below before those on top of them."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return parse(file.read())


def parse(mountinfo: str) -> list[Mounted]:
    """Return the mounts that the text of a mountinfo describes."""
    found = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fstype, source, *_ = right.split(" ")
        found.append(Mounted(unescape(left.split(" ")[4]), fstype, unescape(source)))
    return found
