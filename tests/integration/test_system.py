"""`system df`, `system prune`, `builder prune` and `info`, on a root with some of everything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from knarr import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

QUIET = ("--network", "none", "busybox")
DOCKERFILE = "FROM busybox\nCOPY big /big\nRUN echo more > /more\n"


@pytest.fixture
def built(knarr: Knarr, tmp_path: Path) -> Knarr:
    """Return an engine with an image of 1 MB on top of busybox, built here."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "big").write_bytes(b"x" * 1_000_000)
    knarr("build", "-q", "-t", "built", str(context))
    return knarr


def shares(knarr: Knarr) -> dict[str, dict[str, str]]:
    lines = knarr("system", "df", "--format", "json").splitlines()
    return {share["Type"]: share for share in map(json.loads, lines)}


def test_shared_layers_count_once(built: Knarr) -> None:
    whole = built.engine.images.get("built").size
    documents = sum(built.engine.blobs.sizes().values()) + sum(
        built.engine.recipes.sizes().values()
    )
    images = shares(built)["Images"]
    assert (images["TotalCount"], images["Active"]) == ("2", "0")
    assert images["Size"] == images["Reclaimable"].partition(" ")[0]
    assert abs(float(images["Size"].removesuffix("MB")) * 1e6 - whole - documents) < 1e3


def test_what_a_container_needs_is_not_reclaimable(built: Knarr) -> None:
    built("create", "--name", "one", *QUIET, "true")
    images = shares(built)["Images"]
    assert images["Active"] == "1"
    assert images["Reclaimable"].startswith("1.001MB ")  # with the documents of that image


def test_containers_count_what_they_wrote(built: Knarr) -> None:
    built("run", "--name", "one", *QUIET, "sh", "-c", "head -c 3000 /dev/zero > /x")
    containers = shares(built)["Containers"]
    assert (containers["TotalCount"], containers["Active"]) == ("1", "0")
    assert (containers["Size"], containers["Reclaimable"]) == ("3kB", "3kB (100%)")


def test_details_list_everything(built: Knarr) -> None:
    built("run", "--name", "one", "-v", "data:/data", *QUIET, "touch", "/data/x")
    shown = built("system", "df", "--verbose")
    for title in ("Images", "Containers", "Local Volumes", "Build cache"):
        assert f"{title} " in shown
    for word in ("built", "one", "data", "busybox"):
        assert word in shown


def test_build_cache_goes_only_as_far_as_images_allow(built: Knarr) -> None:
    assert "Total reclaimed space: 0B" in built("builder", "prune", "-f")
    built("rmi", "built")
    assert "Total reclaimed space: 1MB" in built("builder", "prune", "-f")
    assert shares(built)["Build Cache"]["TotalCount"] == "0"
    assert built("run", "--rm", *QUIET, "echo", "here") == "here\n"


def test_all_build_cache_can_go_while_the_image_stays(built: Knarr, tmp_path: Path) -> None:
    built("builder", "prune", "--all", "--force")
    assert shares(built)["Build Cache"]["TotalCount"] == "0"
    assert built("run", "--rm", "--network", "none", "built", "cat", "/more") == "more\n"
    again = built.do("build", "-t", "built", str(tmp_path / "context"))
    assert again.stderr.count("CACHED") == 1  # FROM


def test_keep_storage_spares_the_latest(built: Knarr) -> None:
    built("rmi", "built")
    before = int(shares(built)["Build Cache"]["TotalCount"])
    built("builder", "prune", "-f", "--keep-storage", "10m")
    assert int(shares(built)["Build Cache"]["TotalCount"]) == before
    built("builder", "prune", "-f", "--keep-storage", "1k")
    assert int(shares(built)["Build Cache"]["TotalCount"]) < before


def test_system_prune_takes_what_is_unused(built: Knarr) -> None:
    built("create", "--name", "stopped", *QUIET, "true")
    built("run", "-d", "--name", "running", *QUIET, "sleep", "60")
    built("network", "create", "unused")
    shown = built("system", "prune", "--force")
    assert "Deleted Containers:" in shown
    assert "Deleted Networks:\nunused\n" in shown
    assert built("ps", "-a", "--format", "{{.Names}}") == "running\n"
    assert "built" in built("images")
    built("system", "prune", "--force", "--all")
    assert "built" not in built("images")
    assert "busybox" in built("images")


def test_prune_asks_first(built: Knarr) -> None:
    built("create", "--name", "stopped", *QUIET, "true")
    shown = built("system", "prune", stdin=b"n\n")
    assert "Are you sure you want to continue? [y/N]" in shown
    assert "stopped" in built("ps", "-a")
    assert "Total reclaimed space" in built("system", "prune", stdin=b"y\n")
    assert "stopped" not in built("ps", "-a")


def test_info_counts(built: Knarr) -> None:
    built("create", *QUIET, "true")
    built("run", "-d", *QUIET, "sleep", "60")
    form = "{{.Containers}} {{.ContainersRunning}} {{.ContainersStopped}} {{.Images}}"
    assert built("info", "--format", form) == "2 1 1 2\n"
    assert f"Root Dir: {built.root}\n" in built("system", "info")


def test_info_has_what_programs_look_for(knarr: Knarr) -> None:
    facts = json.loads(knarr("info", "--format", "json"))
    assert facts["NCPU"] >= 1
    assert facts["MemTotal"] > 1 << 20
    assert facts["LiveRestoreEnabled"] is True
    assert {"json-file", "none"} <= set(facts["Plugins"]["Log"])
    assert isinstance(facts["MemoryLimit"], bool)
    assert "name=seccomp,profile=builtin" in facts["SecurityOptions"]
    assert facts["CgroupDriver"] == "cgroupfs"
    assert "\n  Network: bridge host null\n" in knarr.do("info").stdout


def test_scripts_find_what_they_ask_a_server_for(knarr: Knarr) -> None:
    version = "{{.Server.Version}} {{.Server.Os}} {{.Client.Version}}"
    assert knarr("version", "-f", version) == f"{__version__} linux {__version__}\n"
    assert knarr("info", "-f", "{{.Swarm.LocalNodeState}} {{.OSType}}") == "inactive linux\n"


def test_info_names_the_settings_in_use(knarr: Knarr, settings: Callable[[str], Path]) -> None:
    path = settings('[images]\nspace = "20GB"\n')
    assert f"Settings File: {path}\n" in knarr("info")
    settings('[images]\nspase = "20GB"\n')
    assert f"{path}: unknown setting images.spase (did you mean images.space?)" in knarr.fails(
        "info"
    )
