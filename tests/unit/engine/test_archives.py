"""Archives of images are read by name, and what is unsafe in them is refused by name."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import pytest

from knarr.engine.image.places.archive import open_archive
from knarr.engine.image.places.dockerarchive import DockerArchiveSource
from knarr.engine.image.places.layout import LayoutSource
from knarr.engine.image.places.place import choose, read_document, read_manifest
from knarr.errors import Corrupt, InvalidArgument, NotFound, Unsupported
from knarr.oci.descriptor import OCI_LAYER, OCI_LAYER_GZIP, Descriptor, Platform, host_platform
from knarr.oci.digest import Digest
from knarr.oci.manifest import Index
from support import images
from support.archives import archive

FILES = {"a": b"A" * 1000, "d/b": b"B" * 70000, "c": b""}


@pytest.fixture
def spool(tmp_path: Path) -> str:
    return str(tmp_path / "incoming")


class Pipe(io.BytesIO):
    """A stream that cannot be read again."""

    def fileno(self) -> int:
        raise OSError


def test_files_are_read_where_they_lie(tmp_path: Path, spool: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"before" + images.archive(FILES))
    with path.open("rb") as stream:
        stream.seek(6)
        with open_archive(stream, spool) as found:
            path.unlink()
            assert {name: found.open(name).read() for name in FILES} == FILES
    assert not os.path.exists(spool)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_streams_are_kept_in_a_file_without_a_name(spool: str, pack: type[bytes]) -> None:
    with open_archive(Pipe(pack(images.archive(FILES))), spool) as found:
        assert os.listdir(spool) == []
        assert {name: found.open(name).read() for name in FILES} == FILES
        assert found.open("a").read(10) == b"A" * 10
        assert found.size("d/b") == 70000
        assert found.read("./a", 1000) == FILES["a"]
        with pytest.raises(Corrupt, match="a has 1000 bytes, more than 999"):
            found.read("a", 999)
        with pytest.raises(Corrupt, match="the archive has no nothing"):
            found.open("nothing")


def test_links_are_followed_by_name(spool: str) -> None:
    text = (
        "file x/layer.tar data=hello\nsymlink y/layer.tar to=../x/layer.tar\nlink z to=x/layer.tar"
    )
    with open_archive(archive(text), spool) as found:
        assert found.open("y/layer.tar").read() == found.open("z").read() == b"hello"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("file ../a data=x", r"\.\./a points outside"),
        ("file /etc/passwd data=x", "/etc/passwd points outside"),
        ("file a/../../b data=x", r"a/\.\./\.\./b points outside"),
        ("symlink a to=../../etc", "a points outside"),
        ("symlink a to=/etc/passwd", "a points outside"),
        ("link a to=../b", "a points outside"),
        ("file a data=x\nfile ./a data=y", r"\./a occurs twice"),
        ("file a data=x\nsymlink a to=b", "a occurs twice"),
        ("char a number=1:3", "a is neither a file nor"),
        ("fifo a", "a is neither a file nor"),
    ],
)
def test_unsafe_entries_are_named(spool: str, text: str, why: str) -> None:
    with pytest.raises(InvalidArgument, match=f"unsafe archive: {why}"):
        open_archive(archive(text), spool)


def test_links_in_a_circle_lead_nowhere(spool: str) -> None:
    with open_archive(archive("symlink a to=b\nsymlink b to=a"), spool) as found:
        assert "a" not in found


@pytest.mark.parametrize(
    ("data", "error", "why"),
    [
        (b"", InvalidArgument, "the archive is empty"),
        (b"no archive at all", Corrupt, "not a readable archive"),
        (images.archive(FILES)[:2000], Corrupt, "ends too early"),
        (gzip.compress(images.archive(FILES))[:-20], Corrupt, "gzip stream ends too early"),
    ],
)
def test_what_is_no_archive(spool: str, data: bytes, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        open_archive(Pipe(data), spool)


LAYER = images.layer_tar({"hello": b"world"})


def docker(spool: str, data: bytes) -> DockerArchiveSource:
    return DockerArchiveSource(open_archive(Pipe(data), spool))


def test_a_docker_archive(spool: str) -> None:
    gz = gzip.compress(LAYER)
    config = images.config_of([LAYER, LAYER])
    source = docker(spool, images.docker_archive([LAYER, gz], "a", "b:2", config=config))
    assert source.images() == [("0", ["docker.io/library/a:latest", "docker.io/library/b:2"])]
    manifest = read_manifest(source, source.resolve("0"), host_platform())
    assert read_document(source, manifest.config) == config
    assert [(x.media_type, x.digest) for x in manifest.layers] == [
        (OCI_LAYER, images.sha(LAYER)),
        (OCI_LAYER_GZIP, images.sha(gz)),
    ]
    assert source.open(manifest.layers[1]).read() == gz


@pytest.mark.parametrize(
    ("files", "error", "why"),
    [
        ({"manifest.json": b"{}"}, Corrupt, "must be a list of objects"),
        ({"manifest.json": b"[1]"}, Corrupt, "must be a list of objects"),
        ({"manifest.json": b'[{"Config": 1}]'}, Corrupt, r"\[0\]: Config must be a string"),
        ({"manifest.json": b'[{"Config": "none"}]'}, Corrupt, "the archive has no none"),
        (
            {"manifest.json": b'[{"Config": "c", "Layers": ["x"]}]', "c": images.config_of([])},
            Corrupt,
            "c names 0 layers, manifest.json 1",
        ),
        (
            {"manifest.json": b'[{"Config": "%b.json"}]' % (b"0" * 64), "0" * 64 + ".json": b"{}"},
            Corrupt,
            "000.json has the digest",
        ),
        (
            {"manifest.json": b'[{"Config": "c", "RepoTags": ["Bad Name"]}]', "c": b"{}"},
            InvalidArgument,
            "manifest.json names an image 'Bad Name'",
        ),
        (
            {
                "manifest.json": b'[{"Config": "c", "Layers": ["l"]}]',
                "c": images.config_of([LAYER]),
                "l": __import__("bz2").compress(LAYER),
            },
            Unsupported,
            "l is compressed with bzip2",
        ),
    ],
)
def test_broken_docker_archives(
    spool: str, files: dict[str, bytes], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        source = docker(spool, images.archive(files))
        for name, _ in source.images():
            source.resolve(name)


def layout(spool: str, files: dict[str, bytes]) -> LayoutSource:
    return LayoutSource(open_archive(Pipe(images.archive(files)), spool))


@pytest.mark.parametrize(
    ("name", "key", "reference"),
    [
        ("debian:12", "org.opencontainers.image.ref.name", "docker.io/library/debian:12"),
        ("v1", "org.opencontainers.image.ref.name", "docker.io/library/v1:latest"),
        ("ghcr.io/a/b:c", "io.containerd.image.name", "ghcr.io/a/b:c"),
    ],
)
def test_a_layout(spool: str, name: str, key: str, reference: str) -> None:
    source = layout(spool, images.oci_files([LAYER], name, key=key))
    ((digest, references),) = source.images()
    assert references == [reference]
    manifest = read_manifest(source, source.resolve(digest), host_platform())
    assert manifest.digest == digest


def test_broken_layouts(spool: str) -> None:
    files = images.oci_files([LAYER], "x")
    digest = layout(spool, files).images()[0][0]
    path = f"blobs/sha256/{digest[7:]}"
    with pytest.raises(Unsupported, match="version 2"):
        layout(spool, {**files, "oci-layout": b'{"imageLayoutVersion":"2.0.0"}'})
    with pytest.raises(InvalidArgument, match=r"index\.json names an image 'no name'"):
        layout(spool, images.oci_files([LAYER], "no name")).images()
    source = layout(spool, {**files, path: files[path].replace(b"schema", b"Schema")})
    with pytest.raises(Corrupt, match="is what was promised"):
        read_manifest(source, source.resolve(digest), host_platform())
    del files[path]
    source = layout(spool, files)
    with pytest.raises(Corrupt, match=f"the archive has no {path}"):
        source.open(source.resolve(digest))
    with pytest.raises(NotFound):
        source.resolve("sha256:" + "0" * 64)


ZERO = Digest("sha256:" + "0" * 64)


def entry(text: str, digits: str = "1", **more: object) -> Descriptor:
    os_name, architecture, variant = (*text.split("/"), "", "")[:3]
    platform = Platform(os_name, architecture, variant)
    return Descriptor("", Digest("sha256:" + digits * 64), 1, platform=platform).replace(**more)


def test_choosing_a_platform() -> None:
    arm, amd = entry("linux/arm64/v8", "1"), entry("linux/amd64", "2")
    note = entry("unknown/unknown", "3", annotations={"vnd.docker.reference.type": "attestation"})
    index = Index(b"", "", (note, arm, amd))
    assert choose(index, Platform("linux", "amd64")) == amd
    assert choose(index, Platform("linux", "arm64")) == arm
    assert choose(Index(b"", "", (note, arm)), Platform("linux", "amd64")) == arm
    with pytest.raises(NotFound, match="linux/s390x not found") as caught:
        choose(index, Platform("linux", "s390x"))
    assert caught.value.hint == "There is: linux/amd64, linux/arm64/v8."
