"""Rootfs and containers that want out: what they try, and that nothing of the host is touched."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.linux import cgroup
from support.runtimes import Bundle, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.root


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Give a directory of the host that must stay as it is."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "file").write_text("untouched")
    yield directory
    assert sorted(p.name for p in directory.iterdir()) == ["file"]
    assert (directory / "file").read_text() == "untouched"


def replace_by_link(path: Path, target: object) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.symlink_to(str(target))


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
def test_mount_points_that_are_links_out(
    runtime: Runtime, bundle: Bundle, outside: Path, name: str
) -> None:
    replace_by_link(bundle.rootfs / name, outside)
    done = runtime.run(bundle)
    if name == "dev":  # resolved inside the root, where it makes a directory of that name
        assert done.returncode == 0, done.stderr
    else:  # what programs trust is mounted on a real directory or not at all
        assert "must be mounted on ordinary directory" in done.stderr


@pytest.mark.parametrize("target", ["../../../../../..{}", "/proc/self/root{}", "{}"])
def test_bind_targets_through_links_stay_inside(
    runtime: Runtime, bundle: Bundle, outside: Path, tmp_path: Path, target: str
) -> None:
    (tmp_path / "source").write_text("mounted")
    (bundle.rootfs / "link").symlink_to(target.format(outside))
    bundle.mount("/link/file", type="bind", source=str(tmp_path / "source"), options=["bind", "ro"])
    done = runtime.run(bundle.command("cat /link/file"))
    assert done.stdout in ("mounted", ""), done.stdout


def test_devices_are_not_made_through_links(
    runtime: Runtime, bundle: Bundle, outside: Path
) -> None:
    bundle.spec["mounts"] = [m for m in bundle.spec["mounts"] if m["destination"] == "/proc"]
    replace_by_link(bundle.rootfs / "dev", outside)
    runtime.output(bundle.command("test -c /dev/null && test -c /dev/zero"))


def test_console_is_not_followed(runtime: Runtime, bundle: Bundle, outside: Path) -> None:
    bundle.spec["process"]["terminal"] = True
    bundle.mount("/dev", type="bind", source=str(bundle.directory / "dev"), options=["rbind"])
    (bundle.directory / "dev" / "pts").mkdir(parents=True)
    (bundle.directory / "dev" / "shm").mkdir()
    (bundle.directory / "dev" / "mqueue").mkdir()
    (bundle.directory / "dev" / "console").symlink_to(outside / "file")
    done = runtime.run(bundle.command("echo words > /dev/console"))
    assert done.returncode != 0 or "words" in done.stdout


def test_mask_does_not_trust_the_images_null(
    runtime: Runtime, bundle: Bundle, outside: Path
) -> None:
    """CVE-2025-31133: /dev/null as a link made a masked file show what it leads to."""
    bundle.spec["mounts"] = [m for m in bundle.spec["mounts"] if m["destination"] == "/proc"]
    (bundle.rootfs / "dev" / "null").symlink_to("/proc/sysrq-trigger")
    bundle.spec["linux"]["maskedPaths"] = ["/etc/passwd"]
    done = runtime.run(bundle.command("stat -c '%t:%T' /etc/passwd"))
    # The link is in the way of the device, which is refused; with a /dev of its own it is masked.
    assert "something else is there" in done.stderr or done.stdout == "1:3\n"


def test_masked_paths_through_links_stay_inside(
    runtime: Runtime, bundle: Bundle, outside: Path
) -> None:
    (bundle.rootfs / "out").symlink_to(outside)
    bundle.spec["linux"]["maskedPaths"] = ["/out/file", "/proc/self/root/etc/passwd"]
    bundle.spec["linux"]["readonlyPaths"] = ["/out"]
    runtime.run(bundle)


@pytest.mark.parametrize("place", ["/proc", "/proc/self/attr", "/proc/sys", "/x/../proc/sys"])
def test_proc_cannot_be_covered(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, place: str
) -> None:
    """CVE-2019-16884, CVE-2025-52881: a fake /proc/self/attr took what was meant for the kernel."""
    (tmp_path / "fake").mkdir()
    bundle.mount(place, type="bind", source=str(tmp_path / "fake"), options=["bind"])
    assert "must not be covered" in runtime.run(bundle).stderr


def test_figures_in_proc_can_be_covered(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "uptime").write_text("fake")
    uptime = str(tmp_path / "uptime")
    bundle.mount("/proc/uptime", type="bind", source=uptime, options=["bind"])
    assert runtime.output(bundle.command("cat /proc/uptime")) == "fake"


def test_sysctls_are_not_written_into_a_fake_proc(
    runtime: Runtime, bundle: Bundle, outside: Path
) -> None:
    bundle.spec["mounts"] = [m for m in bundle.spec["mounts"] if m["destination"] != "/proc"]
    place = bundle.rootfs / "proc" / "sys" / "net" / "ipv4"
    place.mkdir(parents=True)
    (place / "ip_forward").symlink_to(outside / "file")
    bundle.spec["linux"]["maskedPaths"] = bundle.spec["linux"]["readonlyPaths"] = []
    bundle.spec["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    bundle.spec["process"]["oomScoreAdj"] = 5
    runtime.output(bundle)


@pytest.mark.parametrize("number", range(3, 12))
def test_no_leaked_descriptor_as_working_directory(
    runtime: Runtime, bundle: Bundle, number: int
) -> None:
    """CVE-2024-21626."""
    bundle.spec["process"]["cwd"] = f"/proc/self/fd/{number}"
    bundle.command("cat etc/hostname ../../../etc/hostname")
    script = 'exec "$@" 7</ 8</sys/fs/cgroup'
    words = ["--root", str(runtime.root), "run", "--bundle", str(bundle.write()), runtime.new_id()]
    command = ["sh", "-c", script, "sh", *runtime.command, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stdout == ""


def test_exec_with_a_leaked_descriptor_as_working_directory(
    runtime: Runtime, bundle: Bundle
) -> None:
    container_id = runtime.start(bundle.command("sleep", "100"))
    for number in range(3, 14):
        done = runtime.call("exec", "--cwd", f"/proc/self/fd/{number}", container_id, "ls")
        assert done.returncode != 0, number


@pytest.mark.parametrize("script", [False, True], ids=["program", "script"])
def test_own_interpreter_is_no_program(runtime: Runtime, bundle: Bundle, script: bool) -> None:
    """CVE-2019-5736."""
    if script:
        (bundle.rootfs / "x").write_text("#!/proc/self/exe\n")
        (bundle.rootfs / "x").chmod(0o755)
    bundle.command("/x" if script else "/proc/self/exe", "-c", "print(1)")
    done = runtime.run(bundle)
    assert "permission denied" in done.stderr
    container_id = runtime.start(bundle.command("sleep", "100"))
    done = runtime.call("exec", container_id, "/x" if script else "/proc/self/exe")
    assert "permission denied" in done.stderr


def test_exec_cannot_be_looked_into(runtime: Runtime, bundle: Bundle) -> None:
    """A process inside reads /proc/<pid>/exe of everything that comes in, and never gets ours."""
    watch = (
        "while :; do for p in /proc/[0-9]*; do"
        " l=$(readlink $p/exe); case $l in *python*) echo $l >> /tmp/seen;; esac;"
        " done; done"
    )
    container_id = runtime.start(bundle.command(watch))
    for _ in range(10):
        assert runtime.call("exec", container_id, "true").returncode == 0
    assert not (bundle.rootfs / "tmp" / "seen").exists()


def test_rootfs_that_would_be_imported_from(runtime: Runtime, bundle: Bundle) -> None:
    """Init has lost its search path before it is inside: a planted module is never run."""
    library = Path(os.__file__).parent
    place = bundle.rootfs / library.relative_to("/")
    place.mkdir(parents=True)
    for name in ("traceback", "json", "re", "socket", "linecache"):
        (place / f"{name}.py").write_text("open('/planted', 'w').close()")
    bundle.spec["process"]["cwd"] = "/nosuch/\x7f"
    bundle.mount("/x", type="nosuchfs", source="none")
    runtime.run(bundle)
    bundle.spec["mounts"].pop()
    runtime.run(bundle.command("/nosuch/program", "x"))
    assert not (bundle.rootfs / "planted").exists()


def mounts_of(bundle: Bundle) -> list[str]:
    """Return the mounts that the host sees below a bundle."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if str(bundle.directory) in line]


