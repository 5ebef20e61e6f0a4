"""What a container that is hostile to its host tries, and what comes of it: nothing.

Attacks on the making of a container, below the command line, are in test_runtime_attacks.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import stat
import sys
import time
from pathlib import Path

import pytest

from knarr.errors import KnarrError
from knarr.linux import cgroup
from knarr.oci.config import RunConfig
from support.archives import archive
from support.engine import Knarr

pytestmark = pytest.mark.root
RUN = ("run", "--rm", "--network", "none")
GENEROUS = ("--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined")


def inside(knarr: Knarr, script: str, *options: str, image: str = "busybox") -> str:
    """Return what a shell script says in a container of its own."""
    return knarr(*RUN, *options, image, "sh", "-c", script)


def start(knarr: Knarr, script: str, *options: str, image: str = "busybox") -> int:
    """Start a container called one, wait until it made /ready, and return its process ID."""
    run = ("run", "-d", "--name", "one", "--network", "none", *options, image)
    knarr(*run, "sh", "-c", f"{script}\n touch /ready; while :; do sleep 9; done")
    container = knarr.engine.containers.get("one")
    ready = f"{knarr.engine.paths.container(container.id)}/upper/ready"
    knarr.wait_until(lambda: os.path.exists(ready))
    return container.state.pid


def release_agents() -> dict[str, str]:
    paths = [f"{each.mount_point}/release_agent" for each in cgroup.hierarchies()]
    return {path: Path(path).read_text() for path in paths if os.path.exists(path)}


def test_release_agent_is_out_of_reach(knarr: Knarr) -> None:
    """CVE-2022-0492: by a cgroup mount of its own, in a user namespace of its own."""
    before = release_agents()
    script = """
        for f in $(find /sys/fs/cgroup -name release_agent 2>/dev/null); do
            (echo /evil > $f) 2>/dev/null && echo wrote $f
        done
        try='mkdir -p /tmp/c; for k in memory pids rdma misc; do
            mount -t cgroup -o $k none /tmp/c 2>/dev/null || continue
            (echo /evil > /tmp/c/release_agent) 2>/dev/null && echo wrote $k
            umount /tmp/c; done; true'
        sh -c "$try"
        unshare -Urm sh -c "$try" 2>/dev/null
        unshare -UrmC sh -c "$try" 2>/dev/null
        echo end"""
    assert inside(knarr, script) == "end\n"
    assert inside(knarr, script, *GENEROUS) == "end\n"
    assert inside(knarr, script, *GENEROUS, "--userns", "auto") == "end\n"
    assert release_agents() == before


def test_a_fork_bomb_is_contained(knarr: Knarr) -> None:
    pid = start(knarr, "(b() { b | b & }; b) 2>/dev/null & true", "--pids-limit", "40")
    place = next(h for h in cgroup.hierarchies(pid) if "pids" in h.controllers)
    peak = 0
    for _ in range(20):
        peak = max(peak, int(Path(f"{place.directory(place.own)}/pids.current").read_text()))
        time.sleep(0.02)
    assert 1 < peak <= 40
    began = time.monotonic()
    knarr("rm", "-f", "one")
    assert time.monotonic() - began < 5


def test_memory_file_systems_are_limited(knarr: Knarr) -> None:
    script = """
        dd if=/dev/zero of=/dev/shm/big bs=1M count=100 2>&1 | grep -c 'No space left'
        du -k /dev/shm/big | cut -f1
        dd if=/dev/zero of=/dev/big bs=1M count=100 2>&1 | grep -c 'No space left'"""
    assert inside(knarr, script, "--shm-size", "2m") == "1\n2048\n1\n"


def test_open_files_are_limited(knarr: Knarr) -> None:
    script = """
        i=3; while [ $i -lt 100000 ] && eval "exec $i</dev/null" 2>/dev/null; do i=$((i+1)); done
        echo $i"""
    done = knarr.do(*RUN, "--ulimit", "nofile=64:64", "busybox", "sh", "-c", script)
    assert done.returncode != 0 or int(done.stdout) <= 64
    pid = start(knarr, "true", "--ulimit", "nofile=64:64")
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (line,) = (line for line in limits if line.startswith("Max open files"))
    assert line.split()[3:5] == ["64", "64"]
    found = knarr("exec", "one", "sh", "-c", "ulimit -n 1000 2>/dev/null; ulimit -n")
    assert found == "64\n"


def test_a_million_open_files_are_the_container_s_memory(knarr: Knarr) -> None:
    """Where the limits of descriptors allow that many, that of memory counts what they take."""
    code = """
