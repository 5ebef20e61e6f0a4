"""Hundreds of containers, four at a time, leave the machine as it was.

KNARR_CYCLES says how many; `KNARR_CYCLES=1000 pytest -s` on this file takes less than a minute.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.runtimes import Bundle

if TYPE_CHECKING:
    from support.runtimes import Runtime

pytestmark = pytest.mark.root

COUNT = int(os.environ.get("KNARR_CYCLES", "160"))
PARALLEL = 4


def test_cycles_leave_everything_as_it_was(runtime: Runtime, tmp_path: Path) -> None:
    for number in range(2):
        furnish(Bundle(tmp_path / "bundles" / str(number)), own_users=number == 1).write()
    for parent in tmp_path.parents[:3]:  # for the users of a namespace
        parent.chmod(parent.stat().st_mode | 0o111)
    # In namespaces of its own, also with a /run of its own: other tests make containers.
    surroundings = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c"]
    script = """
        mount -t tmpfs run /run && mkdir /run/bundles /run/tmp &&
        mount --bind "$0" /run/bundles && TMPDIR=/run/tmp exec "$@"
    """
    module = [sys.executable, "-m", "support.cycles", f"t{os.getpid()}"]
    words = [*module, str(COUNT), str(PARALLEL), "/run/bundles", *runtime.command]
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [*surroundings, script, str(tmp_path / "bundles"), *words],
        env={**os.environ, "PYTHONPATH": f"{tests}:{tests.parent / 'src'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for kind, value in found["before"].items():
        assert found["after"][kind] == value, kind
    kernel = found["kernel"]
    grown = {name: kernel["after"][name] - value for name, value in kernel["before"].items()}
    print(f"{COUNT} cycles in {found['seconds']:.1f} s: {grown}")
    # Others use the machine, and open files come and go by the hundred with what else is tested;
    # but what every container left behind would be more namespaces than that.
    for name in ("net_namespace", "pid_namespace", "user_namespace"):
        assert grown[name] < COUNT // 2, (name, grown)


def furnish(bundle: Bundle, *, own_users: bool) -> Bundle:
    """Give the bundle something of everything that could be left behind."""
    bundle.command("sleep", "1000")
    bundle.namespace("cgroup")
    bundle.mount("/data", type="bind", source="/usr", options=["rbind", "ro"])
    bundle.mount("/scratch", type="tmpfs", source="tmpfs", options=["size=1m"])
    linux = bundle.spec["linux"]
    linux["resources"] |= {
        "memory": {"limit": 64 << 20},
        "pids": {"limit": 50},
        "cpu": {"shares": 512},
    }
    linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}],
    }
    bundle.spec["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
    if own_users:
        bundle.namespace("user")
        bundle.namespace("time")
        mapping = [{"containerID": 0, "hostID": 100000, "size": 1000}]
        linux["uidMappings"] = linux["gidMappings"] = mapping
        for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
            os.lchown(path, 100000, 100000)
    return bundle
