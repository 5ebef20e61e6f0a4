"""Device rules as an eBPF program on a cgroup of version 2, whatever else the machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.linux import bpf, cgroup
from knarr.runtime.device_rules import ANY, Rule, compile_program

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.root


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Path]:
    unified = [h for h in cgroup.hierarchies() if h.version == 2]
    if not unified:
        pytest.skip("cgroup v2 is not mounted")
    directory = Path(unified[0].mount_point) / f"knarr-test-{os.getpid()}-{tmp_path.name}"
    directory.mkdir()
    yield directory
    directory.rmdir()


def attach(group: Path, rules: list[Rule]) -> None:
    descriptor = os.open(group, os.O_RDONLY | os.O_DIRECTORY)
    try:
        bpf.attach_device_program(descriptor, compile_program(rules))
    finally:
        os.close(descriptor)


def uses(group: Path) -> str:
    """Return which of some uses a process in the cgroup is allowed: a letter for each."""
    code = (
        "import os, sys\n"
        "open(sys.argv[1] + '/cgroup.procs', 'w').write('0')\n"
        "for letter, path, flags in (('n', 'null', 0), ('N', 'null', 1), ('z', 'zero', 0)):\n"
        "    try: os.open('/dev/' + path, flags); print(letter, end='')\n"
        "    except PermissionError: pass\n"
        "try: os.mknod(sys.argv[2], 0o20600, os.makedev(1, 3)); print('m', end='')\n"
        "except PermissionError: pass\n"
    )
    node = str(group).replace("/", "_") + ".node"
    place = Path("/tmp") / node
    words = [sys.executable, "-I", "-S", "-c", code, str(group), str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    place.unlink(missing_ok=True)
    return done.stdout


def rule(*, allow: bool, access: str, minor: int = ANY) -> Rule:
    kind = "a" if minor == ANY else "c"
    return Rule(
        allow=allow, kind=kind, major=ANY if minor == ANY else 1, minor=minor, access=access
    )


def test_program_decides_and_can_be_replaced(group: Path) -> None:
    assert uses(group) == "nNzm"
    attach(group, [rule(allow=False, access="rwm"), rule(allow=True, access="r", minor=3)])
    assert uses(group) == "n"
    attach(group, [rule(allow=False, access="rwm"), rule(allow=True, access="rwm", minor=3)])
    assert uses(group) == "nNm"
    attach(group, [rule(allow=True, access="rwm"), rule(allow=False, access="w", minor=3)])
    assert uses(group) == "nzm"
    descriptor = os.open(group, os.O_RDONLY)
    assert len(bpf.attached_device_programs(descriptor)) == 1
    os.close(descriptor)