def left_behind(name: str) -> dict[str, int]:
    """Count what containers whose IDs begin with `name` could leave behind."""
    groups = sum(
        entry.startswith(name)
        for h in cgroup.hierarchies()
        for _, names, _ in os.walk(h.mount_point)
        for entry in names
    )
    ps = subprocess.run(["ps", "-e", "-o", "args="], capture_output=True, text=True, check=True)
    return {
        "groups": groups,
        "keys": Path("/proc/keys").read_text().count(f"_ses.{name}"),
        "processes": ps.stdout.count("/bin/cycled"),
    }


CYCLES = """
import os, sys
sys.path.insert(0, sys.argv[1])
from knarr.runtime import members
from knarr.runtime.create import Request, create
from knarr.util import jsontext

spec = jsontext.loads(open(sys.argv[2] + "/config.json").read())

def cycle(n):
    init = create(Request(f"{sys.argv[3]}-{n}", sys.argv[2], spec))
    init.start()
    os.waitid(os.P_PIDFD, init.pidfd, os.WEXITED)
    members.delete(init.group)
    os.close(init.pidfd)

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

cycle(0)
before = len(os.listdir("/proc/self/fd")), resident()
for n in range(1, 50):
    cycle(n)
after = len(os.listdir("/proc/self/fd")), resident()
print(before[0], after[0], after[1] - before[1])
"""


