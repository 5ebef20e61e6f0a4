"""What a container is given and what is kept from it, looked at from inside."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from knarr.oci.config import RunConfig
from support.engine import Knarr

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.root


def inside(knarr: Knarr, script: str, *options: str, image: str = "busybox") -> str:
    """Return what a shell script says in a container of its own."""
    return knarr("run", "--rm", "--network", "none", *options, image, "sh", "-c", script)


def test_namespaces_are_the_containers_own(knarr: Knarr) -> None:
    names = ("mnt", "pid", "uts", "ipc", "net", "cgroup")
    found = inside(knarr, f"for n in {' '.join(names)}; do readlink /proc/self/ns/$n; done")
    for name, line in zip(names, found.split(), strict=True):
        assert line != os.readlink(f"/proc/self/ns/{name}")


def test_it_sees_its_own_processes_alone(knarr: Knarr) -> None:
    assert inside(knarr, "echo $$; ls -d /proc/[0-9]*").split()[:2] == ["1", "/proc/1"]


def test_default_capabilities_and_seccomp(knarr: Knarr) -> None:
    status = dict(
        line.split(":\t", 1) for line in inside(knarr, "cat /proc/self/status").splitlines()
    )
    assert status["CapEff"] == status["CapBnd"] == "00000000a80425fb"
    assert status["CapInh"] == status["CapAmb"] == "0000000000000000"
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "0"


def test_another_user_has_no_capabilities(knarr: Knarr) -> None:
    found = inside(knarr, "id; grep Cap /proc/self/status", "-u", "nobody")
    assert found.startswith("uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)\n")
    assert "CapEff:\t0000000000000000" in found


def test_no_new_privileges(knarr: Knarr) -> None:
    found = inside(
        knarr, "grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges"
    )
    assert found == "NoNewPrivs:\t1\n"


def test_mounting_is_refused_unless_privileged(knarr: Knarr) -> None:
    script = "mount -t tmpfs none /tmp 2>/dev/null && echo mounted || echo refused"
    assert inside(knarr, script) == "refused\n"
    assert inside(knarr, script, "--privileged") == "mounted\n"


def test_kernel_files_are_masked_or_read_only(knarr: Knarr) -> None:
    script = """
        cat /proc/kcore /proc/keys /proc/timer_list /proc/interrupts 2>/dev/null | wc -c
        cat /sys/devices/system/cpu/cpu0/thermal_throttle/* 2>/dev/null | wc -c
        ls /sys/firmware | wc -l
        for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/x; do
            (echo x > $f) 2>/dev/null && echo wrote $f
        done; true"""
    assert inside(knarr, script).split() == ["0", "0", "0"]


def test_devices_are_the_harmless_ones(knarr: Knarr) -> None:
    found = set(inside(knarr, "ls /dev").split())
    assert found >= {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"}
    assert not found & {"sda", "vda", "mem", "kmsg", "kvm", "fuse"}
    script = "mknod /tmp/d b 254 0 && cat /tmp/d > /dev/null 2>&1 && echo read; true"
    assert inside(knarr, script) == ""


def test_a_device_that_is_asked_for(knarr: Knarr) -> None:
    script = "stat -c '%t:%T' /dev/mine; echo x > /dev/mine && echo wrote"
    found = inside(knarr, script, "--device", "/dev/null:/dev/mine")
    assert found == "1:3\nwrote\n"
    found = inside(knarr, script + " || true", "--device", "/dev/zero:/dev/mine:r")
    assert found.startswith("1:5\n")


def test_hostname_and_files(knarr: Knarr) -> None:
    found = inside(
        knarr, "hostname; cat /etc/hostname /etc/hosts", "-h", "box",
        "--add-host", "db:10.1.2.3", "--add-host", "db6=::1",
    )  # fmt: skip
    assert found.startswith("box\nbox\n127.0.0.1\tlocalhost\n")
    assert "10.1.2.3\tdb\n" in found
    assert "::1\tdb6\n" in found
    plain = knarr("run", "--name", "plain", "--network", "none", "busybox", "hostname")
    assert plain.strip() == knarr.engine.containers.get("plain").id[:12]


def test_mount_points_of_the_engine_are_no_changes(knarr: Knarr) -> None:
    knarr("run", "--name", "one", "--network", "none", "busybox", "ls", "/.dockerenv", "/etc/mtab")
    container = knarr.engine.containers.get("one")
    assert os.listdir(f"{knarr.engine.paths.container(container.id)}/upper") == []
    assert knarr("ps", "-as", "--format", "{{.Size}}").startswith("0B (virtual ")


def test_environment(knarr: Knarr, tmp_path: Path) -> None:
    knarr.add_image("env", config=RunConfig(env=("PATH=/bin", "A=image", "B=image"), cmd=("env",)))
    file = tmp_path / "env"
    file.write_text("# comment\nC=file\nHOME_OF\n")
    found = knarr(
        "run", "--rm", "--network", "none", "-t", "-h", "box", "--env-file", str(file),
        "-e", "A=mine", "-e", "NOT_SET", "env",
    )  # fmt: skip
    expected = "PATH=/bin HOSTNAME=box TERM=xterm C=file A=mine B=image HOME=/root"
    assert found.replace("\r\n", " ").strip() == expected


def test_working_directory_is_made(knarr: Knarr) -> None:
    assert inside(knarr, "pwd", "-w", "/deep/er") == "/deep/er\n"


def test_entrypoint(knarr: Knarr) -> None:
    config = RunConfig(entrypoint=("echo", "entry"), cmd=("cmd",), env=("PATH=/bin",))
    knarr.add_image("entry", config=config)
    run = ("run", "--rm", "--network", "none")
    assert knarr(*run, "entry") == "entry cmd\n"
    assert knarr(*run, "entry", "mine") == "entry mine\n"
    assert knarr(*run, "--entrypoint", "printf", "entry", "x\\n") == "x\n"
    assert knarr(*run, "--entrypoint", "", "entry", "echo", "bare") == "bare\n"


def test_user_from_the_image(knarr: Knarr) -> None:
    files: dict[str, str | bytes] = {
        "etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n",
        "etc/group": "app:x:1001:\naudio:x:29:app\nwheel:x:10:root\n",
    }
    knarr.add_image("users", files=files, config=RunConfig(user="app", env=("PATH=/bin",)))
    script = 'id -u; id -G; echo $HOME; echo "$(id -un)"'
    assert inside(knarr, script, image="users") == "1000\n1001 29\n/home/app\napp\n"
    assert inside(knarr, "id -G", "-u", "root", image="users") == "0 10\n"
    assert inside(knarr, "id -u; id -G", "-u", "app:audio", image="users") == "1000\n29\n"
    assert inside(knarr, "id -u; id -G; echo $HOME", "-u", "7:8", image="users") == "7\n8\n/\n"
    assert inside(knarr, "id -G", "--group-add", "audio", image="users") == "1001 29\n"


def test_links_in_the_image_lead_nowhere_outside(knarr: Knarr, tmp_path: Path) -> None:
    secret = tmp_path / "passwd"
    secret.write_text("evil:x:4711:4711::/evil:/bin/sh\n")
    knarr.add_image("linked", files={"etc/inside": "good:x:42:\n"}, links={
        "etc/passwd": str(secret), "etc/group": "/etc/real",
        "etc/real": "inside",
    })  # fmt: skip
    run = ("run", "--rm", "--network", "none")
    assert "unable to find user evil" in knarr.fails(*run, "-u", "evil", "linked", status=125)
    assert knarr(*run, "-u", "0:good", "linked", "id", "-g") == "42\n"


def test_kept_users(knarr: Knarr, tmp_path: Path) -> None:
    """`--userns keep-id` as Podman has it for root: nobody's number changes, no power is real."""
    knarr.add_image("app", config=RunConfig(user="7", env=("PATH=/bin",)))
    script = """
        readlink /proc/self/ns/user; cat /proc/self/uid_map; id -u; id -g; stat -c %u /mnt
        mkdir /mnt/made && stat -c %u /mnt/made; hostname other 2>/dev/null || echo refused"""
    shared = tmp_path / "shared"
    shared.mkdir()
    os.chown(shared, 1234, 1234)
    bind = ("-v", f"{shared}:/mnt")
    found = inside(knarr, script, "--userns", "keep-id", *bind, image="app").split()
    assert found[0] != os.readlink("/proc/self/ns/user")
    assert found[1:] == ["0", "0", "4294967295", "0", "0", "1234", "0", "refused"]
    assert (shared / "made").stat().st_uid == 0
    (shared / "made").rmdir()
    named = ("--userns", "keep-id:uid=1234,gid=2000")
    found = inside(knarr, script, *named, *bind, image="app").split()
    assert found[4:] == ["1234", "2000", "1234", "1234", "refused"]
    assert (shared / "made").stat().st_gid == 2000
    who = ("-u", "5", *named)
    assert inside(knarr, "id -u", *who, image="app") == "5\n"
    # These ranges are everybody's: others still find one that is nobody's.
    knarr("create", "--name", "kept", "--userns", "keep-id", "app", "true")
    assert inside(knarr, "cat /proc/self/uid_map", "--userns", "auto").split()[1] != "0"


def test_binds(knarr: Knarr, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "file").write_text("from outside\n")
    script = "cat /mnt/file; echo inside > /mnt/new"
    assert inside(knarr, script, "-v", f"{tmp_path}/shared:/mnt") == "from outside\n"
    assert (tmp_path / "shared" / "new").read_text() == "inside\n"
    readonly = ("-v", f"{tmp_path}/shared:/mnt:ro")
    found = inside(knarr, "(echo x > /mnt/file) 2>/dev/null || echo refused", *readonly)
    assert found == "refused\n"
    assert inside(knarr, "ls /made", "-v", f"{tmp_path}/absent:/made") == ""
    assert (tmp_path / "absent").is_dir()


def test_volumes(knarr: Knarr) -> None:
    files: dict[str, str | bytes] = {"data/seed": "from the image\n"}
    config = RunConfig(volumes=("/data",), env=("PATH=/bin",), cmd=("sh",))
    knarr.add_image("vol", files=files, config=config)
    inside(knarr, "echo kept > /data/new", "-v", "named:/data", image="vol")
    assert inside(knarr, "cat /data/*", "-v", "named:/data", image="vol") == (
        "kept\nfrom the image\n"
    )
    knarr("run", "--name", "anon", "--network", "none", "vol", "ls", "/data")
    mount = knarr("inspect", "-f", "{{json .Mounts}}", "anon")
    assert '"Destination":"/data"' in mount
    before = knarr("volume", "ls", "-q").split()
    knarr("rm", "-v", "anon")
    after = knarr("volume", "ls", "-q").split()
    assert len(before) == len(after) + 1
    assert "named" in after


def test_tmpfs_and_shm(knarr: Knarr) -> None:
    script = "grep -E ' /(scratch|dev/shm) ' /proc/mounts"
    found = inside(knarr, script, "--tmpfs", "/scratch:size=1m", "--shm-size", "2m")
    lines = {line.split()[1]: line.split()[3] for line in found.splitlines()}
    assert "size=2048k" in lines["/dev/shm"]
    assert "size=1024k" in lines["/scratch"]
    assert "noexec" in lines["/scratch"]


def test_read_only(knarr: Knarr) -> None:
    script = "touch /x 2>/dev/null || echo refused; touch /run/x && touch /dev/shm/x && echo fine"
    assert inside(knarr, script, "--read-only", "--tmpfs", "/run") == "refused\nfine\n"


def test_memory_limit(knarr: Knarr) -> None:
    options = ("-m", "32m", "--memory-swap", "32m")
    hog = "tail /dev/zero"
    done = knarr.do("run", "--name", "hog", "--network", "none", *options, "busybox",
                    "sh", "-c", hog)  # fmt: skip
    assert done.returncode == 137, done
    assert knarr("inspect", "-f", "{{.State.OOMKilled}}", "hog") == "true\n"


def test_process_limit(knarr: Knarr) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done 2>/dev/null; wait; echo end"
    done = knarr.do("run", "--rm", "--network", "none", "--pids-limit", "4", "busybox",
                    "sh", "-c", script)  # fmt: skip
    assert done.returncode != 0


def test_cpu_limit(knarr: Knarr) -> None:
    script = "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null; true"
    found = inside(knarr, script, "--cpus", "0.5").split()
    assert found[0] == "50000"


def test_resource_limits(knarr: Knarr) -> None:
    found = inside(
        knarr, "ulimit -n; ulimit -c", "--ulimit", "nofile=100:200", "--ulimit", "core=0"
    )
    assert found == "100\n0\n"


def test_sysctl(knarr: Knarr) -> None:
    option = ("--sysctl", "net.ipv4.ip_forward=1")
    assert inside(knarr, "cat /proc/sys/net/ipv4/ip_forward", *option) == "1\n"


def test_host_network(knarr: Knarr) -> None:
    script = "readlink /proc/self/ns/net; hostname"
    found = knarr("run", "--rm", "--network", "host", "busybox", "sh", "-c", script)
    assert found == f"{os.readlink('/proc/self/ns/net')}\n{os.uname().nodename}\n"


def test_host_process_and_name_namespaces(knarr: Knarr) -> None:
    options = ("--pid", "host", "--uts", "host", "--ipc", "host")
    names = ("pid", "uts", "ipc")
    found = inside(
        knarr, f"for n in {' '.join(names)}; do readlink /proc/self/ns/$n; done", *options
    )
    assert found.split() == [os.readlink(f"/proc/self/ns/{name}") for name in names]


def test_init_reaps_and_forwards(knarr: Knarr) -> None:
    script = "(sleep 0.1 & ) ; sleep 0.4; cat /proc/[0-9]*/stat | grep -c ' Z ' ; cat /proc/1/comm"
    assert inside(knarr, script, "--init") == "0\ndocker-init\n"
    knarr("run", "-d", "--init", "--name", "one", "--network", "none", "busybox", "sh", "-c",
          "trap 'exit 9' TERM; touch /ready; while :; do sleep 0.1; done")  # fmt: skip
    container = knarr.engine.containers.get("one")
    ready = f"{knarr.engine.paths.container(container.id)}/upper/ready"
    knarr.wait_until(lambda: os.path.exists(ready))
    knarr("stop", "one")
    assert container.state.exit_code == 9
    assert (
        knarr.do("run", "--rm", "--init", "--network", "none", "busybox", "nope").returncode == 127
    )


def test_descriptors_of_the_engine_do_not_leak_in(knarr: Knarr) -> None:
    assert inside(knarr, "ls /proc/self/fd").split() == ["0", "1", "2", "3"]  # 3 is ls's own


def test_the_store_is_closed_to_others(knarr: Knarr) -> None:
    paths = knarr.engine.paths
    for path in (paths.containers_dir, paths.layers_dir, paths.volumes_dir, paths.tasks_dir):
        assert stat.S_IMODE(os.stat(path).st_mode) & 0o066 == 0


def test_a_container_lives_on_when_its_command_is_killed(knarr: Knarr) -> None:
    running = knarr.start("run", "--name", "one", "--network", "none", "busybox", "sh", "-c",
                          "echo up; sleep 1000")  # fmt: skip
    assert running.stdout is not None
    assert running.stdout.readline() == b"up\n"
    running.kill()
    running.communicate()
    time.sleep(0.1)
    assert knarr.engine.containers.get("one").status == "running"
