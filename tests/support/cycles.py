r"""Many containers, one after the other and several at once: what they leave behind.

Run as a program in process ID and mount namespaces of its own, so that whatever it counts is the
containers' doing and nobody else's:

    unshare --mount --pid --fork --mount-proc \
        python -m support.cycles NAME COUNT PARALLEL DIR RUNTIME...

It takes containers of the bundles in DIR, whose IDs begin with NAME, through create, start, kill
and delete COUNT times, and prints what it counted before and after as JSON: exact figures of its
own namespaces, and the kernel's of the whole machine, which others change too.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from knarr.linux import cgroup

CACHES = ("net_namespace", "pid_namespace", "user_namespace", "uts_namespace", "nsproxy",
          "mnt_cache", "mem_cgroup", "task_struct", "pid", "sock_inode_cache")  # fmt: skip
PATIENCE = 30.0


def main() -> None:
    """Be process 1: let a child do the work, and bury everybody who has no parent."""
    worker = os.fork()
    if not worker:
        name, count, parallel, directory, *runtime = sys.argv[1:]
        work(name, int(count), int(parallel), Path(directory), runtime)
        sys.stdout.flush()
        os._exit(0)
    while True:
        pid, status = os.wait()
        if pid == worker:
            os._exit(os.waitstatus_to_exitcode(status))


def work(name: str, count: int, parallel: int, directory: Path, runtime: list[str]) -> None:
    """Count, take containers through their lives, and count again."""
    run_dir = directory / "run"
    command = [*runtime, "--root", str(run_dir)]
    bundles = sorted(path.parent for path in directory.glob("*/config.json"))

    def cycles(first: int, last: int) -> None:
        def one(number: int) -> None:
            cycle(command, bundles[number % len(bundles)], f"{name}-{number}")

        list(pool.map(one, range(first, last)))

    with ThreadPoolExecutor(parallel) as pool:
        cycles(0, 2 * parallel)  # to find out what is kept, such as compiled filters
        before, machine = census(name, run_dir), kernel_objects()
        began = time.monotonic()
        cycles(2 * parallel, 2 * parallel + count)
        seconds = time.monotonic() - began
        after = census(name, run_dir)
        deadline = time.monotonic() + PATIENCE
        while after != before and time.monotonic() < deadline:
            # The kernel buries later, and looks for keys that nobody has when another one goes.
            cycle(command, bundles[0], f"one-more-than-{name}")
            time.sleep(0.1)
            after = census(name, run_dir)
        kernel = {"before": machine, "after": kernel_objects()}
    json.dump({"before": before, "after": after, "kernel": kernel, "seconds": seconds}, sys.stdout)


def cycle(command: list[str], bundle: Path, container_id: str) -> None:
    """Take one container from its creation to its end."""
    pid_file = bundle / f"{container_id}.pid"
    words = ("--bundle", str(bundle), "--pid-file", str(pid_file), container_id)
    call(command, "create", *words)
    pidfd = os.pidfd_open(int(pid_file.read_text()))
    pid_file.unlink()
    call(command, "start", container_id)
    call(command, "kill", container_id, "KILL")
    wait_for_end(pidfd)
    call(command, "delete", container_id)


def call(command: list[str], *words: str) -> None:
    """Run the runtime, which has to succeed; it inherits nothing that a container could keep."""
    null = subprocess.DEVNULL
    subprocess.run([*command, *words], stdin=null, stdout=null, check=True, timeout=60)


def wait_for_end(pidfd: int) -> None:
    """Wait until a process has ended."""
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    assert ended.poll(10_000)
    os.close(pidfd)


def census(name: str, run_dir: Path) -> dict[str, Any]:
    """Return what there is in these namespaces that a container could leave behind."""
    processes = [f"/proc/{entry}" for entry in os.listdir("/proc") if entry.isdecimal()]
    return {
        "processes": len(processes),
        "namespaces": sorted({link for place in processes for link in links(f"{place}/ns")}),
        "descriptors": sum(len(os.listdir(f"{place}/fd")) for place in processes),
        "mounts": sorted(Path("/proc/self/mountinfo").read_text().splitlines()),
        "cgroups": [
            os.path.join(place, entry)
            for hierarchy in cgroup.hierarchies()
            for place, names, _ in os.walk(hierarchy.mount_point)
            for entry in names
            if entry.startswith(name)
        ],
        "keys": Path("/proc/keys").read_text().count(f"_ses.{name}"),
        "files": sorted(
            os.path.join(place, entry)
            for top in ("/run", str(run_dir))
            for place, directories, files in os.walk(top)
            for entry in (*directories, *files)
        ),
    }


def links(directory: str) -> list[str]:
    """Return where the links in a directory of /proc lead."""
    try:
        return [os.readlink(f"{directory}/{entry}") for entry in os.listdir(directory)]
    except FileNotFoundError:  # a process that ends
        return []


def kernel_objects() -> dict[str, int]:
    """Return how much of some kinds the kernel has, on the whole machine."""
    found = {}
    for line in Path("/proc/slabinfo").read_text().splitlines()[2:]:
        name, active = line.split()[:2]
        if name in CACHES:
            found[name] = int(active)
    for line in Path("/proc/meminfo").read_text().splitlines():
        key, value = line.split()[:2]
        if key in ("MemFree:", "SUnreclaim:", "Slab:", "Percpu:"):
            found[key.rstrip(":")] = int(value)
    found["open files"] = int(Path("/proc/sys/fs/file-nr").read_text().split()[0])
    for line in Path("/proc/cgroups").read_text().splitlines()[1:]:
        name, _, number, _ = line.split()
        found[f"cgroups of {name}"] = int(number)
    return found


if __name__ == "__main__":
    main()
