"""What people type becomes values, or Docker's words for why not."""

from __future__ import annotations

import pytest

from knarr.engine.options import (
    devices,
    encoding,
    environment,
    limits,
    names,
    ports,
    security,
    storage,
)
from knarr.engine.options.merge import merged
from knarr.engine.options.restart import check_restart, parse_restart
from knarr.engine.options.values import (
    Device,
    MountRequest,
    Options,
    PortRequest,
    Resources,
    RestartPolicy,
    Security,
    Ulimit,
)
from knarr.errors import Corrupt, InvalidArgument
from knarr.oci.config import Healthcheck, RunConfig


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("nofile=1024", Ulimit("nofile", 1024, 1024)),
        ("nofile=1024:2048", Ulimit("nofile", 1024, 2048)),
        ("core=-1", Ulimit("core", -1, -1)),
        ("stack=8:-1", Ulimit("stack", 8, -1)),
    ],
)
def test_ulimits(text: str, limit: Ulimit) -> None:
    assert limits.parse_ulimit(text) == limit


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nofile", "invalid ulimit argument: nofile"),
        ("files=1", "invalid ulimit type: files"),
        ("nofile=1:2:3", "too many limit value arguments"),
        ("nofile=2:1", "less than or equal to hard limit: 2 > 1"),
        ("nofile=-1:1", r"soft: -1 \(unlimited\), hard: 1"),
        ("nofile=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
    ],
)
def test_bad_ulimits(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        limits.parse_ulimit(text)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", RestartPolicy()),
        ("no", RestartPolicy()),
        ("always", RestartPolicy("always")),
        ("on-failure", RestartPolicy("on-failure")),
        ("on-failure:3", RestartPolicy("on-failure", 3)),
        ("always,min=1s,max=30s", RestartPolicy("always", 0, 1.0, 30.0)),
        ("on-failure:5,factor=1.5,reset=1m", RestartPolicy("on-failure", 5, 0.1, 60.0, 60.0, 1.5)),
        ("always,min=2m", RestartPolicy("always", 0, 120.0, 120.0)),
    ],
)
def test_restart_policies(text: str, policy: RestartPolicy) -> None:
    assert parse_restart(text) == policy


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (":3", "no policy provided before colon"),
        ("on-failure:x", "maximum retry count must be an integer"),
        ("on-failure:-1", "cannot be negative"),
        ("sometimes", "unknown policy 'sometimes'"),
        ("always:3", "only be used with 'on-failure'"),
        ("always,soon", "unknown option 'soon'"),
        ("always,min=soon", 'invalid duration "soon"'),
        ("always,min=1s,max=10ms", "nor max less than min"),
        ("always,factor=0.5", "factor is a number from 1 to 1000"),
        ("always,factor=two", "factor=two"),
        ("always,reset=-1s", "reset cannot be negative"),
    ],
)
def test_bad_restart_policies(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        check_restart(parse_restart(text))


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (Resources(memory=1 << 20), "minimum memory limit allowed is 6MB"),
        (Resources(memory=64 << 20, memory_swap=1 << 20), "should be larger than memory limit"),
        (Resources(memory_swap=64 << 20), "always set the memory limit"),
        (Resources(memory=8 << 20, memory_reservation=9 << 20), "less than memory reservation"),
        (Resources(nano_cpus=3 * 10**9), "from 0.01 to 2.00, as there are only 2 CPUs"),
        (Resources(nano_cpus=1), "range of CPUs"),
        (Resources(nano_cpus=10**9, cpu_quota_us=5000), "--cpus and --cpu-quota cannot both"),
        (Resources(cpuset_cpus="0,7"), "requested 0,7, available: 0-1"),
        (Resources(cpuset_cpus="2-1"), "invalid value"),
        (Resources(blkio_weight=5), "blkio weight"),
    ],
)
def test_limits_that_cannot_be(resources: Resources, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        limits.check_resources(resources, processors=2)


def test_limits_that_can_be() -> None:
    fine = Resources(
        memory=64 << 20, memory_swap=-1, nano_cpus=15 * 10**8, cpuset_cpus="0-1", pids_limit=-1
    )
    limits.check_resources(fine, processors=2)


@pytest.mark.parametrize(
    ("text", "requests"),
    [
        ("80", [PortRequest(80)]),
        ("8080:80", [PortRequest(80, "tcp", "", 8080, 8080)]),
        ("8080:80/udp", [PortRequest(80, "udp", "", 8080, 8080)]),
        ("127.0.0.1:8080:80", [PortRequest(80, "tcp", "127.0.0.1", 8080, 8080)]),
        ("127.0.0.1::80", [PortRequest(80, "tcp", "127.0.0.1")]),
        ("[::1]:8080:80", [PortRequest(80, "tcp", "::1", 8080, 8080)]),
        ("::1:8080:80", [PortRequest(80, "tcp", "::1", 8080, 8080)]),
        ("8000-8001:80-81", [PortRequest(80, "tcp", "", 8000, 8000),
                             PortRequest(81, "tcp", "", 8001, 8001)]),
        ("8000-8010:80", [PortRequest(80, "tcp", "", 8000, 8010)]),
        ("80-81", [PortRequest(80), PortRequest(81)]),
    ],
)  # fmt: skip
def test_published_ports(text: str, requests: list[PortRequest]) -> None:
    assert ports.parse_publish(text) == requests


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no port specified: <empty>"),
        ("8080:", "no port specified"),
        ("x", "invalid containerPort: x"),
        ("x:80", "invalid hostPort: x"),
        ("80:70000", "invalid containerPort: 70000"),
        ("1.2.3:80:80", "invalid IP address: 1.2.3"),
        ("80/http", "invalid proto: http"),
        ("8000-8001:80-82", "invalid ranges specified for container and host Ports: 80-82 and"),
    ],
)
def test_bad_published_ports(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        ports.parse_publish(text)


def test_exposed_ports() -> None:
    assert ports.parse_expose("80-81/udp") == ["80/udp", "81/udp"]
    with pytest.raises(InvalidArgument, match="invalid port format for --expose: 1:2"):
        ports.parse_expose("1:2")
    with pytest.raises(InvalidArgument, match="invalid range format for --expose: 3-1"):
        ports.parse_expose("3-1")


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/data", MountRequest("volume", "/data")),
        ("/a:/b", MountRequest("bind", "/b", "/a", creates_source=True)),
        ("/a/../c:/b/:ro", MountRequest("bind", "/b", "/c", readonly=True, creates_source=True,
                                        mode_text="ro")),
        ("/a:/b:rshared,z", MountRequest("bind", "/b", "/a", propagation="rshared",
                                         creates_source=True, mode_text="rshared,z")),
        ("named:/b:nocopy", MountRequest("volume", "/b", "named", nocopy=True,
                                         mode_text="nocopy")),
    ],
)  # fmt: skip
def test_volumes(text: str, mount: MountRequest) -> None:
    assert storage.parse_volume(text) == mount


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid empty volume spec"),
        ("/a:", "invalid spec: /a:: empty section between colons"),
        ("/a:/b:ro,rw", "invalid mode: ro,rw"),
        ("/a:/b:z,Z", "invalid mode: z,Z"),
        ("/a:/b:nocopy", "field VolumeOptions must not be specified"),
        ("a:/b:rslave", "field BindOptions must not be specified"),
        ("/a:/b:ro:x", "invalid volume specification"),
        ("/a:b", "invalid mount path: 'b' mount path must be absolute"),
        ("b", "mount path must be absolute"),
        ("/a:/", "destination can't be '/'"),
        ("/a:/b:rx", "invalid mode: rx"),
    ],
)
def test_bad_volumes(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        storage.parse_volume(text)


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("type=bind,src=/a,dst=/b,readonly", MountRequest("bind", "/b", "/a", readonly=True)),
        ("type=bind,source=/a,target=/b,ro=false", MountRequest("bind", "/b", "/a")),
        ("dst=/v", MountRequest("volume", "/v")),
        ("source=vol,dst=/v,volume-label=a=b,volume-label=c=d,volume-nocopy",
         MountRequest("volume", "/v", "vol", labels={"a": "b", "c": "d"}, nocopy=True)),
        ("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770",
         MountRequest("tmpfs", "/t", tmpfs_size=1 << 20, tmpfs_mode=0o1770)),
        ('type=bind,"src=/a,b",dst=/b', MountRequest("bind", "/b", "/a,b")),
    ],
)  # fmt: skip
def test_mounts(text: str, mount: MountRequest) -> None:
    assert storage.parse_mount(text) == mount


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("type=bind,dst=/b", "field Source must not be empty"),
        ("type=bind,src=a,dst=/b", "mount path must be absolute"),
        ("type=bind,src=/a", "target is required"),
        ("type=nfs,src=/a,dst=/b", 'type "nfs": mount type unknown'),
        ('type=bind,src="/a",dst=/b', 'line 1, column 15: bare " in non-quoted-field'),
        ('type=bind,"src=/a,dst=/b', 'column 25: extraneous or missing " in quoted-field'),
        ("type=bind, src=/a,dst=/b", "unexpected key ' src' in ' src=/a'"),
        ("type=bind,src,dst=/b", "invalid field 'src' must be a key=value pair"),
        ("type=bind,src=/a,dst=/", 'for type "bind": invalid specification: destination'),
        ("type=tmpfs,dst=/a,tmpfs-size=x", "invalid value for tmpfs-size: x"),
        ("type=tmpfs,src=/a,dst=/b", "field Source must not be specified"),
        ("dst=/a,color=red", "unexpected key 'color' in 'color=red'"),
        ("dst=/a,color", "must be a key=value pair"),
        ("dst=/a,readonly=maybe", "invalid value for readonly: maybe"),
    ],
)
def test_bad_mounts(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        storage.parse_mount(text)


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/a", Device("/dev/a", "/dev/a")),
        ("/dev/a:r", Device("/dev/a", "/dev/a", "r")),
        ("/dev/a:/dev/b", Device("/dev/a", "/dev/b")),
        ("/dev/a:/dev/b:rw", Device("/dev/a", "/dev/b", "rw")),
    ],
)
def test_devices(text: str, device: Device) -> None:
    assert devices.parse_device(text) == device


