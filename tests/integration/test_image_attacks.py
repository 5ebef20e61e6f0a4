"""Archives made to do harm: refused whole, or unpacked without the harm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import unicodedata
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard

from support import images
from support.archives import archive
from support.engine import lent_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.engine import Knarr

pytestmark = pytest.mark.root

INDEX = "application/vnd.oci.image.index.v1+json"
LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Knarr]:
    """Lend a command with an empty store, and something beside it that must stay as it is."""
    (tmp_path / "victim").write_text("as it was")
    with lent_store(tmp_path / "store") as lent:
        yield lent
    assert (tmp_path / "victim").read_text() == "as it was"


def refuse(store: Knarr, data: bytes, why: str) -> None:
    """Assert that an archive is refused, in a line and a hint, and leaves nothing."""
    done = store.do("load", stdin=data)
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert store.engine.layers.list() == []
    assert store.engine.blobs.list() == []
    assert os.listdir(store.engine.blobs.incoming_dir) == []


def load(store: Knarr, *layers: bytes) -> None:
    store("load", stdin=images.docker_archive(layers, "x:1"))


def tree(store: Knarr, position: int = -1) -> Path:
    (row,) = store.engine.images.records.all()
    return Path(store.engine.layers.path(store.engine.images.stack(row.id)[position]))


def text(lines: str) -> bytes:
    return archive(lines).read()


@pytest.mark.parametrize("target", ["/", "../../../..", "/etc", "."])
def test_a_link_of_one_layer_is_no_way_for_the_next(
    store: Knarr, tmp_path: Path, target: str
) -> None:
    first = text(f"symlink way to={target}")
    victim = str(tmp_path / "victim").lstrip("/")
    through = text(f"file way/{victim} data=taken")
    done = store.do("load", stdin=images.docker_archive([first, through], "x:1"))
    if done.returncode:
        assert "way" in done.stderr
    else:  # the directory takes the link's place
        assert (tree(store) / "way" / victim).read_text() == "taken"


def test_a_hard_link_to_a_file_of_the_host(store: Knarr, tmp_path: Path) -> None:
    layers = [text("symlink way to=/"), text(f"link mine to=way{tmp_path}/victim")]
    refuse(store, images.docker_archive(layers, "x:1"), "mine")


def test_names_that_differ_in_case_or_form_alone_are_two(store: Knarr) -> None:
    composed = unicodedata.normalize("NFC", "é")
    parted = unicodedata.normalize("NFD", "é")
    load(store, images.layer_tar({"a": b"1", "A": b"2", composed: b"3", parted: b"4"}))
    found = {path.name: path.read_bytes() for path in tree(store).iterdir()}
    assert found == {"a": b"1", "A": b"2", composed: b"3", parted: b"4"}


def test_overlays_own_words_mean_nothing_in_an_archive(store: Knarr) -> None:
    below = text("dir d\nfile d/below data=x")
    above = text(
        "dir d xattr=trusted.overlay.opaque=y\n"
        "file r xattr=trusted.overlay.redirect=/etc xattr=trusted.overlay.metacopy=x"
    )
    done = store.do("load", stdin=images.docker_archive([below, above], "x:1"))
    if done.returncode:
        assert "trusted.overlay" in done.stderr
        return
    assert not [name for name in os.listxattr(tree(store) / "d") if "overlay" in name]
    assert not [name for name in os.listxattr(tree(store) / "r") if "overlay" in name]
    root_fd = store.engine.layers.mount(
        store.engine.images.stack(store.engine.images.get("x:1").id)
    )
    try:
        assert os.path.exists(f"/proc/self/fd/{root_fd}/d/below")
    finally:
        os.close(root_fd)


def test_a_user_whose_name_has_kilobytes(store: Knarr) -> None:
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("file")
        member.uname = member.gname = "long" * 1000
        member.uid, member.gid = 12, 34
        tar.addfile(member)
    load(store, out.getvalue())
    status = (tree(store) / "file").stat()
    assert (status.st_uid, status.st_gid) == (12, 34)
    assert store("system", "check") == "Everything is as it should be.\n"


def test_a_manifest_of_ten_megabytes(store: Knarr) -> None:
    padded = b"[" + b" " * 10_000_000 + b"]"
    refuse(store, images.archive({"manifest.json": padded}), "manifest.json")
    layout = {"oci-layout": LAYOUT, "index.json": b"{" + b" " * 10_000_000 + b"}"}
    refuse(store, images.archive(layout), "index.json")


def test_a_document_that_grows_when_it_is_unpacked(store: Knarr) -> None:
    """A few kilobytes become 300 MB of document, of which no more is read than may be."""
    bomb = images.archive({"manifest.json": b" " * 300_000_000})
    packed = zstandard.compress(bomb, 1)
    assert len(packed) < 100_000
    refuse(store, packed, "manifest.json")


def test_records_of_an_entry_without_end(store: Knarr) -> None:
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("file")
        member.pax_headers = {"comment": "x" * (2 << 20)}
        tar.addfile(member)
    refuse(store, images.docker_archive([out.getvalue()], "x:1"), "file")


def test_a_file_that_promises_more_than_there_is(store: Knarr) -> None:
    member = tarfile.TarInfo("file")
    member.size = 1 << 35
    lying = member.tobuf() + b"x" * 5120
    refuse(store, images.docker_archive([lying], "x:1"), "ends too early")


@pytest.mark.parametrize("size", [1, 10**9])
def test_a_layer_whose_size_is_a_lie(store: Knarr, size: int) -> None:
    layer = images.layer_tar({"f": b"x"})
    files = images.oci_files([layer], "x:1", compression="")
    (entry,) = json.loads(files["index.json"])["manifests"]
    raw = files.pop(f"blobs/sha256/{entry['digest'][7:]}")
    manifest = json.loads(raw)
    manifest["layers"][0]["size"] = size
    changed = json.dumps(manifest).encode()
    listed = {**images.descriptor(entry["mediaType"], changed)}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [listed]}).encode()
    files[f"blobs/sha256/{images.sha(changed)[7:]}"] = changed
    refuse(store, images.archive(files), images.sha(layer))


def test_an_index_that_contains_itself(store: Knarr) -> None:
    """No document can hold its own digest: one that claims to is not what it claims to be."""
    digest = images.sha(b"anything")
    inner = json.dumps(
        {"schemaVersion": 2, "manifests": [{"mediaType": INDEX, "digest": digest, "size": 9}]}
    ).encode()
    files = {"oci-layout": LAYOUT, "index.json": inner, f"blobs/sha256/{digest[7:]}": inner}
    refuse(store, images.archive(files), digest)


def test_indexes_in_indexes_without_end(store: Knarr) -> None:
    files = {"oci-layout": LAYOUT}
    inner = b'{"schemaVersion": 2, "manifests": []}'
    for _ in range(2000):
        files[f"blobs/sha256/{images.sha(inner)[7:]}"] = inner
        listed = images.descriptor(INDEX, inner)
        inner = json.dumps({"schemaVersion": 2, "manifests": [listed]}).encode()
    refuse(store, images.archive({**files, "index.json": inner}), "index")


def test_a_device_in_an_image_is_for_nobody_on_the_host(store: Knarr) -> None:
    load(store, text("block disk number=1:0 mode=666"))
    assert (tree(store) / "disk").is_block_device()
    assert (os.stat(store.engine.paths.layers_dir).st_mode & 0o077) == 0


def test_a_device_in_an_image_opens_nothing_in_a_container(knarr: Knarr, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN mknod /mine b 1 0 && chmod 666 /mine\n")
    assert knarr.do("build", "-t", "made", str(tmp_path)).returncode == 0
    said = knarr.fails("run", "--rm", "--network", "none", "made", "head", "-c1", "/mine")
    assert "Operation not permitted" in said


@pytest.mark.parametrize("count", [500])
def test_an_image_of_many_layers(store: Knarr, count: int) -> None:
    layers = [images.layer_tar({f"f{n}": str(n).encode()}) for n in range(count)]
    load(store, *layers)
    root_fd = store.engine.layers.mount(
        store.engine.images.stack(store.engine.images.get("x:1").id)
    )
    try:
        names = os.listdir(f"/proc/self/fd/{root_fd}/")
        assert sorted(names) == sorted(f"f{n}" for n in range(count))
    finally:
        os.close(root_fd)


BOMB = images.layer_tar({"zeros": bytes(20_000_000)})


def bombs() -> dict[str, tuple[str, bytes]]:
    """Return what grows twenty-thousandfold, and what it is called in the refusal."""
    layout = images.oci_files([BOMB], "x:1", compression="+zstd")
    (layer,) = [data for data in layout.values() if data.startswith(b"\x28\xb5\x2f\xfd")]
    archive_of_it = images.docker_archive([BOMB], "x:1")
    return {
        "layer": (f"layer {images.sha(layer)}", images.archive(layout)),
        "archive": ("the archive", zstandard.compress(archive_of_it)),
    }


@pytest.mark.parametrize("case", ["layer", "archive"])
def test_what_grows_beyond_belief(
    store: Knarr, settings: Callable[[str], Path], tmp_path: Path, case: str
) -> None:
    what, data = bombs()[case]
    settings('[images]\ngrowth_free = "1MB"\n')
    refuse(store, data, f"{what} grows from ")
    said = store.do("load", stdin=data).stderr
    assert "raise images.growth in the settings" in said
    packed = tmp_path / "root.tar.zst"
    packed.write_bytes(zstandard.compress(BOMB))
    assert "the archive grows from " in store.fails("import", str(packed), "x:1")
    assert os.listdir(store.engine.blobs.incoming_dir) == []
    settings('[images]\ngrowth_free = "1MB"\ngrowth = 0\n')
    assert store("load", stdin=data) == "Loaded image: x:1\n"
    store("rmi", "x:1")
    settings("")
    assert store("load", stdin=data) == "Loaded image: x:1\n"  # so little is let through


def test_attributes_that_only_root_sees(store: Knarr) -> None:
    """They are content, but for overlay's own."""
    load(store, text("file f data=x xattr=trusted.mine=1 xattr=user.a=b xattr=trusted.overlay.x=y"))
    found = tree(store) / "f"
    assert set(os.listxattr(found)) == {"trusted.mine", "user.a"}
    assert os.getxattr(found, "trusted.mine") == b"1"


