"""What others make of our archives and of the store itself, and we of theirs.

skopeo and podman are oracles where they are installed; nothing of knarr needs them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support import images
from support.engine import Knarr

if TYPE_CHECKING:
    from collections.abc import Callable

needs_skopeo = pytest.mark.skipif(
    not shutil.which("skopeo"), reason="skopeo is not installed: nobody to compare with"
)
needs_podman = pytest.mark.skipif(
    not shutil.which("podman"), reason="podman is not installed: nobody to compare with"
)
pytestmark = [pytest.mark.root, needs_skopeo]

BASE = images.layer_tar({"etc/": b"", "etc/hello": b"hello", "big": b"x" * 50_000})
TOP = images.layer_tar({"new/": b"", "new/f": b"y" * 3000})
CONFIG = images.config_of([BASE, TOP])
DIFF_IDS = [images.sha(BASE), images.sha(TOP)]
FORMS = {
    "docker": images.docker_archive([BASE, TOP], "x:1", config=CONFIG),
    "oci+gzip": images.oci_archive([BASE, TOP], "x:1", config=CONFIG),
}


def run(*words: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def skopeo(*words: str | Path) -> str:
    return run("skopeo", "--insecure-policy", *words)


def inspect(place: str) -> Any:
    return json.loads(skopeo("inspect", place))


def config_of(place: str) -> bytes:
    return skopeo("inspect", "--config", "--raw", place).encode()


@pytest.mark.parametrize("form", FORMS)
def test_skopeo_reads_what_we_save(store: Knarr, tmp_path: Path, form: str) -> None:
    store("load", stdin=FORMS[form])
    docker, oci = tmp_path / "docker.tar", tmp_path / "oci.tar"
    store("save", "-o", str(docker), "x:1")
    store("save", "-o", str(oci), "--format", "oci-archive", "x:1")
    for place in (
        f"docker-archive:{docker}:x:1",
        f"oci-archive:{docker}:docker.io/library/x:1",
        f"oci-archive:{oci}:docker.io/library/x:1",
    ):
        found = inspect(place)
        assert (found["Os"], found["Architecture"], found["Env"]) == (
            "linux",
            "amd64",
            ["PATH=/bin"],
        )
        assert config_of(place) == CONFIG
        target = tmp_path / "copied"
        skopeo("copy", place, f"dir:{target}")
        manifest = json.loads((target / "manifest.json").read_text())
        assert len(manifest["layers"]) == 2
        shutil.rmtree(target)


def test_skopeo_reads_the_store_itself(
    store: Knarr, tmp_path: Path, settings: Callable[[str], Path]
) -> None:
    settings('[images]\nkeep_blobs = "always"\n')
    store("load", stdin=FORMS["oci+gzip"])
    store("tag", "x:1", "me/app:v2")
    layout = f"oci:{store.root}/images"
    for name in ("docker.io/library/x:1", "docker.io/me/app:v2"):
        assert config_of(f"{layout}:{name}") == CONFIG
    skopeo("copy", f"{layout}:docker.io/me/app:v2", f"oci:{tmp_path}/out:app")
    assert config_of(f"oci:{tmp_path}/out:app") == CONFIG


@pytest.mark.parametrize(
    ("kind", "compression"),
    [("docker-archive", ""), ("oci-archive", ""), ("oci-archive", "gzip"), ("oci-archive", "zstd")],
)
def test_we_read_what_skopeo_writes(
    store: Knarr, tmp_path: Path, kind: str, compression: str
) -> None:
    source = tmp_path / "source.tar"
    source.write_bytes(images.oci_archive([BASE, TOP], "s", config=CONFIG, compression=""))
    words = ["--dest-compress-format", compression] if compression else []
    target = tmp_path / "written.tar"
    name = "written:1" if kind == "docker-archive" else "docker.io/library/written:1"
    skopeo("copy", *words, f"oci-archive:{source}:s", f"{kind}:{target}:{name}")
    assert store("load", "-i", str(target)) == "Loaded image: written:1\n"
    document = json.loads(store("inspect", "written:1"))[0]
    assert document["RootFS"]["Layers"] == DIFF_IDS
    assert document["Id"] == images.sha(CONFIG)


@needs_podman
def test_podman_loads_what_we_save(store: Knarr, tmp_path: Path) -> None:
    store("load", stdin=FORMS["docker"])
    archive = tmp_path / "docker.tar"
    store("save", "-o", str(archive), "x:1")
    # podman refuses run directories of more than 50 characters.
    with tempfile.TemporaryDirectory(prefix="knarr-", dir="/tmp") as place:
        podman = ["podman", "--root", f"{place}/s", "--runroot", f"{place}/r",
                  "--storage-driver", "vfs"]  # fmt: skip
        run(*podman, "load", "-i", archive)
        found = json.loads(run(*podman, "image", "inspect", "docker.io/library/x:1"))[0]
        assert found["Id"] == images.sha(CONFIG)[7:]
        back = tmp_path / "back.tar"
        run(*podman, "save", "-o", back, "docker.io/library/x:1")
        store("rmi", "x:1")
        assert store("load", "-i", str(back)) == "Loaded image: x:1\n"
        assert store("images", "-q", "--no-trunc") == f"{images.sha(CONFIG)}\n"
