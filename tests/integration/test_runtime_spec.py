"""`knarr-runtime`: what the spec says of mounts, filters, hooks and state, seen from outside."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from knarr.linux import cgroup, mount
from support.runtimes import Bundle, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.root


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """Give a directory that is a shared mount of its own, with a second one at `below`."""
    top = tmp_path / "tree"
    top.mkdir()
    mount.mount("tmpfs", str(top), "tmpfs", 0, None)
    mount.mount("", str(top), "", mount.MS_SHARED, None)
    (top / "below").mkdir()
    mount.mount("tmpfs", str(top / "below"), "tmpfs", 0, None)
    yield top
    mount.umount2(str(top), mount.MNT_DETACH)


def mounts(text: str) -> dict[str, tuple[set[str], set[str]]]:
    """Return attributes and kinds of propagation of the mounts in a mountinfo, by place."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        kinds = {word.partition(":")[0] for word in words[6 : words.index("-")]}
        found[words[4]] = (set(words[5].split(",")), kinds)
    return found


def test_attributes_of_one_mount_and_of_all_below(
    runtime: Runtime, bundle: Bundle, tree: Path
) -> None:
    words = {
        "plain": [], "one": ["ro", "nosuid", "nodev", "noexec"], "all": ["rro", "rnosuid"],
        "both": ["rro", "rw", "rnoexec"], "times": ["rnoatime", "nodiratime"],
        "links": ["nosymfollow"],
    }  # fmt: skip
    for name, options in words.items():
        bundle.mount(f"/{name}", type="bind", source=str(tree), options=["rbind", *options])
    shown = mounts(runtime.output(bundle.command("cat /proc/self/mountinfo")))
    plain, below = shown["/plain"][0], shown["/plain/below"][0]
    assert plain == below == {"rw", "relatime"}
    assert shown["/one"][0] == {"ro", "nosuid", "nodev", "noexec", "relatime"}
    assert shown["/one/below"][0] == {"rw", "relatime"}
    assert shown["/all"][0] == shown["/all/below"][0] == {"ro", "nosuid", "relatime"}
    assert "noexec" in shown["/both"][0] & shown["/both/below"][0]
    assert "ro" in shown["/both/below"][0]
    assert "noatime" in shown["/times/below"][0]
    assert shown["/times"][0] >= {"noatime", "nodiratime"}
    assert "nosymfollow" in shown["/links"][0]


@pytest.mark.parametrize(
    ("option", "top", "below"),
    [
        ("rprivate", set(), set()),
        ("private", set(), {"shared"}),
        ("shared", {"shared"}, {"shared"}),
        ("rslave", {"master"}, {"master"}),
        ("rshared", {"shared"}, {"shared"}),
        ("runbindable", {"unbindable"}, {"unbindable"}),
    ],
)
def test_propagation_of_a_mount(
    runtime: Runtime, bundle: Bundle, tree: Path, option: str, top: set[str], below: set[str]
) -> None:
    mount.mount("", str(tree / "below"), "", mount.MS_SHARED, None)
    bundle.spec["linux"]["rootfsPropagation"] = "shared"
    bundle.mount("/tree", type="bind", source=str(tree), options=["rbind", option])
    bundle.command("cat /proc/self/mountinfo")
    shown = mounts(runtime.output(bundle))
    assert shown["/tree"][1] == top
    assert shown["/tree/below"][1] == below


def test_mounts_cross_in_the_direction_that_was_asked_for(
    runtime: Runtime, bundle: Bundle, tree: Path
) -> None:
    """A mount inside is seen outside with `rshared`, one outside inside with `rslave`."""
    sets = ("bounding", "effective", "permitted")
    bundle.spec["process"]["capabilities"] = {name: ["CAP_SYS_ADMIN"] for name in sets}
    bundle.spec["linux"]["rootfsPropagation"] = "rslave"
    for name in ("out", "in"):
        (tree / name).mkdir()
    for option, seen in (("rslave", False), ("rshared", True)):
        if option == "rshared":
            bundle.spec["linux"]["rootfsPropagation"] = "rshared"
        bundle.mount("/tree", type="bind", source=str(tree), options=["rbind", option])
        runtime.output(bundle.command(f"mount -t tmpfs {option} /tree/out"))
        here = mounts(Path("/proc/self/mountinfo").read_text())
        assert (f"{tree}/out" in here) == seen, option
    container_id = runtime.start(bundle.command("sleep", "100"))
    mount.mount("tmpfs", str(tree / "in"), "tmpfs", 0, None)
    shown = runtime.call("exec", container_id, "cat", "/proc/self/mountinfo").stdout
    assert "/tree/in" in mounts(shown)


