"""The story of an image and its containers, told with real commands and checked.

    python examples/demo

Needs root. Everything happens in a directory of its own below /var/tmp, which is removed at the
end; nothing else on the machine is touched. The exit status is 0 only if all of it is true.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import building
import containers
import images
from story import Mismatch, Story

import knarr


def main() -> int:
    if os.geteuid() != 0:
        print("demo: needs root", file=sys.stderr)
        return 1
    began = time.monotonic()
    before = left_behind()
    story = Story(tempfile.mkdtemp(prefix="knarr-demo-", dir="/var/tmp"))
    try:
        tell(story)
        end(story)
        story.check(left_behind() <= before, "no mount, link, control group or process is left")
    except Mismatch as mismatch:
        print(f"\ndemo: NOT SO: {mismatch}", file=sys.stderr)
        return 1
    finally:
        end(story)
        shutil.rmtree(story.directory, ignore_errors=True)
    print(f"\nAll {story.claims} claims hold; {time.monotonic() - began:.0f} seconds.")
    return 0


def tell(story: Story) -> None:
    building.get_base(story)
    building.build(story)
    building.look(story)
    port = containers.run(story)
    containers.look(story, port)
    containers.live(story)
    images.commit(story)
    images.carry(story)


def end(story: Story) -> None:
    """Remove every container and the network, whatever happened before."""
    root, run = story.environment["KNARR_ROOT"], story.environment["KNARR_RUN"]
    if not os.path.exists(root):
        return
    with contextlib.closing(knarr.Engine(root, run)) as engine:
        for container in engine.containers.all():
            container.remove(force=True, volumes=True)
        engine.tear_down()


def left_behind() -> set[str]:
    """Return mounts, network links, control groups and processes that knarr may have left."""
    mounts = {
        f"mount {line.split()[1]}"
        for line in Path("/proc/self/mounts").read_text().splitlines()
        if "knarr-demo" in line
    }
    links = {
        f"link {link.name}"
        for link in Path("/sys/class/net").iterdir()
        for alias in [link / "ifalias", link / "master" / "ifalias"]
        if alias.exists() and "knarr-demo" in alias.read_text()
    }
    processes = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes()
        except OSError:
            continue
        if b"knarr-demo" in command and int(entry.parent.name) != os.getpid():
            processes.add(f"process {command.decode(errors='replace')}")
    groups = {f"control group {path}" for path in Path("/sys/fs/cgroup").rglob("knarr-*")}
    return mounts | links | groups | processes


if __name__ == "__main__":
    sys.exit(main())
