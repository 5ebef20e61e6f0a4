"""Limits of devices, namespaces and their mappings as people write them, and what goes together."""

from __future__ import annotations

import pytest

from knarr.engine.container import neighbours
from knarr.engine.container.mounts import plan_mount
from knarr.engine.options import limits, namespaces, storage
from knarr.engine.options.encoding import decode, encode
from knarr.engine.options.values import (
    UNACCOUNTED,
    DeviceLimit,
    IdRange,
    Namespaces,
    Networking,
    Options,
    Resources,
    Security,
)
from knarr.engine.resources import support
from knarr.errors import InvalidArgument, Unavailable, Unsupported
from knarr.linux.cgroup import Hierarchy


def test_rates_of_devices() -> None:
    bytes_limit = limits.parse_rate("/dev/vda:1mb", option="device-read-bps", sized=True)
    assert bytes_limit == DeviceLimit("/dev/vda", 1 << 20)
    assert limits.parse_rate("/dev/vda:7", option="device-read-iops", sized=False).limit == 7
    assert limits.parse_weight("/dev/vda:500") == DeviceLimit("/dev/vda", 500)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/dev/vda", "bad format: /dev/vda"),
        ("vda:1", "bad format for device path: vda:1"),
        ("/dev/vda:-1", "invalid rate for device: /dev/vda:-1. The correct format is"),
        ("/dev/vda:fast", "Number must be a positive integer. Unit is optional"),
    ],
)
def test_bad_rates(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        limits.parse_rate(text, option="device-read-bps", sized=True)
    assert words in str(raised.value)
    assert f'invalid argument "{text}" for "--device-read-bps" flag' in str(raised.value)


@pytest.mark.parametrize("text", ["/dev/vda:5", "/dev/vda:1001", "/dev/vda:x"])
def test_bad_weights(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid weight for device"):
        limits.parse_weight(text)


def test_device_rules() -> None:
    assert limits.check_device_rule("c 13:* rwm") == "c 13:* rwm"
    for text in ("c 13:*", "x 1:2 r", "c 1 r", "c 1:2 rx", "c 1:2 rrrr", "c a:2 r", ""):
        with pytest.raises(InvalidArgument, match="invalid device cgroup format"):
            limits.check_device_rule(text)


def test_realtime() -> None:
    with pytest.raises(InvalidArgument, match="runtime cannot be higher than cpu real-time period"):
        limits.check_resources(
            Resources(cpu_rt_period_us=1000, cpu_rt_runtime_us=2000), processors=1
        )


# namespaces


def modes(**given: str) -> dict[str, str]:
    return {**dict.fromkeys(("pid", "ipc", "uts", "cgroup", "user"), ""), **given}


def test_namespace_modes() -> None:
    found = namespaces.parse_namespaces(modes(pid="host", ipc="container:x", user="auto"))
    assert found == Namespaces(pid="host", ipc="container:x", user="auto")
    assert namespaces.auto_size("auto") == 65536
    assert namespaces.auto_size("auto:size=1024") == 1024


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"pid": "mine"}, "--pid: invalid PID mode"),
        ({"ipc": "container:"}, "invalid IPC mode: container:"),
        ({"uts": "none"}, "--uts: invalid UTS mode"),
        ({"cgroup": "x"}, "--cgroupns: invalid CGROUP mode"),
        ({"user": "keep-it"}, "--userns: invalid USER mode"),
        ({"user": "keep-id:uid=-1"}, "--userns: invalid USER mode: keep-id:uid=-1"),
        ({"user": "keep-id:home=1"}, "--userns: invalid USER mode: keep-id:home=1"),
        ({"user": "auto:size=0"}, "--userns: invalid USER mode: auto:size=0"),
        ({"user": "private"}, "--userns: private needs a mapping"),
    ],
)
def test_bad_namespace_modes(wrong: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        namespaces.parse_namespaces(modes(**wrong))


def test_mappings() -> None:
    found = namespaces.parse_namespaces(modes(), ["0:100000:1000", "1000:5:1"])
    assert found.user == "private"
    assert found.uid_map == (IdRange(0, 100000, 1000), IdRange(1000, 5, 1))
    assert found.gid_map == found.uid_map
    options = Options(namespaces=found)
    assert decode(encode(options)) == options


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["0:1"], "invalid mapping: 0:1"),
        (["0:1:x"], "invalid mapping"),
        (["0:1:0"], "the range is empty"),
        (["5:1:1"], "no mapping for 0"),
        (["0:1:10", "5:100:1"], "the ranges of 0 and 5 overlap"),
        (["0:1:10", "20:5:1"], "the ranges of 1 and 5 overlap"),
    ],
)
def test_bad_mappings(texts: list[str], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        namespaces.parse_namespaces(modes(), texts)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(hostname="x", namespaces=Namespaces(uts="host")), "hostname and the UTS mode"),
        (Options(hostname="x", networking=Networking("container:y")), "and the network mode"),
        (
            Options(networking=Networking("container:y", dns=("1.1.1.1",))),
            "conflicting options: dns and the network mode",
        ),
        (
            Options(networking=Networking("container:y", publish_all=True)),
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            Options(exposed=("80/tcp",), networking=Networking("container:y")),
            "conflicting options: port exposing and the container type network mode",
        ),
        (
            Options(security=Security(privileged=True), namespaces=Namespaces(user="auto")),
            "privileged mode is incompatible with user namespaces",
        ),
        (
            Options(networking=Networking("host"), namespaces=Namespaces(user="auto")),
            "cannot share the host's network namespace when user namespaces are enabled",
        ),
        (
            Options(namespaces=Namespaces(pid="host", user="auto")),
            "cannot share the host PID namespace when user namespaces are enabled",
        ),
        (
            Options(sysctls={"net.ipv4.ip_forward": "1"}, networking=Networking("host")),
            'sysctl "net.ipv4.ip_forward" not allowed in host network namespace',
        ),
        (
            Options(sysctls={"kernel.msgmax": "1"}, namespaces=Namespaces(ipc="host")),
            'sysctl "kernel.msgmax" not allowed in host IPC namespace',
        ),
    ],
)
def test_conflicts(options: Options, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        namespaces.check_shared(options)


def test_ranges_of_users_do_not_overlap() -> None:
    room = [(1000, 300)]
    assert neighbours.find_free([], room, 100) == 1000
    assert neighbours.find_free([(1000, 100)], room, 100) == 1100
    assert neighbours.find_free([(1100, 100), (1000, 50)], room, 100) == 1200
    assert neighbours.find_free([(1100, 100), (1000, 50)], room, 50) == 1050
    assert neighbours.find_free([(0, 1050)], room, 100) == 1050
    with pytest.raises(Unavailable, match="cannot find 100 unused IDs"):
        neighbours.find_free([(1050, 100), (1200, 50)], room, 100)


# what the kernel does not have

V1 = [Hierarchy(1, (name,), f"/cg/{name}", "/") for name in ("memory", "cpu", "pids", "blkio")]
V2 = [Hierarchy(2, ("cpuset", "cpu", "io", "memory", "pids"), "/cg", "/")]


def test_support_of_v1_is_asked_of_the_files() -> None:
    files = {
        "/cg/memory/memory.limit_in_bytes",
        "/cg/memory/memory.oom_control",
        "/cg/blkio/blkio.throttle.read_bps_device",
    }
    found = support.support_of(V1, files.__contains__)
    assert found == {"memory", "oom-kill", "read_bps", "pids"}


def test_v2_has_what_its_controllers_have() -> None:
    found = support.support_of(V2, lambda _: False)
    assert found == set(support.FEATURES) - {"swappiness", "oom-kill", "realtime"}
    assert support.support_of([], lambda _: True) == frozenset()


def test_limits_without_support_are_left_out() -> None:
    asked = Options(resources=Resources(memory=1 << 26, oom_kill_disabled=True, blkio_weight=100))
    options, warnings = support.without_unsupported(asked, frozenset(("memory", "swap")))
    assert options.resources == Resources(memory=1 << 26)
    assert warnings == [
        "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
        (
            "Your kernel does not support Block I/O weight or the cgroup is not mounted. "
            "Weight discarded."
        ),
    ]


def test_memory_without_accounting_of_swap() -> None:
    asked = Options(resources=Resources(memory=1 << 26, memory_swap=1 << 27))
    options, warnings = support.without_unsupported(asked, frozenset(("memory",)))
    assert options.resources.memory_swap == UNACCOUNTED
    assert warnings[0].startswith("Your kernel does not support swap limit capabilities")


def test_limits_with_support_stay() -> None:
    asked = Options(resources=Resources(memory=1 << 26, cpu_shares=5, oom_kill_disabled=True))
    everything = frozenset(support.FEATURES)
    assert support.without_unsupported(asked, everything) == (asked, [])
    lone = Options(resources=Resources(oom_kill_disabled=True))
    assert support.without_unsupported(lone, everything) == (lone, [support.UNLIMITED])


def test_realtime_is_refused_without_support() -> None:
    asked = Options(resources=Resources(cpu_rt_runtime_us=1000))
    with pytest.raises(Unsupported, match="does not support CPU real-time scheduler"):
        support.without_unsupported(asked, frozenset())


# mounts


def test_recursion_of_read_only_binds() -> None:
    plain = "type=bind,src=/a,dst=/b,readonly"
    assert mount_words(plain)[-2:] == ["ro", "rro"]
    assert mount_words(f"{plain},bind-recursive=writable")[-1:] == ["ro"]
    assert mount_words(f"{plain},bind-recursive=readonly")[-2:] == ["ro", "rro"]
    assert mount_words(f"{plain},bind-recursive=disabled") == ["bind", "rprivate", "ro"]


def mount_words(text: str) -> list[str]:
    return plan_mount(storage.parse_mount(text))["options"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("type=bind,src=/a,dst=/b,bind-recursive=x", "invalid value for bind-recursive: x"),
        ("type=bind,src=/a,dst=/b,bind-recursive=readonly", "requires 'readonly'"),
        ("type=bind,src=/a,dst=/b,bind-recursive=writable", "requires 'readonly'"),
        (
            "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=rslave",
            "requires 'bind-propagation=rprivate'",
        ),
        ("type=bind,src=/a,dst=/b,bind-propagation=x", "invalid propagation mode: x"),
        ("type=bind,src=/a,dst=/b,volume-nocopy", "cannot mix 'volume-.' options with .* 'bind'"),
        ("dst=/b,tmpfs-size=1m", "cannot mix 'tmpfs-.' options with mount type 'volume'"),
    ],
)
def test_mounts_that_contradict_themselves(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        storage.parse_mount(text)


@pytest.mark.parametrize("word", ["fast", "size", "size=", "speed=1", "noexec=1"])
def test_bad_options_of_tmpfs(word: str) -> None:
    with pytest.raises(InvalidArgument, match=rf'invalid tmpfs option \["{word}"\]'):
        storage.parse_tmpfs(f"/run:ro,{word}")


def test_owners_of_binds_are_mapped_on_request() -> None:
    assert "idmap" not in plan_mount(storage.parse_volume("/a:/b"), mapped=["idmap"])["options"]
    assert "idmap" in plan_mount(storage.parse_volume("/a:/b:idmap"), mapped=["idmap"])["options"]
    assert "idmap" in plan_mount(storage.parse_volume("v:/b"), mapped=["idmap"])["options"]