@pytest.mark.parametrize(
    ("word", "kinds"),
    [("private", set()), ("rslave", {"master"}), ("shared", {"shared"}),
     ("unbindable", {"unbindable"}), ("runbindable", {"unbindable"})],
)  # fmt: skip
def test_propagation_of_the_root(
    runtime: Runtime, bundle: Bundle, tree: Path, word: str, kinds: set[str]
) -> None:
    """The rootfs is on a shared mount of the host."""
    subprocess.run(["cp", "-a", str(bundle.rootfs), str(tree / "rootfs")], check=True)
    bundle.spec["root"]["path"] = str(tree / "rootfs")
    bundle.spec["linux"]["rootfsPropagation"] = word
    shown = mounts(runtime.output(bundle.command("cat /proc/self/mountinfo")))
    assert shown["/"][1] == kinds


def test_tmpfs_with_what_it_covers(runtime: Runtime, bundle: Bundle) -> None:
    place = bundle.rootfs / "kept"
    (place / "deep").mkdir(parents=True)
    (place / "deep" / "file").write_text("from below")
    (place / "link").symlink_to("deep/file")
    os.chown(place / "deep", 5, 6)
    (place / "deep").chmod(0o2711)
    bundle.mount("/kept", type="tmpfs", source="tmpfs", options=["tmpcopyup", "size=1m"])
    script = "cat /kept/link; stat -c ' %u:%g %a' /kept/deep; touch /kept/new; stat -f -c %T /kept"
    assert runtime.output(bundle.command(script)) == "from below 5:6 2711\ntmpfs\n"
    assert not (place / "new").exists()


def test_personality_and_names(runtime: Runtime, bundle: Bundle) -> None:
    bundle.spec["linux"]["personality"] = {"domain": "LINUX32"}
    bundle.spec |= {"hostname": "vinland", "domainname": "north"}
    script = "uname -m; hostname; cat /proc/sys/kernel/domainname"
    machine, *names = runtime.output(bundle.command(script)).split()
    assert machine == {"x86_64": "i686", "aarch64": "armv8l"}.get(os.uname().machine, machine)
    assert names == ["vinland", "north"]
    container_id = runtime.start(bundle.command("sleep", "100"))
    assert runtime.call("exec", container_id, "uname", "-m").stdout.strip() == machine


@pytest.mark.parametrize("moment", ["createRuntime", "createContainer", "startContainer"])
def test_hook_that_takes_too_long(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, moment: str
) -> None:
    mark = f"3{os.getpid()}"  # seconds that name the process
    hook = {"path": "/bin/sleep", "args": ["sleep", mark], "timeout": 1}
    bundle.spec["hooks"] = {moment: [hook]}
    began = time.monotonic()
    done = runtime.run(bundle.command("touch /tmp/ran"))
    assert 1 <= time.monotonic() - began < 5
    wanted = f"error running {moment} hook #0: /bin/sleep took longer than its timeout of 1 s"
    assert wanted in done.stderr
    assert not (bundle.rootfs / "tmp" / "ran").exists()
    ps = subprocess.run(["ps", "-e", "-o", "args"], capture_output=True, text=True, check=True)
    assert f"sleep {mark}" not in ps.stdout


