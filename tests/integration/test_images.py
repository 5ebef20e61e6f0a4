"""Images through the command line: in, out, named, listed, removed."""

from __future__ import annotations

import gzip
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard

from support import images
from support.archives import archive
from support.engine import Knarr

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.root

BASE = images.layer_tar({"etc/": b"", "etc/hello": b"hello", "big": b"x" * 100_000})
TOP = images.layer_tar({"etc/.wh.hello": b"", "new/": b"", "new/f": b"y" * 3000})
OTHER_FILE = b"z" * 500
OTHER = images.layer_tar({"other": OTHER_FILE})
CONFIG = images.config_of([BASE, TOP])
ID = images.sha(CONFIG)


def contents(knarr: Knarr) -> dict[str, list[str]]:
    """Return what lies in the store, apart from what is always there."""
    found = {}
    for name in ("layers", "images/blobs/sha256", "images/incoming", "images/recipes", "journal"):
        path = f"{knarr.root}/{name}"
        names = os.listdir(path) if os.path.isdir(path) else []
        found[name] = sorted(n for n in names if n not in (".unsynced", ".empty"))
    return found


NOTHING: dict[str, list[str]] = {
    name: []
    for name in ("layers", "images/blobs/sha256", "images/incoming", "images/recipes", "journal")
}


def saved(knarr: Knarr, *names: str) -> bytes:
    """Return what `save` writes to a pipe."""
    return knarr.do("save", *names).stdout.encode("utf-8", "surrogateescape")


def tree(knarr: Knarr, image: str) -> dict[str, bytes]:
    """Return the files that a container of the image would see."""
    engine = knarr.engine
    root_fd = engine.layers.mount(engine.images.stack(engine.images.get(image).id))
    try:
        top = Path(f"/proc/self/fd/{root_fd}")
        return {
            str(path.relative_to(top)): path.read_bytes()
            for path in sorted(top.rglob("*"))
            if path.is_file()
        }
    finally:
        os.close(root_fd)


