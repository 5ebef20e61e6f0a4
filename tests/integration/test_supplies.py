"""What a container is given from elsewhere: volumes of others, devices that files describe."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.oci.config import RunConfig
from support.engine import Knarr

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.root
RUN = ("run", "--rm", "--network", "none")
CDI = Path("/var/run/cdi")


def test_volumes_from_other_containers(knarr: Knarr, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "f").write_text("host\n")
    source = ("--name", "source", "-v", "/data", "-v", "named:/named")
    binds = ("-v", f"{tmp_path}/shared:/bind:ro", "--tmpfs", "/scratch")
    script = "echo kept > /data/f; echo named > /named/f"
    knarr("run", "--network", "none", *source, *binds, "busybox", "sh", "-c", script)
    cat = ("sh", "-c", "cat /data/f /named/f /bind/f; grep -c /scratch /proc/mounts")
    done = knarr.do(*RUN, "--volumes-from", "source", "busybox", *cat)
    assert done.stdout == "kept\nnamed\nhost\n0\n"
    write = ("sh", "-c", "echo x > /data/f; echo x > /bind/f; cat /data/f")
    done = knarr.do(*RUN, "--volumes-from", "source:ro", "busybox", *write)
    assert done.stdout == "kept\n"
    assert done.stderr.count("Read-only file system") == 2
    own = ("--volumes-from", "source", "-v", f"{tmp_path}:/data")
    assert knarr(*RUN, *own, "busybox", "ls", "/data").split() == sorted(os.listdir(tmp_path))
    # What was taken over is no anonymous volume of who took it, and is in use twice.
    knarr("create", "--name", "taker", "--volumes-from", "source:rw", "busybox")
    (document,) = json.loads(knarr("inspect", "taker"))
    assert document["HostConfig"]["VolumesFrom"] == ["source:rw"]
    assert "Mounts" not in document["HostConfig"]
    assert {one["Destination"] for one in document["Mounts"]} == {"/data", "/named", "/bind"}
    knarr("rm", "-v", "taker")
    assert knarr(*RUN, "--volumes-from", "source", "busybox", "cat", "/data/f") == "kept\n"
    knarr("rm", "-v", "source")
    assert knarr("volume", "ls", "-q") == "named\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "volumes-from specification cannot be an empty string"),
        (":ro", 'invalid name or ID supplied: ""'),
        ("x:nope", "invalid mode: nope"),
        ("x:nocopy", "invalid mode: nocopy"),
        ("nosuch", "no such container: nosuch"),
    ],
)
def test_volumes_from_nowhere(knarr: Knarr, text: str, words: str) -> None:
    assert words in knarr.fails(*RUN, "--volumes-from", text, "busybox", "true", status=125)


def test_links_on_the_default_network(knarr: Knarr) -> None:
    config = RunConfig(
        env=("PATH=/bin", "COLOUR=red"), cmd=("sh",), exposed_ports=("6379/tcp", "53/udp")
    )
    knarr.add_image("db", config=config)
    knarr("run", "-d", "--name", "the-db", "db", "sleep", "1000")
    address = knarr("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "the-db").strip()
    short = knarr("ps", "-q").strip()
    script = "env | grep ^DB | sort; grep -w db /etc/hosts; grep -c the-db /etc/hosts; ping -c1 db"
    link = ("--name", "web", "--link", "the-db:db", "-e", "DB_PORT=mine")
    found = knarr("run", *link, "busybox", "sh", "-c", script).splitlines()
    assert found[:12] == [
        "DB_ENV_COLOUR=red",
        "DB_NAME=/web/db",
        "DB_PORT=mine",
        f"DB_PORT_53_UDP=udp://{address}:53",
        f"DB_PORT_53_UDP_ADDR={address}",
        "DB_PORT_53_UDP_PORT=53",
        "DB_PORT_53_UDP_PROTO=udp",
        f"DB_PORT_6379_TCP=tcp://{address}:6379",
        f"DB_PORT_6379_TCP_ADDR={address}",
        "DB_PORT_6379_TCP_PORT=6379",
        "DB_PORT_6379_TCP_PROTO=tcp",
        f"{address}\tdb",
    ]
    assert f"PING db ({address})" in "\n".join(found)
    assert short in knarr("run", "--rm", "--link", "the-db", "busybox", "cat", "/etc/hosts")
    (document,) = json.loads(knarr("inspect", "web"))
    assert document["HostConfig"]["Links"] == ["the-db:db"]
    assert not any(entry.startswith("DB_ENV") for entry in document["Config"]["Env"])
    knarr("kill", "the-db")
    words = "Cannot link to a non running container: /the-db AS /web/db"
    assert words in knarr.fails("start", "-a", "web")


def test_links_on_a_network_of_users_are_names(knarr: Knarr) -> None:
    knarr("network", "create", "net")
    idle, ping = ("busybox", "sleep", "1000"), ("sh", "-c", "ping -c1 -W1 db")
    knarr("run", "-d", "--name", "web", "--network", "net", "--link", "the-db:db", *idle)
    assert "bad address 'db'" in knarr.do("exec", "web", *ping).stderr
    knarr("run", "-d", "--name", "the-db", "--network", "net", *idle)
    address = knarr("inspect", "-f", "{{.NetworkSettings.Networks.net.IPAddress}}", "the-db")
    assert f"PING db ({address.strip()})" in knarr("exec", "web", *ping)
    assert "bad address 'db'" in knarr.do("exec", "the-db", *ping).stderr
    assert "container web has no link nobody" in knarr.fails("rm", "--link", "web/nobody")
    assert "bad parent name: web" in knarr.fails("rm", "--link", "web")
    assert knarr("rm", "--link", "/web/db") == "/web/db\n"
    assert "bad address 'db'" in knarr.do("exec", "web", *ping).stderr
    assert sorted(knarr("ps", "--format", "{{.Names}}").split()) == ["the-db", "web"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--link", ""), "empty string specified for links"),
        (("--link", "a:b:c"), "bad format for links: a:b:c"),
        (("--link", "nosuch"), "could not get container for nosuch: no such container: nosuch"),
        (("--link", "x", "--network", "host"), "host type networking can't be used with links"),
    ],
)
def test_links_to_nowhere(knarr: Knarr, options: tuple[str, ...], words: str) -> None:
    assert words in knarr.fails("run", "--rm", *options, "busybox", "true", status=125)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--network", ""), "no name set for network"),
        (("--network", "none", "--network-alias", "x"), "only supported for user-defined networks"),
        (("--network", "name=host,alias=x"), "only supported for user-defined networks"),
    ],
)
def test_names_in_no_network(knarr: Knarr, options: tuple[str, ...], words: str) -> None:
    assert words in knarr.fails("run", "--rm", *options, "busybox", "true", status=125)


@pytest.fixture
def cdi() -> Iterator[str]:
    """Lend a vendor's name; the files that begin with it in the directory of CDI are removed."""
    vendor = f"knarr-test-{os.getpid()}.example"
    yield vendor
    for path in CDI.glob(f"{vendor}*"):
        path.unlink()
    with contextlib.suppress(OSError):  # others use it
        CDI.rmdir()


