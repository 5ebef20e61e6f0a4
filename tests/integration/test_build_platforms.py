"""Builds for several platforms at once."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from support.dockerregistry import docker_registry
from support.tinyelf import ARM64, program
from support.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

CROSS = """\
FROM --platform=$BUILDPLATFORM busybox AS build
ARG TARGETARCH
RUN echo made for $TARGETARCH > /made
FROM --platform=$BUILDPLATFORM busybox AS same
RUN date +%N > /once
FROM scratch
COPY --from=build /made /made
COPY --from=same /once /once
"""
BOTH = ("--platform", "linux/amd64,linux/arm64")


@pytest.fixture
def shop(knarr: Knarr, tmp_path: Path) -> Workshop:
    shop = Workshop(knarr, tmp_path / "context")
    shop.write("Dockerfile", CROSS)
    return shop


def blob(directory: Path, digest: str) -> Any:
    return json.loads((directory / "blobs" / digest.replace(":", "/")).read_bytes())


def test_an_index_has_an_image_for_each(shop: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "out"
    built = shop.build("", *BOTH, "-o", f"type=oci,tar=false,dest={out}")
    (listed,) = json.loads((out / "index.json").read_bytes())["manifests"]
    index = blob(out, listed["digest"])
    found = {each["platform"]["architecture"]: each for each in index["manifests"]}
    assert found.keys() == {"amd64", "arm64"}
    for architecture, entry in found.items():
        config = blob(out, blob(out, entry["digest"])["config"]["digest"])
        assert config["architecture"] == architecture
    layers = [blob(out, each["digest"])["layers"] for each in index["manifests"]]
    assert layers[0][0] != layers[1][0]
    assert layers[0][1] == layers[1][1], "what does not depend on the platform is done once"
    assert len([name for name in built.done if name.startswith("RUN date")]) == 1
    assert "[linux/arm64 " in built.output


def test_files_of_each_are_in_a_directory_of_their_own(shop: Workshop, tmp_path: Path) -> None:
    shop.build("", *BOTH, "-o", str(tmp_path / "out"))
    assert sorted(os.listdir(tmp_path / "out")) == ["linux_amd64", "linux_arm64"]
    assert (tmp_path / "out" / "linux_arm64" / "made").read_text() == "made for arm64\n"
    split = f"type=local,dest={tmp_path}/one,platform-split=true"
    shop.build("", "-o", split)
    assert len(os.listdir(tmp_path / "one")) == 1
    shop.build("", *BOTH, "-o", f"type=tar,dest={tmp_path}/tar")
    with tarfile.open(tmp_path / "tar") as archive:
        names = archive.getnames()
        assert {"linux_amd64", "linux_arm64", "linux_amd64/made", "linux_arm64/made"} <= {*names}
        made = archive.extractfile("linux_arm64/made")
        assert made is not None
        assert made.read() == b"made for arm64\n"
    docker = f"type=docker,dest={tmp_path}/docker.tar"
    assert "manifest lists" in shop.try_build(*BOTH, "-o", docker).output


def test_the_store_has_all_and_a_registry_gets_all(
    shop: Workshop, second: Knarr, tmp_path: Path
) -> None:
    with docker_registry(tmp_path / "registry") as host:
        name = f"{host}/made:1"
        shop.build("", *BOTH, "--push", tag=name)
        host_id = shop.image_id(name)
        for architecture in ("amd64", "arm64"):
            second("pull", "-q", "--platform", f"linux/{architecture}", name)
            form = "{{.Architecture}}"
            assert second("image", "inspect", "-f", form, name).strip() == architecture
        shop.build("", *BOTH, tag="made:here")
    assert shop.image_id("made:here") == host_id
    inspect = ("image", "inspect", "--platform", "linux/arm64", "-f", "{{.Architecture}}")
    assert shop.knarr(*inspect, "made:here").strip() == "arm64"


def test_provenance_of_each(shop: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shop.build("", *BOTH, "--provenance=true", "-o", f"type=oci,tar=false,dest={out}")
    (listed,) = json.loads((out / "index.json").read_bytes())["manifests"]
    about = [each.get("annotations", {}) for each in blob(out, listed["digest"])["manifests"]]
    assert [bool(each) for each in about] == [False, False, True, True]


def test_a_platform_given_twice_is_one(shop: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--platform", "linux/arm64,arm64", "-o", f"type=oci,tar=false,dest={out}")
    shop.build("", *words)
    (listed,) = json.loads((out / "index.json").read_bytes())["manifests"]
    assert "layers" in blob(out, listed["digest"])
    assert "invalid platform" in shop.try_build("--platform", "linux/amd64,a/b/c/d").output


def test_a_program_for_another_machine_says_what_is_missing(shop: Workshop, tmp_path: Path) -> None:
    if os.path.exists("/proc/sys/fs/binfmt_misc/qemu-riscv64"):
        pytest.skip("there is an emulator for it")
    header = bytes.fromhex("7f454c460201010000000000000000000200f3000100000000")
    shop.write("program", header.ljust(200, b"\0"), mode=0o755)
    said = shop.fail(
        'FROM scratch\nCOPY program /\nRUN ["/program"]', "--platform", "linux/riscv64"
    )
    assert "The program is for riscv64" in said
    assert "qemu-user-static" in said


# For arm64: mkdirat(AT_FDCWD, "/made", 0755), exit(0).
MAKES_DIRECTORY = struct.pack(
    "<8I", 0x92800C60, 0x100000E1, 0xD2803DA2, 0xD2800448, 0xD4000001, 0xD2800000, 0xD2800BA8,
    0xD4000001,
) + b"/made\0"  # fmt: skip


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[str]:
    """Register QEMU for programs of arm64 that have a mark at byte 8, and no others; yield that.

    What is registered is the machine's, and others run this test too: so the mark is its name.
    """
    emulating = shutil.which("qemu-aarch64-static")
    if emulating is None:
        pytest.skip("qemu-user-static is not installed")
    directory = tmp_path / "binfmt"
    directory.mkdir()
    words = ["mount", "-t", "binfmt_misc", "binfmt_misc", str(directory)]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("binfmt_misc cannot be mounted here")
    mark = os.urandom(4).hex()
    try:
        (directory / "register").write_text(f":{mark}:M:8:{mark}::{emulating}:F")
        try:
            yield mark
        finally:
            (directory / mark).write_text("-1")
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def test_steps_of_other_machines_run_where_an_emulator_is_registered(
    shop: Workshop, emulator: str, tmp_path: Path
) -> None:
    made = bytearray(program(MAKES_DIRECTORY, machine=ARM64))
    made[8:16] = emulator.encode()
    shop.write("program", bytes(made), mode=0o755)
    text = 'FROM scratch\nCOPY program /\nRUN ["/program"]'
    shop.build(text, "--platform", "linux/arm64", "-o", str(tmp_path / "out"))
    assert (tmp_path / "out" / "made").is_dir()


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed: no witness")
def test_skopeo_finds_each_platform(shop: Workshop, tmp_path: Path) -> None:
    shop.build("", *BOTH, "-o", f"type=oci,dest={tmp_path}/out.tar")
    for architecture in ("amd64", "arm64"):
        words = [
            "skopeo",
            "inspect",
            "--override-arch",
            architecture,
            f"oci-archive:{tmp_path}/out.tar",
        ]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
        assert json.loads(done.stdout)["Architecture"] == architecture