import os
total = 0
while total < 1_000_000:
    try:
        total += len(os.pipe())
    except OSError:  # more than one process may have
        print(total, flush=True)
        if (child := os.fork()):
            os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0x7f)
        os.closerange(3, 1 << 30)
"""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    own = ("/usr", "/lib", "/lib64", sys.base_prefix)
    binds = [word for path in own if os.path.isdir(path) for word in ("-v", f"{path}:{path}:ro")]
    words = ("--ulimit", f"nofile={hard}:{hard}", "-m", "32m", "--memory-swap", "32m")
    program = f"{sys.base_prefix}/bin/python3"
    before = open_files()
    done = knarr.do("run", "--name", "one", "--network", "none", *words, *binds, "busybox",
                    program, "-I", "-S", "-c", code)  # fmt: skip
    assert done.returncode != 0, done
    assert all(int(total) < 500_000 for total in done.stdout.split())
    assert knarr("inspect", "-f", "{{.State.OOMKilled}}", "one") == "true\n"
    knarr.wait_until(lambda: open_files() < before + 10_000)


def open_files() -> int:
    return int(Path("/proc/sys/fs/file-nr").read_text().split()[0])


def test_who_ignores_signals_ends_all_the_same(knarr: Knarr) -> None:
    ignore = f"trap '' {' '.join(str(n) for n in range(1, 32) if n not in (9, 19))}"
    start(knarr, f"{ignore}; (sh -c 'while :; do sleep 9; done' &)")
    began = time.monotonic()
    knarr("stop", "-t", "1", "one")
    assert 1 <= time.monotonic() - began < 5
    assert knarr.engine.containers.get("one").state.exit_code == 137


def test_targets_of_volumes_stay_inside(knarr: Knarr, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    links = {"data": str(outside), "up": "/", "proc-link": "/proc/1/root"}
    knarr.add_image("links", links=links)
    for target in ("/data", f"/up{outside}", f"/proc-link{outside}", "/data/made"):
        options = ("-v", f"vol:{target}", "-v", f"{target}-anonymous")
        script = "touch $0/mine 2>/dev/null; true"
        knarr.do(*RUN, *options, "links", "sh", "-c", script, target)
        assert os.listdir(outside) == []
    knarr("volume", "rm", "vol")


@pytest.mark.parametrize(
    "place", ["/data", "/up{}", "up{}", "../../../..{}", "/a/../../../../..{}", "/deep/er/x"]
)
def test_volumes_that_an_image_declares_stay_inside(
    knarr: Knarr, tmp_path: Path, place: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("of the host")
    links = {"data": str(outside), "up": "/", "deep": "/proc/1/root"}
    config = RunConfig(volumes=(place.format(outside),), env=("PATH=/bin",))
    knarr.add_image("links", links=links, config=config)
    done = knarr.do(*RUN, "links", "sh", "-c", "cat /data/secret; find / -xdev -name secret")
    assert "of the host" not in done.stdout
    assert "Traceback" not in done.stderr
    assert os.listdir(outside) == ["secret"]
    assert mounts_of_the_host(tmp_path) == []
    assert knarr("volume", "ls", "-q") == ""


@pytest.mark.parametrize("place", ["/proc", "/proc/sys", "/proc/self", "/proc/sysrq-trigger"])
def test_no_volume_covers_what_programs_trust(knarr: Knarr, place: str) -> None:
    config = RunConfig(volumes=(place,), env=("PATH=/bin",))
    knarr.add_image("covers", config=config)
    for words in (("covers",), ("-v", f"vol:{place}", "busybox")):
        said = knarr.fails(*RUN, *words, "true", status=125)
        assert "proc" in said


def mounts_of_the_host(place: Path) -> list[str]:
    with open("/proc/self/mountinfo") as file:
        return [line for line in file if str(place) in line]


def test_parts_of_volumes_stay_inside(knarr: Knarr, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("of the host")
    script = f"mkdir /v/sub; touch /v/sub/f; ln -s {secret} /v/out; ln -s ../../../../../.. /v/up"
    inside(knarr, script, "-v", "vol:/v")
    mount = "type=volume,src=vol,dst=/m,volume-subpath="
    assert inside(knarr, "ls /m", "--mount", f"{mount}sub") == "f\n"
    for part in ("out", f"up{secret}", "nowhere"):
        words = knarr.fails(*RUN, "--mount", f"{mount}{part}", "busybox", "ls", "/m", status=125)
        assert f"cannot mount {part} of " in words
    words = knarr.fails(*RUN, "--mount", f"{mount}../..", "busybox", "ls", "/m", status=125)
    assert "subpath must be a relative path within the volume" in words
    knarr("volume", "rm", "vol")


def test_a_working_directory_behind_a_link_stays_inside(knarr: Knarr, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    knarr.add_image("links", links={"out": str(outside), "up": "/"})
    for place in (f"/up{outside}", "/out/made", "/up/made"):
        done = knarr.do(*RUN, "-w", place, "links", "sh", "-c", "touch mine; pwd -P")
        assert "Traceback" not in done.stderr
        assert os.listdir(outside) == []
        assert not os.path.exists("/made")
    start(knarr, "true", image="links")
    for place in ("/out", f"/up{outside}"):
        done = knarr.do("exec", "-w", place, "one", "sh", "-c", "touch mine; pwd -P")
        assert "Traceback" not in done.stderr
        assert os.listdir(outside) == []


@pytest.mark.parametrize(
    "prepare",
    [
        "mkfifo /etc/passwd",
        "mkfifo /etc/passwd; (sleep 99 > /etc/passwd &) ",
        "ln -s /etc/passwd /etc/passwd",
        "ln -s /proc/self/environ /etc/passwd",
        "ln -s /proc/1/root/../../../etc/passwd /etc/passwd",
        "mkdir /etc/passwd",
        "ln -s /dev/zero /etc/passwd",
        "mknod /etc/passwd c 10 130",
        "head -c 8000000 /dev/zero | tr '\\0' ':' > /etc/passwd",
        "yes x:x:0:0:::: | head -c 9000000 > /etc/passwd",
        "echo x:x:$(head -c 9000 /dev/zero | tr '\\0' 9):0:::: > /etc/passwd",
        "ln -s etc2/passwd /etc/passwd; ln -s /etc /etc/etc2",
        "printf 'bin:\\377\\376:5:5::/:\\n' > /etc/passwd",
    ],
    ids=["fifo", "held-fifo", "loop", "proc-self", "proc-root", "directory", "zero", "device",
         "colons", "lines", "digits", "link-loop", "bytes"],
)  # fmt: skip
def test_hostile_accounts(knarr: Knarr, prepare: str) -> None:
    start(knarr, f"rm -f /etc/passwd; {prepare}")
    began = time.monotonic()
    who = ("grep", "^Uid", "/proc/self/status")  # id would read the file itself
    assert knarr("exec", "-u", "5:6", "one", *who).split()[1:] == ["5"] * 4
    done = knarr.do("exec", "-u", "root-of-the-host", "one", *who)
    assert done.returncode != 0
    assert "unable to find user root-of-the-host" in done.stderr
    assert time.monotonic() - began < 5


def test_nobody_becomes_root_by_a_number_that_means_no_change(knarr: Knarr) -> None:
    lines = "last:x:4294967295:4294967295::/:\nminus:x:-1:-1::/:\nhuge:x:8589934592:0::/:\n"
    knarr.add_image("accounts", files={"etc/passwd": lines}, config=RunConfig(env=("PATH=/bin",)))
    for name in ("last", "minus", "huge", "4294967295"):
        words = knarr.fails(*RUN, "-u", name, "accounts", "id", status=125)
        assert "must be in range 0-2147483647" in words or "unable to find user" in words


def test_capabilities_do_not_leak_into_execs(knarr: Knarr) -> None:
    start(knarr, "true", "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN")
    script = "grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status | cut -f2 | sort -u"
    assert knarr("exec", "-u", "1000", "one", "sh", "-c", script) == "0000000000000000\n"
    found = knarr("exec", "--privileged", "-u", "1000", "one", "sh", "-c", script)
    assert found == "0000000000000000\n"
    ambient = "grep -E '^Cap(Inh|Amb)' /proc/self/status | cut -f2 | sort -u"
    assert knarr("exec", "one", "sh", "-c", ambient) == "0000000000000000\n"


def test_exec_into_a_container_that_hides_its_proc(knarr: Knarr) -> None:
    hide = "mount -t tmpfs none /proc; mkdir -p /proc/self/attr /proc/1/ns; ln -s / /proc/self/fd"
    start(knarr, hide, "--cap-add", "SYS_ADMIN", *GENEROUS)
    done = knarr.do("exec", "-u", "7", "one", "id", "-u")
    assert "Traceback" not in done.stderr
    assert done.stdout in ("7\n", "")


def test_who_may_trace_sees_nothing_of_the_host_come_in(knarr: Knarr) -> None:
    """CVE-2019-5736 and CVE-2016-9962: what enters is inside, and not to be overwritten.

    With CAP_SYS_PTRACE a container may look into a process that comes in before it has become the
    program. It must not find one that still has the host's files, nor our interpreter writable.
    """
    watch = """
        own=$(readlink /proc/self/ns/mnt)
        (while :; do for p in /proc/[0-9]*; do
            there=$(readlink $p/ns/mnt) && [ "$there" != "$own" ] && echo "mounts $there"
            case $(readlink $p/exe) in *python*) echo "interpreter";; esac
        done; done > /seen 2>/dev/null) &"""
    start(knarr, watch, "--cap-add", "SYS_PTRACE", *GENEROUS)
    for _ in range(25):
        assert knarr("exec", "one", "echo", "came") == "came\n"
    upper = knarr.engine.paths.container(knarr.engine.containers.get("one").id) + "/upper"
    assert Path(f"{upper}/seen").read_text() == ""
    # Nor when the watcher is there before the other container's init.
    joined = ("--pid", "container:one", "busybox", "true")
    for _ in range(5):
        knarr("run", "--rm", "--network", "none", *joined)
    seen = set(Path(f"{upper}/seen").read_text().split("\n"))
    assert "interpreter" not in seen


def test_interpreters_that_enter_cannot_be_written_to(knarr: Knarr) -> None:
    """CVE-2019-5736: not even by root of the host, through /proc."""
    start(knarr, "true")
    directory = knarr.engine.paths.container(knarr.engine.containers.get("one").id)
    pid = json.loads(Path(f"{directory}/task.json").read_text())["supervisor_pid"]
    assert Path(f"/proc/{pid}/comm").read_text() == "knarr-supervise\n"
    held = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
    knarr("rm", "-f", "one")
    with pytest.raises(OSError, match=r"Read-only file system|Text file busy"):
        os.open(f"/proc/self/fd/{held}", os.O_RDWR)
    assert os.fstatvfs(held).f_flag & os.ST_RDONLY
    os.close(held)


def test_nodes_of_the_host_are_no_use(knarr: Knarr) -> None:
    script = """
        mknod /tmp/mem c 1 1; mknod /tmp/port c 1 4; mknod /tmp/kmsg c 1 11; mknod /tmp/disk b 254 0
        mknod /tmp/loop b 7 0
        for f in /tmp/*; do (: < $f) 2>/dev/null && echo read $f; (: > $f) 2>/dev/null && echo $f
        done; true"""
    assert inside(knarr, script) == ""
    assert inside(knarr, script, "--cap-add", "ALL", *GENEROUS) == ""


def test_setuid_programs_gain_nothing_without_new_privileges(knarr: Knarr) -> None:
    start(knarr, "cp /bin/busybox /grep; chmod 4755 /grep; true", "--security-opt",
          "no-new-privileges")  # fmt: skip
    upper = knarr.engine.paths.container(knarr.engine.containers.get("one").id) + "/upper"
    assert os.stat(f"{upper}/grep").st_mode & stat.S_ISUID
    found = knarr("exec", "-u", "1000", "one", "/grep", "^Uid", "/proc/self/status")
    assert found.split()[1:] == ["1000"] * 4


# What a file may be that is to be executed: a pipe, a socket's name, and an ELF file whose table
# of headers is nowhere (at 2^64 - 1) and as long as there are numbers.
_NOWHERE = r"\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\076\0\1\0\0\0" + r"\377" * 100
_LONG = r"\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\076\0\1\0\0\0" + r"\0" * 16 + r"\377" * 16


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        ("mkfifo /x", "permission denied"),
        ("mkfifo /p; printf '#!/p\\n' > /x", "permission denied"),
        ("mkdir /x", "directory"),
        (f"printf '{_NOWHERE}' > /x", "exec"),
        (f"printf '{_LONG}' > /x", "exec"),
        (r"printf '#!\377\377 x\n' > /x", "no such file"),
        ("printf '#!/x\\n' > /x", ""),
    ],
    ids=["pipe", "script-of-a-pipe", "directory", "nowhere", "long", "bytes", "itself"],
)
def test_programs_that_are_none(knarr: Knarr, prepare: str, says: str) -> None:
    """Saying why a program does not start holds nobody up and breaks nothing."""
    knarr("run", "--name", "made", "busybox", "sh", "-c", f"{prepare}; chmod 755 /x")
    knarr("commit", "made", "hostile")
    done = knarr.do("run", "--name", "one", "hostile", "/x", timeout=20)
    assert done.returncode in (125, 126, 127), done
    assert "supervisor ended" not in done.stderr
    assert "internal error" not in done.stderr
    assert says in done.stderr.lower()
    explained = knarr.do("explain", "one", timeout=20)
    assert "internal error" not in explained.stderr
    knarr("rm", "-f", "one")
    knarr("run", "-d", "--name", "two", "hostile", "sleep", "60")
    entered = knarr.do("exec", "two", "/x", timeout=20)
    assert entered.returncode in (126, 127), entered
    assert "internal error" not in entered.stderr


def test_copying_into_a_directory_that_comes_and_goes(knarr: Knarr, tmp_path: Path) -> None:
    """CVE-2018-15664: a directory is exchanged for a link to the host while files are copied."""
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    script = f"""mkdir -p /d /v/d; ln -s {outside} /l; ln -s {"../" * 20}{outside} /v/l
        while :; do
            mv /d /m; mv /l /d; mv /d /l; mv /m /d
            mv /v/d /v/m; mv /v/l /v/d; mv /v/d /v/l; mv /v/m /v/d
        done"""
    knarr("run", "-d", "--name", "mean", "-v", "vol:/v", "busybox", "sh", "-c", script)
    container = knarr.engine.containers.get("mean")
    packed = archive("\n".join(f"dir f{n}\nfile f{n}/g data=x" for n in range(20))).read()
    copied, end = 0, time.monotonic() + 3
    while time.monotonic() < end:
        for place in ("/d", "/v/d"):
            with contextlib.suppress(KnarrError, OSError):
                container.archive_put(place, io.BytesIO(packed))
                copied += 1
            with contextlib.suppress(KnarrError, OSError):
                container.archive_get(place, io.BytesIO())
    assert copied > 10
    assert os.listdir(outside) == []