@pytest.mark.parametrize("text", ["", "a", "/dev/a:b", "/dev/a:/dev/b:x", "/a:/b:r:w", "/a:/b:rr"])
def test_bad_devices(text: str) -> None:
    with pytest.raises(InvalidArgument):
        devices.parse_device(text)


def test_environment_entries() -> None:
    host = {"HOME": "/root"}
    assert environment.parse_env("A=b=c", host) == "A=b=c"
    assert environment.parse_env("HOME", host) == "HOME=/root"
    assert environment.parse_env("NONE", host) is None
    with pytest.raises(InvalidArgument, match="invalid environment variable: =a"):
        environment.parse_env("=a", host)


def test_environment_files() -> None:
    content = b"\xef\xbb\xbfA=1\r\n\n# no\n  B=two words \nHOME\nGONE\nC='q'\n"
    entries = environment.parse_env_file(content, "f", {"HOME": "/root"})
    assert entries == ["A=1", "B=two words ", "HOME=/root", "C='q'"]
    for bad, words in (
        (b"a b=1", "variable 'a b' contains whitespaces"),
        (b"=1", "no variable name on line '=1'"),
        (b"A=1\n\xff", r"env file \(f\): invalid utf8 bytes at line 2: \[255\]"),
    ):
        with pytest.raises(InvalidArgument, match=words):
            environment.parse_env_file(bad, "f", {})


