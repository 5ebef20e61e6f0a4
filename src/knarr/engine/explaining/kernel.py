"""What the kernel's log says of processes that it killed for lack of memory.

    oom-kill:constraint=CONSTRAINT_MEMCG,…,task_memcg=/knarr/<id>,task=sh,pid=26267,uid=0
    Memory cgroup out of memory: Killed process 26267 (sh) total-vm:51428kB, anon-rss:32516kB, …

The first line has the container's ID in the name of its control group, so that no other container
can be meant; the second, which follows, has the figures. Both are kept for as long as the log's
ring has room, and only root may read it.
"""

from __future__ import annotations

import os
import re

from knarr.engine.explaining.facts import Shortage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_RECORD = 8192
_KILLED = re.compile(r"Killed process (\d+) \((.*)\) total-vm")
_HELD = re.compile(r"(?:anon|file|shmem)-rss:(\d+)kB")


def shortage_of(container_id: str, path: str = "/dev/kmsg") -> Shortage | None:
    """Return the last process of a container that the kernel killed, None if it does not say."""
    return judge(_messages(path), container_id)


def judge(messages: Iterable[str], container_id: str) -> Shortage | None:
    """Return the same from the kernel's messages."""
    found: Shortage | None = None
    for message in messages:
        if message.startswith("oom-kill:") and container_id in message:
            fields = dict(
                part.partition("=")[::2] for part in message[9:].strip().split(",") if "=" in part
            )
            limited = fields.get("constraint") == "CONSTRAINT_MEMCG"
            found = Shortage(fields.get("task", ""), int(fields.get("pid", 0)), 0, limited)
            continue
        killed = _KILLED.search(message) if found else None
        if found and killed and int(killed[1]) == found.pid:
            held = sum(int(size) for size in _HELD.findall(message)) << 10
            found = found.replace(process=killed[2], held=held)
    return found


def _messages(path: str) -> list[str]:
    """Return the kernel's messages, none if they cannot be read.

    Man: kmsg is described in the kernel's Documentation/ABI/testing/dev-kmsg
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    found = []
    try:
        while True:
            try:
                record = os.read(descriptor, _RECORD)
            except BrokenPipeError:  # overwritten while we read: the next one follows
                continue
            if not record:
                break
            found.append(record.decode("utf-8", "replace").partition(";")[2])
    except OSError:  # EAGAIN: the end
        pass
    finally:
        os.close(descriptor)
    return found
