"""From a command line and an image's config to the runtime spec, one case a folder.

`command` is what follows `knarr run`, `image.json` the image's "config" if it has one, `spec.json`
the result, in which the long seccomp profile is replaced by how many calls it allows.
`pytest --accept` rewrites the results.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from knarr.cli import options as parser
from knarr.cli.commands.run import COMMAND
from knarr.cli.creating import parse_create
from knarr.engine.container.mounts import FILES, Source, plan_mounts
from knarr.engine.container.specify import Place, environment, specify
from knarr.engine.container.users import identify
from knarr.engine.options.merge import merged
from knarr.engine.options.values import Options
from knarr.oci.config import RunConfig, decode_run_config
from knarr.oci.document import Fields

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = Path(__file__).parents[2] / "golden" / "specify"
PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
GROUP = "root:x:0:\nwheel:x:10:root\napp:x:1000:\naudio:x:29:app\n"


def options_of(case: Path) -> Options:
    words = shlex.split((case / "command").read_text())
    given, arguments = parser.parse(COMMAND, words, path="knarr run")
    asked = parse_create(given, arguments, detached=given.flag("detach"))
    config = RunConfig()
    if (case / "image.json").exists():
        document = json.loads((case / "image.json").read_text())
        config = decode_run_config(Fields(document, "image.json"))
    return merged(asked, config)


def place_of(options: Options) -> Place:
    devices = [
        ({"path": device.target, "type": "c", "major": 10, "minor": 1}, device.permissions)
        for device in options.resources.devices
    ]
    return Place(
        "0123456789abcdef",
        "/run/rootfs",
        hostname=options.hostname or "0123456789ab",
        domainname=options.domainname,
        identity=identify(options.user, options.group_add, passwd=PASSWD, group=GROUP),
        mounts=plan_mounts(
            options,
            bundle_dir="/bundle",
            files=FILES,
            source_of=lambda one: Source(
                f"/volumes/{one.source}" if one.kind == "volume" else one.source
            ),
        ),
        devices=devices,  # type: ignore[arg-type]
        cgroups_path="/knarr/0123456789abcdef",
        init_path="/host/init" if options.init else "",
        network="host" if options.networking.mode == "host" else "",
        joined=joined_of(options),
        shm="/proc/4711/root/dev/shm" if ":" in options.namespaces.ipc else "",
        block_devices={"/dev/vda": (254, 0)},
    )


def joined_of(options: Options) -> dict[str, str]:
    spaces = options.namespaces
    modes = {"network": options.networking.mode, "ipc": spaces.ipc, "pid": spaces.pid}
    modes["uts"] = spaces.uts
    return {kind: f"/proc/4711/ns/{kind}" for kind, mode in modes.items() if ":" in mode}


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_golden(case: Path, golden: Callable[[Path, str], None]) -> None:
    options = options_of(case)
    spec: dict[str, Any] = specify(options, place_of(options))  # type: ignore[assignment]
    profile = spec["linux"].get("seccomp")
    if profile:
        names = [name for rule in profile["syscalls"] for name in rule["names"]]
        profile["syscalls"] = len(names)
    golden(case / "spec.json", json.dumps(spec, indent=1) + "\n")


def test_the_environment_keeps_its_order() -> None:
    found = environment(
        ["A=1", "PATH=/bin", "HOSTNAME=mine"], hostname="box", home="/root", tty=True
    )
    assert found == ["PATH=/bin", "HOSTNAME=mine", "TERM=xterm", "A=1", "HOME=/root"]
    assert environment(["HOME=/x"], hostname="b", home="/root", tty=False)[-1] == "HOME=/x"