def test_sysctls() -> None:
    assert environment.check_sysctl("net.ipv4.ip_forward=1") == "net.ipv4.ip_forward=1"
    with pytest.raises(InvalidArgument, match=r"sysctl 'kernel\.hostname=x' is not allowed"):
        environment.check_sysctl("kernel.hostname=x")


@pytest.mark.parametrize(
    ("asked", "first", "missing"),
    [
        (Security(), "CAP_CHOWN", "CAP_SYS_ADMIN"),
        (Security(cap_drop=("chown",)), "CAP_DAC_OVERRIDE", "CAP_CHOWN"),
        (Security(cap_drop=("ALL",), cap_add=("net_admin",)), "CAP_NET_ADMIN", "CAP_CHOWN"),
        (Security(cap_add=("ALL",), cap_drop=("CAP_CHOWN",)), "CAP_DAC_OVERRIDE", "CAP_CHOWN"),
    ],
)
def test_capabilities(asked: Security, first: str, missing: str) -> None:
    found = security.capabilities(asked)
    assert found[0] == first
    assert missing not in found


def test_unknown_capabilities() -> None:
    with pytest.raises(InvalidArgument, match='invalid CapAdd: unknown capability: "CAP_FLY"'):
        security.capabilities(Security(cap_add=("fly",)))


def test_security_options() -> None:
    parsed = security.parse_security(
        ["no-new-privileges", "seccomp=/p", "systempaths=unconfined"], lambda _: b'{"a": 1}'
    )
    assert parsed.no_new_privileges
    assert parsed.unmasked
    assert parsed.seccomp == '{"a":1}'
    assert security.parse_security(["seccomp:unconfined"], lambda _: b"").seccomp == "unconfined"


def test_switches_among_security_options() -> None:
    parsed = security.parse_security(
        ["no-new-privileges:false", "writable-cgroups=1", "apparmor=unconfined", "label=disable"],
        lambda _: b"",
    )
    assert not parsed.no_new_privileges
    assert parsed.writable_cgroups