def describe(vendor: str, suffix: str, text: str) -> None:
    while True:
        CDI.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another test took the directory away
            (CDI / f"{vendor}{suffix}").write_text(text)
            return


def test_devices_that_a_file_describes(knarr: Knarr, cdi: str, tmp_path: Path) -> None:
    (tmp_path / "library").write_text("driver\n")
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\necho $1 $FLAVOUR > {tmp_path}/hooked\n")
    hook.chmod(0o755)
    document = {
        "cdiVersion": "0.6.0",
        "kind": f"{cdi}/thing",
        "containerEdits": {
            "env": ["COMMON=yes"],
            "mounts": [
                {
                    "hostPath": f"{tmp_path}/library",
                    "containerPath": "/usr/lib/driver",
                    "options": ["ro", "bind"],
                }
            ],
            "hooks": [
                {
                    "hookName": "createRuntime",
                    "path": str(hook),
                    "args": ["hook", "called"],
                    "env": ["FLAVOUR=sweet"],
                }
            ],
        },
        "devices": [
            {
                "name": "0",
                "containerEdits": {
                    "env": ["WHICH=zero"],
                    "additionalGids": [4321],
                    "deviceNodes": [
                        {"path": "/dev/thing0", "hostPath": "/dev/zero", "permissions": "r"},
                        {"path": "/dev/made", "type": "c", "major": 1, "minor": 7, "fileMode": 384},
                    ],
                },
            },
            {"name": "1", "containerEdits": {"env": ["WHICH=one"]}},
        ],
    }
    describe(cdi, ".json", json.dumps(document))
    script = """
        echo $COMMON $WHICH $(id -G) $(stat -c %t:%T /dev/thing0) $(stat -c %t:%T.%a /dev/made)
        cat /usr/lib/driver; head -c 1 /dev/thing0 | od -An -tx1"""
    found = knarr(*RUN, "--device", f"{cdi}/thing=0", "busybox", "sh", "-c", script)
    assert found == "yes zero 0 4321 1:5 1:7.600\ndriver\n 00\n"
    assert (tmp_path / "hooked").read_text() == "called sweet\n"
    both = ("--device", f"{cdi}/thing=0", "--device", f"{cdi}/thing=1", "-e", "WHICH=mine")
    assert knarr(*RUN, *both, "busybox", "sh", "-c", "echo $WHICH") == "one\n"
    words = f"CDI device injection failed: unresolvable CDI devices {cdi}/thing=2"
    asked = ("--device", f"{cdi}/thing=2")
    assert words in knarr.fails(*RUN, *asked, "busybox", "true", status=125)