DOCKER = images.docker_archive([BASE, TOP], "x:1", config=CONFIG)
FORMS: dict[str, bytes] = {
    "docker": DOCKER,
    "docker.gz": gzip.compress(DOCKER),
    "docker.zst": zstandard.compress(DOCKER),
    "oci": images.oci_archive([BASE, TOP], "x:1", config=CONFIG, compression=""),
    "oci+gzip": images.oci_archive([BASE, TOP], "x:1", config=CONFIG),
    "oci+zstd": images.oci_archive([BASE, TOP], "x:1", config=CONFIG, compression="+zstd"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("piped", [False, True], ids=["file", "pipe"])
def test_every_form_gives_the_same_image(
    store: Knarr, tmp_path: Path, form: str, *, piped: bool
) -> None:
    if piped:
        said = store("load", stdin=FORMS[form])
    else:
        (tmp_path / "a").write_bytes(FORMS[form])
        said = store("load", "-i", str(tmp_path / "a"))
    assert said == "Loaded image: x:1\n"
    assert store("images", "-q", "--no-trunc") == f"{ID}\n"
    assert tree(store, "x:1") == {"big": b"x" * 100_000, "new/f": b"y" * 3000}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("out", ["docker-archive", "oci-archive"])
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_what_is_saved_is_what_was_loaded(
    store: Knarr, second: Knarr, tmp_path: Path, form: str, out: str, compression: str
) -> None:
    store("load", stdin=FORMS[form])
    path = str(tmp_path / "out")
    store("save", "-o", path, "--format", out, "--compression", compression, "x:1")
    assert second("load", "-i", path) == "Loaded image: x:1\n"
    assert second("images", "-q", "--no-trunc") == f"{ID}\n"
    assert tree(second, "x:1") == tree(store, "x:1")
    if form.startswith("oci"):
        document = json.loads(store("inspect", "x:1"))[0]
        assert json.loads(second("inspect", "x:1"))[0]["RepoDigests"] == document["RepoDigests"]
        assert len(document["RepoDigests"]) == 1


def test_a_layout_in_a_directory(store: Knarr, second: Knarr, tmp_path: Path) -> None:
    store("load", stdin=FORMS["oci+gzip"])
    store("load", stdin=images.docker_archive([BASE, OTHER], "y:1"))
    path = tmp_path / "layout"
    store("save", "--format", "oci-dir", "-o", str(path), "x:1")
    store("save", "--format", "oci-dir", "-o", str(path), "y:1")
    store("tag", "y:1", "x:1")
    store("save", "--format", "oci-dir", "-o", str(path), "x:1")
    assert second("load", "-i", str(path)) == "Loaded image: y:1\nLoaded image: x:1\n"
    assert len(second("images", "-q", "--no-trunc").split()) == 2
    assert tree(second, "x:1") == {
        "big": b"x" * 100_000,
        "etc/hello": b"hello",
        "other": OTHER_FILE,
    }
    assert not [p for p in path.rglob("*") if p.name.endswith(".tmp")]
    (path / "blobs/sha256" / ID[7:]).unlink()
    assert "it is no OCI layout" in second.fails("load", "-i", str(tmp_path))
    assert "needs a directory" in store.fails("save", "--format", "oci-dir", "x:1")


def test_saving_twice_gives_the_same_bytes(store: Knarr, second: Knarr, tmp_path: Path) -> None:
    store("load", stdin=DOCKER)
    one, two, three = (tmp_path / f"{name}.tar" for name in ("one", "two", "three"))
    store("save", "-o", str(one), "x:1")
    store("save", "-o", str(two), "x:1")
    second("load", "-i", str(one))
    second("save", "-o", str(three), "x:1")
    assert one.read_bytes() == two.read_bytes() == three.read_bytes()
    assert one.stat().st_mode & 0o777 == 0o600


def test_layers_are_there_once_on_disk(store: Knarr) -> None:
    store("load", stdin=DOCKER)
    found = contents(store)
    assert len(found["layers"]) == 2
    assert found["images/blobs/sha256"] == [ID[7:]]
    recipes = Path(store.root, "images/recipes")
    assert sum(path.stat().st_size for path in recipes.iterdir()) < 1000


def test_a_tar_that_cannot_be_made_again_is_kept(store: Knarr, second: Knarr) -> None:
    twice = archive(
        f"file f data={'a' * 500}\nfile f data={'b' * 500}\nfile g data={'c' * 500}"
    ).getvalue()
    store("load", stdin=images.docker_archive([twice], "t"))
    assert images.sha(twice)[7:] in contents(store)["images/blobs/sha256"]
    assert contents(store)["images/recipes"] == []
    archived = saved(store, "t")
    assert second("load", stdin=archived) == "Loaded image: t:latest\n"
    # An image made of it needs the tar as much as the one that brought it.
    store("load", stdin=images.docker_archive([twice, OTHER], "u"))
    store("rmi", "t")
    assert second("load", stdin=saved(store, "u")) == ("Loaded image: u:latest\n")
    store("rmi", "u")
    assert contents(store) == NOTHING


def test_a_blob_that_tells_more_than_its_tree_stays_as_long_as_its_layer(
    store: Knarr, second: Knarr
) -> None:
    twice = archive(f'file f data="{"a" * 400}"\nfile f data="{"b" * 400}"').getvalue()
    store("load", stdin=images.oci_archive([twice], "base"))
    store("load", stdin=images.docker_archive([twice, OTHER], "built"))
    store("rmi", "base")
    assert len(contents(store)["images/blobs/sha256"]) == 2
    archived = saved(store, "built")
    assert second("load", stdin=archived) == "Loaded image: built:latest\n"
    store("rmi", "built")
    assert contents(store) == NOTHING


def test_several_images_and_names_in_one_archive(store: Knarr, second: Knarr) -> None:
    store("load", stdin=DOCKER)
    store("load", stdin=images.docker_archive([BASE, OTHER], "y:1", "y:2", "z"))
    archived = saved(store, "x:1", "y", ID[7:19])
    assert second("load", stdin=archived) == (
        "Loaded image: x:1\nLoaded image: y:1\nLoaded image: y:2\n"
    )
    assert len(contents(second)["layers"]) == 3
    by_id = saved(store, ID[7:19])
    second("rmi", "x:1")
    assert second("load", stdin=by_id) == f"Loaded image ID: {ID}\n"


def test_a_newer_image_takes_the_name(store: Knarr) -> None:
    store("load", stdin=DOCKER)
    newer = images.docker_archive([BASE, OTHER], "x:1")
    assert store("load", stdin=newer) == (
        f"The image x:1 already exists, renaming the old one with ID {ID} to empty string\n"
        "Loaded image: x:1\n"
    )
    listed = store("images", "--format", "{{.Repository}} {{.Tag}} {{.ID}}", "--no-trunc")
    assert f"<none> <none> {ID}" in listed.splitlines()
    assert store("images", "-q", "--no-trunc", "-f", "dangling=true") == f"{ID}\n"
    store("image", "prune", "-f")
    assert store("images", "-q", "-f", "dangling=true") == ""
    assert len(contents(store)["layers"]) == 2


BROKEN = images.oci_files([BASE, TOP], "x:1", config=CONFIG, compression="")


def swapped(name: bytes, data: bytes) -> bytes:
    """Return an OCI archive in which one blob has other contents."""
    return images.archive({**BROKEN, f"blobs/sha256/{images.sha(name)[7:]}": data})


HOSTILE: dict[str, tuple[bytes, str]] = {
    "name": (archive("file ../../etc/passwd data=x").getvalue(), "../../etc/passwd points outside"),
    "cut": (DOCKER[:100_000], "ends too early"),
    "cut gzip": (gzip.compress(DOCKER)[:-9], "gzip stream ends too early"),
    "no image": (BASE, "it is no image"),
    "old": (archive("file repositories data={}").getvalue(), "Docker before 1.10"),
    "layer": (swapped(TOP, TOP.replace(b"y", b"z")), f"{images.sha(TOP)} is what was promised"),
    "short layer": (swapped(TOP, TOP[:1024]), images.sha(TOP)),
    "config": (swapped(CONFIG, CONFIG.replace(b"sh", b"xy")), f"{ID} is what was promised"),
    "docker layer": (
        images.docker_archive([BASE, TOP.replace(b"y", b"z")], "x:1", config=CONFIG),
        f"layer {images.sha(TOP)} is what was promised",
    ),
    "layers missing": (
        images.docker_archive([BASE], "x:1", config=CONFIG),
        "names 2 layers, manifest.json 1",
    ),
    "bad layer": (
        images.docker_archive([BASE, archive("file ../../x data=y").getvalue()], "x:1"),
        "../../x",
    ),
    "through a link": (
        images.docker_archive(
            [BASE, archive("symlink a to=/etc\nfile a/shadow data=y").getvalue()], "x:1"
        ),
        "a/shadow",
    ),
    "deep": (
        images.archive({"manifest.json": b"[" * 100_000}),
        "manifest.json is not valid JSON",
    ),
    "name of image": (images.docker_archive([BASE], "Not:a:name"), "names an image 'Not:a:name'"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_hostile_or_broken_leaves_nothing(store: Knarr, case: str) -> None:
    data, why = HOSTILE[case]
    done = store.do("load", stdin=data)
    assert done.returncode == 1
    assert done.stdout == ""
    assert why in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert store("images", "-q") == ""
    assert contents(store) == NOTHING


def test_one_bad_image_among_good_ones_refuses_all(store: Knarr) -> None:
    good, bad = images.config_of([BASE]), images.config_of([OTHER])
    listed = [
        {"Config": "good", "RepoTags": ["good:1"], "Layers": ["base"]},
        {"Config": "bad", "RepoTags": ["bad:1"], "Layers": ["top"]},
    ]
    files = {"good": good, "bad": bad, "base": BASE, "top": TOP}
    data = images.archive({**files, "manifest.json": json.dumps(listed).encode()})
    assert store.do("load", stdin=data).returncode == 1
    assert store("images", "-q") == ""
    assert contents(store) == NOTHING


# names


def test_tags(store: Knarr) -> None:
    store("load", stdin=DOCKER)
    store("tag", "x:1", "me/app")
    store("tag", ID[7:17], "localhost:5000/a/b:v2")
    assert json.loads(store("inspect", "me/app"))[0]["RepoTags"] == [
        "x:1",
        "me/app:latest",
        "localhost:5000/a/b:v2",
    ]
    fails: Callable[..., str] = store.fails
    assert fails("tag", "nope", "a") == "knarr: no such image: nope:latest\n"
    assert "is not a valid repository/tag: invalid reference format" in fails("tag", "x:1", "A:b")
    assert "digest reference" in fails("tag", "x:1", f"a@{ID}")


def test_finding(store: Knarr) -> None:
    store("load", stdin=FORMS["oci+gzip"])
    digest = json.loads(store("inspect", "x:1"))[0]["RepoDigests"][0]
    for name in ("x:1", ID, ID[7:], ID[7:10], ID[:14], digest, digest.replace("@", ":other@")):
        assert json.loads(store("inspect", name))[0]["Id"] == ID
    assert "no such image" in store.fails("history", "x")
    assert "invalid reference format" in store.fails("history", "x y")


def test_history_and_inspect(store: Knarr) -> None:
    store("load", stdin=DOCKER)
    form = "{{.ID}}|{{.CreatedBy}}|{{.Size}}"
    assert store("history", "--format", form, "x:1").splitlines() == [
        f'{ID[7:19]}|CMD ["sh"]|0B',
        "<missing>|COPY 1 /|3kB",
        "<missing>|COPY 0 /|100kB",
    ]
    assert store("history", "-q", "x:1").split() == [ID[7:19], "<missing>", "<missing>"]
    document = json.loads(store("image", "inspect", "x:1"))[0]
    assert document["Size"] == 103_005
    assert document["Architecture"] == "amd64"
    assert document["Created"] == "2024-01-02T03:04:05.678Z"
    assert document["Config"]["Labels"] == {"made": "by hand"}
    assert document["RootFS"]["Layers"] == [images.sha(BASE), images.sha(TOP)]


def test_lists(store: Knarr) -> None:
    store("load", stdin=DOCKER)
    later = images.config_of([OTHER], created="2025-01-01T00:00:00Z", config={})
    store("load", stdin=images.docker_archive([OTHER], "me/y:2", config=later))
    lines = store("images").splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert [line.split()[:2] for line in lines[1:]] == [["me/y", "2"], ["x", "1"]]
    assert lines[2].split()[-1] == "103kB"

    def names(*words: str) -> list[str]:
        return store("images", "--format", "{{.Repository}}:{{.Tag}}", *words).split()

    assert names("x") == names("x:1") == names("-f", "reference=x*") == ["x:1"]
    assert names("*/*") == ["me/y:2"]
    assert names("-f", "label=made") == names("-f", "label=made=by hand") == ["x:1"]
    assert names("-f", "before=me/y:2") == ["x:1"]
    assert names("-f", "since=x:1") == ["me/y:2"]
    assert names("-f", "until=2024-06-01") == ["x:1"]
    assert names("-f", "dangling=true") == []
    assert "invalid filter 'size'" in store.fails("images", "-f", "size=1")
    assert json.loads(store("images", "x", "--format", "json"))["Repository"] == "x"


# removing


def test_removing_by_name_and_by_id(store: Knarr) -> None:
    store("load", stdin=DOCKER)
    store("tag", "x:1", "y:1")
    assert store("rmi", "y:1") == "Untagged: y:1\n"
    store("tag", "x:1", "y:1")
    short = ID[7:19]
    assert store.fails("rmi", short) == (
        f"knarr: conflict: unable to delete {short} (must be forced) - "
        "image is referenced in multiple repositories\n"
    )
    lines = store("rmi", "-f", short).splitlines()
    assert lines[:3] == ["Untagged: x:1", "Untagged: y:1", f"Deleted: {ID}"]
    assert len(lines) == 5
    assert contents(store) == NOTHING
    assert store.fails("rmi", "x:1") == "knarr: no such image: x:1\n"
    assert store.do("rmi", "-f", "x:1").returncode == 0


def test_names_are_taken_and_the_image_stays(store: Knarr) -> None:
    store("load", stdin=DOCKER)
    (image_id,) = set(store("images", "-q", "--no-trunc").split())
    store("tag", image_id, "a:1")
    store("tag", image_id, "a:2")
    said = store.fails("untag", "a:1", "a:2", "b:3")
    assert said == "knarr: image a:1 has no name b:3\n"
    assert store("untag", image_id, "a:2") == "Untagged: a:2\n"
    assert "Untagged: a:1\n" in store("image", "untag", "a:1")  # all that it has
    assert store("images", "--format", "{{.Repository}} {{.ID}}", "--no-trunc") == (
        f"<none> {image_id}\n"
    )
    assert "no such image" in store.fails("untag", "a:1")


def test_shared_layers_stay(store: Knarr) -> None:
    store("load", stdin=DOCKER)
    store("load", stdin=images.docker_archive([BASE, OTHER], "z"))
    lines = store("rmi", "x:1").splitlines()
    assert [line.split()[0] for line in lines] == ["Untagged:", "Deleted:", "Deleted:"]
    assert tree(store, "z")["big"] == b"x" * 100_000
    store("rmi", "z")
    assert contents(store) == NOTHING


def test_images_in_use(store: Knarr) -> None:
    store("load", stdin=DOCKER)
    container = store("create", "x:1", "sh").strip()
    short = ID[7:19]
    assert store.fails("rmi", "x:1") == (
        'knarr: conflict: unable to remove repository reference "x:1" (must force) - '
        f"container {container[:12]} is using its referenced image {short}\n"
    )
    assert store.fails("rmi", short) == (
        f"knarr: conflict: unable to delete {short} (must be forced) - "
        f"image is being used by stopped container {container[:12]}\n"
    )
    assert store("image", "prune", "-af") == "Total reclaimed space: 0B\n"
    assert store("rmi", "-f", short) == f"Untagged: x:1\nDeleted: {ID}\n"
    assert len(contents(store)["layers"]) == 2  # the container stands on them
    store("rm", container)


# importing


def test_importing(store: Knarr, tmp_path: Path) -> None:
    path = tmp_path / "root.tar"
    path.write_bytes(BASE)
    image = store(
        "import", "-m", "by hand", "-c", 'CMD ["cat", "/etc/hello"]', "-c", "ENV A=b C=$A",
        "-c", "WORKDIR /w", "--platform", "linux/arm64", str(path), "imported",
    ).strip()  # fmt: skip
    document = json.loads(store("inspect", "imported"))[0]
    assert document["Id"] == image
    assert document["RootFS"]["Layers"] == [images.sha(BASE)]
    assert document["Architecture"] == "arm64"
    assert document["Comment"] == "by hand"
    assert document["Config"]["Cmd"] == ["cat", "/etc/hello"]
    assert document["Config"]["WorkingDir"] == "/w"
    assert tree(store, "imported")["etc/hello"] == b"hello"


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"]
)
def test_importing_from_a_pipe(store: Knarr, pack: Callable[[bytes], bytes]) -> None:
    image = store("import", "-", stdin=pack(BASE)).strip()
    document = json.loads(store("inspect", image))[0]
    assert document["RepoTags"] == []
    assert document["Comment"] == "Imported from -"
    assert document["RootFS"]["Layers"] == [images.sha(BASE)]


@pytest.mark.parametrize(
    ("words", "stdin", "why"),
    [
        (["-"], b"", "the archive is empty"),
        (["-"], b"no archive", "not a readable archive"),
        (["-"], archive("file ../x data=y").getvalue(), "../x"),
        (["-c", "RUN x", "-"], BASE, "run is not a valid change command"),
        (["-c", "NONSENSE", "-"], BASE, "NONSENSE"),
        (["-", "Bad"], BASE, "must be lowercase"),
        (["--platform", "a/b/c/d", "-"], BASE, "is not a platform"),
        (["/nowhere/file"], b"", "no such file or directory"),
        (["https://localhost/x.tar"], b"", "cannot import from a URL"),
    ],
)
def test_bad_imports(store: Knarr, words: list[str], stdin: bytes, why: str) -> None:
    done = store.do("import", *words, stdin=stdin)
    assert done.returncode == 1
    assert why in done.stderr
    assert contents(store) == NOTHING


# files


def test_output_files(store: Knarr, tmp_path: Path) -> None:
    store("load", stdin=DOCKER)
    target = tmp_path / "out.tar"
    target.write_text("before")
    assert "no such image" in store.fails("save", "-o", str(target), "nope")
    assert target.read_text() == "before"
    assert "does not exist" in store.fails("save", "-o", str(tmp_path / "no/dir"), "x:1")
    assert "is a directory" in store.fails("save", "-o", str(tmp_path), "x:1")
    assert "invalid format" in store.fails("save", "--format", "x", "-o", str(target), "x:1")
    assert "invalid compression" in store.fails(
        "save", "--compression", "x", "-o", str(target), "x:1"
    )
    link = tmp_path / "link"
    link.symlink_to(target)
    store("save", "-o", str(link), "x:1")
    assert link.is_symlink()
    assert target.read_bytes() == saved(store, "x:1")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "out.tar", "store"]
    assert io.BytesIO(target.read_bytes()).read(6) == b"blobs/"