def test_fifty_containers_leave_nothing(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """In one process, as a supervisor would with a program that keeps restarting."""
    bundle.command("/bin/cycled", "x")
    (bundle.rootfs / "bin" / "cycled").write_text("#!/bin/sh\nsleep 1000 & exit 0\n")
    (bundle.rootfs / "bin" / "cycled").chmod(0o755)
    source = str(Path(__file__).parents[2] / "src")
    name = f"t50-{os.getpid()}"
    before = left_behind(name)
    words = [sys.executable, "-I", "-S", "-c", CYCLES, source, str(bundle.write()), name]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    opened, still_open, pages = map(int, done.stdout.split())
    assert opened == still_open
    assert pages < 128  # half a megabyte
    deadline = time.monotonic() + 5
    while left_behind(name) != before and time.monotonic() < deadline:  # keys linger
        time.sleep(0.1)
    assert left_behind(name) == before
    assert mounts_of(bundle) == []


def test_containers_killed_half_way_leave_no_mounts(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.new_id()
    words = ["run", "--bundle", str(bundle.command("sleep", "100").write()), container_id]
    environment = {**os.environ, "KNARR_TRACE": "runtime.create:forked=kill"}
    command = [*runtime.command, "--root", str(runtime.root), *words]
    done = subprocess.run(command, env=environment, check=False, capture_output=True)
    assert done.returncode == -9
    assert mounts_of(bundle) == []
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:  # init notices that its parent is gone
        ps = subprocess.run(["ps", "-e", "-o", "args"], capture_output=True, text=True, check=True)
        if container_id not in ps.stdout:
            break
    assert container_id not in ps.stdout
    assert runtime.call("delete", container_id).returncode == 0
    assert left_behind(container_id) == {"groups": 0, "keys": 0, "processes": 0}
    assert runtime.run(bundle.command("true")).returncode == 0


def test_interpreter_of_an_exec_cannot_be_written_to(tmp_path: Path) -> None:
    """Whoever gets a descriptor of it keeps one that can never be written through."""
    from knarr.runtime import shield

    copy = tmp_path / "busybox"
    copy.write_bytes(Path("/bin/busybox").read_bytes())
    copy.chmod(0o755)
    descriptor = shield.open_interpreter(str(copy))
    path = shield.executable_path(descriptor)
    held = {}
    for name, program in (("covered", path), ("bare", str(copy))):
        with subprocess.Popen(["sleep", "100"], executable=program, close_fds=False) as child:
            held[name] = os.open(f"/proc/{child.pid}/exe", os.O_RDONLY)
            child.kill()
    os.close(descriptor)
    os.close(os.open(f"/proc/self/fd/{held['bare']}", os.O_RDWR))
    with pytest.raises(OSError, match="Read-only file system"):
        os.open(f"/proc/self/fd/{held['covered']}", os.O_RDWR)
    for each in held.values():
        os.close(each)


def test_exec_takes_cover(runtime: Runtime, bundle: Bundle) -> None:
    """With CAP_SYS_PTRACE a container sees the interpreter that comes in, and cannot harm it."""
    sets = ("bounding", "effective", "permitted")
    names = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"]
    bundle.spec["process"]["capabilities"] = dict.fromkeys(sets, names)
    bundle.spec["process"]["noNewPrivileges"] = False
    watch = "while :; do for p in /proc/[0-9]*; do readlink $p/exe >> /tmp/seen; done; done"
    container_id = runtime.start(bundle.command(watch))
    for _ in range(20):
        assert runtime.call("exec", container_id, "true").returncode == 0
    seen = (bundle.rootfs / "tmp" / "seen").read_text().splitlines()
    assert not [line for line in seen if "python" in line]
