"""Rootfs that change while a container is made of them, to get at the host in between."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from support.runtimes import Bundle, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.root

ROUNDS = 25
# Exchanges two names as fast as it can: renameat2(2) with RENAME_EXCHANGE.
EXCHANGE = """
import ctypes, os, sys
one, other = (os.fsencode(name) for name in sys.argv[1:])
rename = ctypes.CDLL(None).renameat2
if rename(-100, one, -100, other, 2):
    raise OSError
print("ready", flush=True)
while True:
    rename(-100, one, -100, other, 2)
"""


@contextmanager
def exchanging(one: Path, other: Path) -> Iterator[None]:
    """Let two names of a rootfs be exchanged all the time."""
    words = [sys.executable, "-I", "-S", "-c", EXCHANGE, str(one), str(other)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as attacker:
        assert attacker.stdout
        assert attacker.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            attacker.kill()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Give a directory of the host in which nothing may happen."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "file").write_text("of the host")
    yield directory
    assert [path.name for path in directory.iterdir()] == ["file"]
    assert (directory / "file").read_text() == "of the host"


@pytest.fixture
def swapped(bundle: Bundle, outside: Path) -> Iterator[str]:
    """Give a name in the rootfs that is now a directory, now a link to one of the host."""
    (bundle.rootfs / "a").mkdir()
    (bundle.rootfs / "a" / "file").write_text("of the rootfs")
    (bundle.rootfs / "b").symlink_to(f"../../../../../../../..{outside}")
    with exchanging(bundle.rootfs / "a", bundle.rootfs / "b"):
        yield "/a"


def outcomes(runtime: Runtime, bundle: Bundle) -> list[str]:
    """Return what those containers print that come to be, made of a bundle one after the other."""
    done = [runtime.run(bundle) for _ in range(ROUNDS)]
    assert not [each for each in done if "Traceback" in each.stderr]
    found = [each.stdout for each in done if each.returncode == 0]
    assert not [text for text in found if "of the host" in text]
    return found


def test_a_mount_behind_a_link_that_comes_and_goes(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, swapped: str
) -> None:
    """CVE-2021-30465: a volume must not come to lie on the host's files, out of the root."""
    source = tmp_path / "volume-of-the-test"
    source.mkdir()
    bundle.mount(f"{swapped}/deep", type="bind", source=str(source), options=["bind"])
    bundle.command("cat /a/file /b/file 2>/dev/null; cat /proc/self/mountinfo")
    found = outcomes(runtime, bundle)
    assert found
    for text in found:
        assert text.count("/volume-of-the-test ") == 1, text


def test_directories_made_behind_a_link_that_comes_and_goes(
    runtime: Runtime, bundle: Bundle, swapped: str
) -> None:
    """CVE-2024-45310: the directories and files that mounts, devices and the program need."""
    for number in range(3):
        place = f"{swapped}/{number}/made/deep"
        bundle.mount(place, type="tmpfs", source="tmpfs", options=[])
        bundle.mount(f"{swapped}/file{number}", type="bind", source="/dev/null", options=["bind"])
    device = {"path": f"{swapped}/device", "type": "c", "major": 1, "minor": 3}
    bundle.spec["linux"]["devices"] = [device]
    bundle.spec["process"]["cwd"] = f"{swapped}/cwd/made"
    bundle.command("cat /a/file /b/file 2>/dev/null; true")
    outcomes(runtime, bundle)


def test_masks_behind_a_link_that_comes_and_goes(
    runtime: Runtime, bundle: Bundle, swapped: str
) -> None:
    """CVE-2025-31133: what covers a file lies inside the root; the host's stays as it is."""
    bundle.spec["linux"]["maskedPaths"] = [f"{swapped}/file"]
    bundle.spec["linux"]["readonlyPaths"] = [swapped]
    bundle.command("cat /a/file /b/file 2>/dev/null; true")
    outcomes(runtime, bundle)


def test_the_console_that_is_exchanged(runtime: Runtime, bundle: Bundle, outside: Path) -> None:
    """CVE-2025-52565: /dev/console as a link, while the terminal is mounted on it."""
    device = bundle.directory / "dev"
    for name in ("pts", "shm", "mqueue"):
        (device / name).mkdir(parents=True, exist_ok=True)
    (device / "console").touch()
    (device / "link").symlink_to(outside / "file")
    bundle.mount("/dev", type="bind", source=str(device), options=["rbind"])
    bundle.spec["process"]["terminal"] = True
    bundle.command("echo words > /dev/console; true")
    with exchanging(device / "console", device / "link"):
        outcomes(runtime, bundle)


def test_proc_behind_a_link_that_comes_and_goes(
    runtime: Runtime, bundle: Bundle, outside: Path
) -> None:
    """CVE-2025-52881: what init writes to /proc lands in the kernel's, or nothing runs."""
    proc = bundle.rootfs / "proc"
    for name in ("self/attr", "sys/net/ipv4"):
        (outside.parent / "fake" / name).mkdir(parents=True)
    fake = outside.parent / "fake"
    (fake / "sys/net/ipv4/ip_forward").symlink_to(outside / "file")
    (fake / "self/oom_score_adj").symlink_to(outside / "file")
    (bundle.rootfs / "proc2").symlink_to(f"../../../../../../../..{fake}")
    bundle.spec["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    bundle.spec["process"]["oomScoreAdj"] = 7
    # The name may lead elsewhere meanwhile; where it leads to the kernel's, that was told.
    bundle.command("cat /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj 2>/dev/null; true")
    with exchanging(proc, bundle.rootfs / "proc2"):
        found = outcomes(runtime, bundle)
    assert set("".join(found).split()) <= {"1", "7"}