def test_state_is_what_the_spec_says(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """Also the one that hooks read, at each of their moments."""
    hooks = {}
    for moment in ("createRuntime", "createContainer", "poststart", "poststop"):
        words = ["sh", "-c", f"cat > {tmp_path}/{moment}.json"]
        hooks[moment] = [{"path": "/bin/sh", "args": words}]
    bundle.spec |= {"hooks": hooks, "annotations": {"org.example.key": "value"}}
    container_id = runtime.start(bundle.command("sleep", "100"))
    state = runtime.state(container_id)
    runtime.call("delete", "--force", container_id)
    told = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in hooks}
    assert [told[name]["status"] for name in hooks] == [
        "creating",
        "creating",
        "running",
        "stopped",
    ]
    for each in (state, *told.values()):
        assert each["ociVersion"].startswith("1.")
        assert each["id"] == container_id
        assert each["bundle"] == str(bundle.directory)
        assert each["annotations"] == {"org.example.key": "value"}
    assert state["status"] == "running"
    assert told["createRuntime"]["pid"] == told["poststart"]["pid"] == state["pid"]


@pytest.mark.parametrize(
    ("program", "file", "words"),
    [
        ("/x", "#!/bin/sh\r\necho\r\n", "Windows line ends"),
        ("/x", "#!/nosuch/lua\n", "Its interpreter /nosuch/lua, named in its first line"),
        ("/x", "echo\n", "text without an interpreter"),
        ("/x", b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\x16\0" + bytes(44), "is for s390x"),
        ("/x", b"", "permission denied"),
        ("/noexec/x", "#!/bin/sh\n", "mounted noexec"),
        ("/nosuch", None, "no such file or directory"),
        ("nosuch", None, "executable file not found in $PATH"),
        ("/tmp", None, "is a directory"),
    ],
    ids=["crlf", "interpreter", "text", "machine", "mode", "noexec", "absent", "path", "directory"],
)
@pytest.mark.parametrize("way", ["run", "exec"])
def test_puzzles_are_explained(
    runtime: Runtime, bundle: Bundle, way: str, program: str, file: str | bytes | None, words: str
) -> None:
    (bundle.rootfs / "noexec").mkdir()
    place = bundle.rootfs / program.lstrip("/")
    if file is not None:
        place.write_bytes(file.encode() if isinstance(file, str) else file)
        place.chmod(0o755 if file else 0o644)
    bundle.mount(
        "/noexec", type="bind", source=str(bundle.rootfs / "noexec"), options=["bind", "noexec"]
    )
    if way == "run":
        done = runtime.run(bundle.command(program, "argument"))
    else:
        container_id = runtime.start(bundle.command("sleep", "100"))
        done = runtime.call("exec", container_id, program, "argument")
    assert done.returncode != 0
    assert words in done.stderr


def test_refusal_of_a_filter_is_explained(runtime: Runtime, bundle: Bundle) -> None:
    """A filter that forbids what every program does first."""
    bundle.spec["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ERRNO"}],
    }
    done = runtime.run(bundle.command("/bin/true", "x"))
    assert "exec /bin/true: operation not permitted" in done.stderr
    assert "seccomp filter of the container refuses execve" in done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "proc", "destination": "/etc/passwd"}, "mounting proc at /etc/passwd: "),
        ({"type": "tmpfs", "destination": "/t", "options": ["size=x"]}, "mounting tmpfs at /t: "),
        ({"type": "tmpfs", "destination": "/t", "options": ["nosuch=1"]}, "mounting tmpfs at /t: "),
        ({"type": "nosuchfs", "destination": "/t"}, "mounting nosuchfs at /t: no such device"),
        (
            {"type": "bind", "source": "/nosuch", "destination": "/t", "options": ["bind"]},
            "mounting bind /nosuch at /t: no such file or directory",
        ),
    ],
)
def test_step_that_failed_is_named(
    runtime: Runtime, bundle: Bundle, change: dict[str, Any], words: str
) -> None:
    bundle.spec["mounts"].append({"source": "none", **change})
    assert words in runtime.run(bundle).stderr


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("linux.namespaces", [{"type": "nosuch"}]),
        ("linux.seccomp", {"defaultAction": "SCMP_ACT_NOSUCH"}),
        ("linux.rootfsPropagation", "sideways"),
        ("linux.resources", {"memory": {"limit": "much"}}),
        ("linux.sysctl", {"kernel.panic": "1"}),
        ("process.rlimits", [{"type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1}]),
        ("process.cwd", "relative"),
        ("process.scheduler", {"policy": "SCHED_NOSUCH"}),
        ("hooks", {"createRuntime": [{"path": "relative"}]}),
    ],
)
def test_impossible_values_are_refused_before_anything_is_there(
    runtime: Runtime, bundle: Bundle, place: str, value: object
) -> None:
    *parents, name = place.split(".")
    node = bundle.spec
    for parent in parents:
        node = node[parent]
    node[name] = value
    bundle.spec.setdefault("hooks", {}).setdefault(
        "prestart", [{"path": "/bin/touch", "args": ["touch", str(bundle.directory / "ran")]}]
    )
    done = runtime.run(bundle)
    assert done.returncode == 1
    assert place.rpartition(".")[2] in done.stderr
    assert not (bundle.directory / "ran").exists()
    assert os.listdir(runtime.root) == []
    for hierarchy in cgroup.hierarchies():
        for _, names, _ in os.walk(hierarchy.mount_point):
            assert runtime.ids[-1] not in names


@pytest.fixture
def features(runtime: Runtime) -> dict[str, Any]:
    """Return what the runtime says that it knows."""
    found: dict[str, Any] = json.loads(runtime.call("features").stdout)
    return found


def test_mount_options_of_features(
    runtime: Runtime, bundle: Bundle, features: dict[str, Any]
) -> None:
    """Every one is taken, and no other is."""
    for_binds = {"bind", "rbind", "remount", "idmap", "ridmap"}
    assert for_binds < set(features["mountOptions"])
    for option in set(features["mountOptions"]) - for_binds:
        bundle.mount(f"/o/{option}", type="tmpfs", source="x", options=[option])
    assert runtime.run(bundle).stderr == ""
    bundle.mount("/unknown", type="tmpfs", source="x", options=["nosuch"])
    assert "mounting tmpfs at /unknown: " in runtime.run(bundle).stderr


def test_filters_of_features(runtime: Runtime, bundle: Bundle, features: dict[str, Any]) -> None:
    known = features["linux"]["seccomp"]
    rules = [
        {"names": ["mkdir"], "action": action, "args": [{"index": 1, "value": 9, "op": operator}]}
        for action in set(known["actions"]) - {"SCMP_ACT_NOTIFY"}
        for operator in known["operators"]
    ]
    # The flag that is left out goes with a listener; see test_runtime_features.
    for flag in set(known["supportedFlags"]) - {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}:
        bundle.spec["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW", "flags": [flag], "syscalls": rules,
            "architectures": known["archs"],
        }  # fmt: skip
        assert runtime.run(bundle).stderr == "", flag
    for place, value in (("flags", ["NOSUCH"]), ("architectures", ["SCMP_ARCH_NOSUCH"])):
        seccomp = {"defaultAction": "SCMP_ACT_ALLOW", place: value, "syscalls": rules}
        bundle.spec["linux"]["seccomp"] = seccomp
        assert value[0] in runtime.run(bundle).stderr


def test_rest_of_features(runtime: Runtime, bundle: Bundle, features: dict[str, Any]) -> None:
    linux = features["linux"]
    assert features["hooks"] == [
        "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
    ]  # fmt: skip
    assert linux["selinux"]["enabled"]
    assert not linux["intelRdt"]["enabled"]
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert len(linux["capabilities"]) > last
    kinds = {"mount": "mnt", "network": "net"}
    for kind in linux["namespaces"]:
        if kind != "user":
            bundle.namespace(kind)
    shown = runtime.output(bundle.command("ls -l /proc/self/ns/")).split()
    for kind in set(linux["namespaces"]) - {"user"}:
        own = os.readlink(f"/proc/self/ns/{kinds.get(kind, kind)}")
        assert own not in shown, kind
