"""`build --output`: the result as files, as archives, in the store, or several of these."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from support.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.root

MADE = """\
FROM busybox AS work
RUN mkdir -p /out/sub && echo made > /out/sub/file && chown -R 1234:1234 /out && \\
    chmod 4755 /out/sub/file && ln -s /etc/passwd /out/link && ln /out/sub/file /out/again
FROM scratch
COPY --from=work /out /
"""


def untagged(shop: Workshop) -> list[str]:
    return shop.knarr("images", "-q", "--filter", "dangling=true").split()


def test_local_output_is_the_files_of_the_last_stage(shop: Workshop, tmp_path: Path) -> None:
    shop.build(MADE, "-o", str(tmp_path / "out"))
    out = tmp_path / "out"
    assert sorted(os.listdir(out)) == ["again", "link", "sub"]
    assert (out / "sub" / "file").read_text() == "made\n"
    assert os.readlink(out / "link") == "/etc/passwd"
    status = (out / "sub" / "file").stat()
    assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
    assert stat.S_IMODE(status.st_mode) == 0o755, "it may not act for its new owner"
    assert shop.knarr("images", "-q", "made") == ""
    assert untagged(shop) == []


def test_local_output_never_leaves_its_directory(shop: Workshop, tmp_path: Path) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    out.mkdir()
    (out / "sub").symlink_to(outside)
    (out / "link").symlink_to(outside / "target")
    shop.write("Dockerfile", MADE)
    built = shop.try_build("-o", f"type=local,dest={out}")
    assert built.status == 1
    assert "cannot copy to non-directory" in built.output
    (out / "sub").unlink()
    shop.build("", "-o", f"type=local,dest={out}")
    assert os.readlink(out / "link") == "/etc/passwd"
    assert os.listdir(outside) == []


def test_devices_do_not_come_along(shop: Workshop, tmp_path: Path) -> None:
    shop.build("FROM busybox\nRUN mknod /null c 1 3 && mkfifo /pipe", "-o", str(tmp_path / "out"))
    assert (tmp_path / "out" / "pipe").is_fifo()
    assert not (tmp_path / "out" / "null").exists()


def test_tar_output_goes_to_a_file_or_to_standard_output(shop: Workshop, tmp_path: Path) -> None:
    shop.build(MADE, "-o", f"type=tar,dest={tmp_path}/out.tar")
    with tarfile.open(tmp_path / "out.tar") as archive:
        member = archive.getmember("sub/file")
        assert (member.uid, member.mode) == (1234, 0o4755)
    data = (tmp_path / "out.tar").read_bytes()
    command = shop.knarr.command("build", "-o", "-", str(shop.directory))
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout == data


def test_archives_of_the_image_can_be_loaded(shop: Workshop, tmp_path: Path) -> None:
    oci, docker, layout = f"{tmp_path}/oci.tar", f"{tmp_path}/docker.tar", f"{tmp_path}/layout"
    outputs = ("-o", f"type=oci,dest={oci}", "-o", f"type=docker,dest={docker}")
    shop.build(MADE, *outputs, "-o", f"type=oci,tar=false,dest={layout}", tag="some:where")
    assert shop.knarr("images", "-q", "some:where") == ""
    assert untagged(shop) == []
    with tarfile.open(oci) as archive:
        assert "manifest.json" not in archive.getnames()
    for path in (oci, docker):
        assert "some:where" in shop.knarr("load", "-i", path)
        shop.knarr("rmi", "some:where")
    index = json.loads((tmp_path / "layout" / "index.json").read_bytes())
    assert len(index["manifests"]) == 1


def test_several_outputs_of_one_build(shop: Workshop, tmp_path: Path) -> None:
    words = ("-o", "type=image,name=other:name", "-o", f"type=local,dest={tmp_path}/out")
    shop.build(MADE, *words)
    assert shop.knarr("images", "-q", "other:name") != ""
    assert shop.knarr("images", "-q", "made") == ""
    assert (tmp_path / "out" / "sub" / "file").exists()


def test_an_image_that_was_there_before_stays(shop: Workshop, tmp_path: Path) -> None:
    shop.write("Dockerfile", MADE)
    shop.knarr("build", "-q", str(shop.directory))
    before = untagged(shop)
    assert len(before) == 1
    shop.build("", "-o", f"type=oci,dest={tmp_path}/oci.tar")
    assert untagged(shop) == before


def test_an_archive_that_cannot_be_written_leaves_nothing(shop: Workshop, tmp_path: Path) -> None:
    said = shop.fail(MADE, "-o", f"type=oci,dest={tmp_path}/gone/oci.tar")
    assert "does not exist" in said
    assert untagged(shop) == []


def test_metadata_says_what_was_built(shop: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    archive = f"{tmp_path}/oci.tar"
    shop.build(MADE, "--metadata-file", str(path), "-o", f"type=oci,dest={archive}", "--load")
    about = json.loads(path.read_bytes())
    assert about["containerimage.config.digest"] == shop.image_id()
    assert about["image.name"] == "docker.io/library/made:latest"
    with tarfile.open(archive) as files:
        member = files.extractfile("index.json")
        assert member is not None
        manifest = json.load(io.BytesIO(member.read()))["manifests"][0]
    assert about["containerimage.digest"] == manifest["digest"]
    assert about["containerimage.descriptor"]["size"] == manifest["size"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("type=cake", "unknown output type cake"),
        ("dest=x", "type is required"),
        ("type=local", "dest is required for local output"),
        ("type=tar,dest=/", "destination / is a directory"),
        ("type=local,dest=/dev/null", "is not a directory"),
        ("type=image,dest=x", "has no destination"),
        ("type=oci,colour=red", "there is no colour"),
        ("type=docker,tar=false,dest=x", "tar=false is for oci"),
    ],
)
def test_outputs_that_cannot_be_are_refused(shop: Workshop, output: str, message: str) -> None:
    shop.write("Dockerfile", MADE)
    built = shop.try_build("-o", output)
    assert built.status == 1
    assert message in built.output
    assert "#1" not in built.output, "nothing was done before"