def test_a_description_in_yaml_that_other_files_contradict(knarr: Knarr, cdi: str) -> None:
    text = f"""
        cdiVersion: "0.5.0"
        kind: {cdi}/thing
        devices:
        - name: all
          containerEdits:
            env: [FROM=yaml]
    """
    describe(cdi, ".yaml", text)
    device = ("--device", f"{cdi}/thing=all")
    assert knarr(*RUN, *device, "busybox", "sh", "-c", "echo $FROM") == "yaml\n"
    describe(cdi, "-2.yml", text)
    words = f"unresolvable CDI devices {cdi}/thing=all"
    assert words in knarr.fails(*RUN, *device, "busybox", "true", status=125)
    describe(cdi, "-2.yml", "{")
    assert knarr(*RUN, *device, "busybox", "sh", "-c", "echo $FROM") == "yaml\n"
    describe(cdi, ".yaml", "[")
    said = knarr.fails(*RUN, *device, "busybox", "true", status=125)
    assert f"{CDI}/{cdi}.yaml: while parsing a flow" in said
    rest = (
        f"kind: {cdi}/thing\ndevices: [{{name: all, containerEdits: {{intelRdt: {{closID: a}}}}}}]"
    )
    describe(cdi, ".yaml", rest)
    said = knarr.fails(*RUN, *device, "busybox", "true", status=125)
    assert "cannot use a CDI device: intelRdt is not supported" in said


def has_gpus() -> bool:
    names = [
        name for place in ("/etc/cdi", CDI) if os.path.isdir(place) for name in os.listdir(place)
    ]
    return any("nvidia" in name or "amd" in name or "intel" in name for name in names)


@pytest.mark.skipif(has_gpus(), reason="there are GPUs described on this machine")
def test_gpus(knarr: Knarr, cdi: str) -> None:
    words = 'could not select device driver "" with capabilities: [[gpu]]'
    assert words in knarr.fails(*RUN, "--gpus", "all", "busybox", "true", status=125)
    devices = [
        {"name": name, "containerEdits": {"env": [f"GPU{name}=yes"]}} for name in ("0", "1", "all")
    ]
    document = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": devices}
    describe(cdi, ".json", json.dumps(document))
    script = ("busybox", "sh", "-c", "echo $(env | grep ^GPU | sort)")
    assert knarr(*RUN, "--gpus", "all", *script) == "GPUall=yes\n"
    assert knarr(*RUN, "--gpus", "2", *script) == "GPU0=yes GPU1=yes\n"
    assert knarr(*RUN, "--gpus", "device=1", *script) == "GPU1=yes\n"
    assert knarr(*RUN, "--gpus", '"device=0,1",driver=nvidia', *script) == "GPU0=yes GPU1=yes\n"
    assert knarr(*RUN, "--gpus", "driver=cdi,device=nvidia.com/gpu=0", *script) == "GPU0=yes\n"
    knarr("create", "--name", "one", "--gpus", "all,capabilities=compute", "busybox")
    (document,) = json.loads(knarr("inspect", "one"))
    assert document["HostConfig"]["DeviceRequests"] == [
        {
            "Driver": "",
            "Count": -1,
            "DeviceIDs": None,
            "Capabilities": [["compute", "gpu"]],
            "Options": {},
        }
    ]
    for text, words in (
        ("x", 'invalid count (x): value must be either "all" or an integer'),
        ("foo=bar", "unexpected key 'foo' in 'foo=bar'"),
        ("1,2", "gpu request key 'count' can be specified only once"),
    ):
        said = knarr.fails(*RUN, "--gpus", text, "busybox", "true", status=125)
        assert f'invalid argument "{text}" for "--gpus" flag: {words}' in said