def test_bad_security_options() -> None:
    def read(path: str) -> bytes:
        if path == "/missing":
            raise FileNotFoundError(2, "No such file or directory")
        return b"{"

    for text, words in (
        ("speed=high", 'invalid --security-opt: "speed=high"'),
        ("no-new-privileges=maybe", "invalid --security-opt"),
        ("seccomp=/missing", "open /missing: no such file or directory"),
        ("seccomp=/bad", "compacting json for seccomp profile"),
    ):
        with pytest.raises(InvalidArgument, match=words):
            security.parse_security([text], read)


@pytest.mark.parametrize(
    ("text", "number"),
    [("KILL", 9), ("sigterm", 15), ("15", 15), ("RTMIN", 34), ("SIGRTMIN+3", 37), ("RTMAX-1", 63),
     ("POLL", 29)],
)  # fmt: skip
def test_signals(text: str, number: int) -> None:
    assert names.parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "TERMINATE", "RTMIN-1", "RTMIN+99", "RTMAX+1"])
def test_bad_signals(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid signal"):
        names.parse_signal(text)


def test_extra_hosts() -> None:
    assert names.parse_extra_host("a:1.2.3.4") == "a:1.2.3.4"
    assert names.parse_extra_host("a=host-gateway") == "a:host-gateway"
    assert names.parse_extra_host("a:[::1]") == "a:::1"
    with pytest.raises(InvalidArgument, match='bad format for add-host: "a"'):
        names.parse_extra_host("a")
    with pytest.raises(InvalidArgument, match='invalid IP address in add-host: "b"'):
        names.parse_extra_host("a:b")


@pytest.mark.parametrize("name", ["ab", "a.b", "a_-9"])
def test_names(name: str) -> None:
    names.check_name(name)


@pytest.mark.parametrize("name", ["", "a", "-ab", "a b", "a/b", "é2"])
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidArgument, match="are allowed"):
        names.check_name(name)


def test_options_survive_the_database() -> None:
    options = Options(
        image="busybox",
        command=("a",),
        entrypoint=(),
        labels={"a": "b"},
        healthcheck=Healthcheck(("CMD", "x"), retries=3),
        mounts=(MountRequest("tmpfs", "/t", tmpfs_mode=0),),
        resources=Resources(memory=1, ulimits=(Ulimit("nofile", 1, 2),)),
    )
    assert encoding.decode(encoding.encode(options)) == options
    assert encoding.decode(encoding.encode(Options())) == Options()
    with pytest.raises(Corrupt):
        encoding.decode('{"colour": "red"}')


IMAGE = RunConfig(
    user="app",
    exposed_ports=("80/tcp",),
    env=("PATH=/bin", "A=image"),
    entrypoint=("/entry",),
    cmd=("serve",),
    volumes=("/data", "/log"),
    working_dir="/srv",
    labels={"who": "image", "x": "y"},  # type: ignore[arg-type]
    stop_signal="SIGQUIT",
    healthcheck=Healthcheck(("CMD", "check"), interval_ns=5),
)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (Options(), ("/entry", "serve")),
        (Options(command=("x",)), ("/entry", "x")),
        (Options(entrypoint=("sh",)), ("sh",)),
        (Options(entrypoint=("sh",), command=("-c",)), ("sh", "-c")),
        (Options(entrypoint=("",), command=("ls",)), ("ls",)),
    ],
)
def test_what_runs(options: Options, arguments: tuple[str, ...]) -> None:
    assert merged(options, IMAGE).process_arguments() == arguments


def test_nothing_to_run() -> None:
    for options in (Options(entrypoint=("",)), Options()):
        with pytest.raises(InvalidArgument, match="no command specified"):
            merged(options, RunConfig(cmd=("x",) if options.entrypoint else None))


def test_the_image_fills_what_is_open() -> None:
    options = Options(
        env=("A=mine", "B=2", "PATH"),
        labels={"who": "me"},
        exposed=("53/udp",),
        mounts=(MountRequest("bind", "/log", "/var/log"),),
        healthcheck=Healthcheck(retries=2),
    )
    result = merged(options, IMAGE)
    assert result.user == "app"
    assert result.working_dir == "/srv"
    assert result.env == ("A=mine", "B=2", "PATH")
    assert result.labels == {"who": "me", "x": "y"}
    assert result.exposed == ("53/udp", "80/tcp")
    assert result.stop_signal == "SIGQUIT"
    assert result.healthcheck == Healthcheck(("CMD", "check"), interval_ns=5, retries=2)
    assert [mount.target for mount in result.mounts] == ["/log", "/data"]
    assert result.mounts[1].image_volume


def test_one_place_holds_one_mount() -> None:
    twice = (MountRequest("tmpfs", "/a"), MountRequest("volume", "/a"))
    with pytest.raises(InvalidArgument, match="duplicate mount point: /a"):
        merged(Options(mounts=twice, command=("x",)), RunConfig())