def test_names_of_kilobytes(store: Knarr, tmp_path: Path) -> None:
    """Of images, of files in an archive, in a layer: refused, each in a line that can be read."""
    name = "n" * 5000
    files = images.oci_files([images.layer_tar({"f": b"x"})], f"{name}:1")
    refuse(store, images.archive(files), "names an image")
    layer = images.layer_tar({f"{'d' * 200}/" * 30 + "f": b"x"})
    refuse(store, images.docker_archive([layer], "x:1"), "too long")
    for words in (("pull", name), ("tag", "x", name), ("image", "copy", f"docker://{name}", "y")):
        said = store.fails(*words)
        assert len(said) < 12_000
        assert "repository name must not be more than 255 characters" in said


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed (util-linux)")
def test_a_device_without_the_right_to_make_one(store: Knarr, tmp_path: Path) -> None:
    archive_path = tmp_path / "x.tar"
    archive_path.write_bytes(images.docker_archive([text("block disk number=1:0")], "x:1"))
    command = store.command("load", "-i", str(archive_path))
    done = subprocess.run(
        ["setpriv", "--bounding-set", "-mknod", "--inh-caps", "-mknod", *command],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "disk" in done.stderr
    assert "permitted" in done.stderr
    assert store.engine.layers.list() == []
    assert store.engine.images.list() == []
