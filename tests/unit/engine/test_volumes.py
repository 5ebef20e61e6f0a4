"""Volumes as records and directories; what they are filled with is tested with root."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from knarr.engine.engine import Engine
from knarr.engine.options.values import MountRequest
from knarr.engine.volumes import ANONYMOUS_LABEL
from knarr.errors import Conflict, InvalidArgument, NotFound
from knarr.store.containers import ContainerRecords, ContainerRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(str(tmp_path / "root"), str(tmp_path / "run"))
    yield made
    made.close()


def container(engine: Engine, letter: str = "c") -> str:
    """Record a container and return its ID."""
    row = ContainerRow(letter * 64, letter, None, None, 1, "{}")
    ContainerRecords(engine.database).add(row)
    return row.id


def claim(engine: Engine, container_id: str, *names: str, anonymous: bool = False) -> None:
    mounts = [MountRequest("volume", "/x", name, anonymous=anonymous) for name in names]
    with engine.database.transaction():
        engine.volumes.claim(container_id, mounts)


def directories(engine: Engine) -> list[str]:
    return sorted(os.listdir(engine.paths.volumes_dir))


def test_a_volume_is_a_directory_under_its_name(engine: Engine) -> None:
    volume = engine.volumes.create("data", labels={"a": "b"})
    assert volume.path == f"{engine.paths.volumes_dir}/data/_data"
    assert os.stat(volume.path).st_mode & 0o7777 == 0o755
    document = engine.volumes.inspect("data")
    assert document["Name"] == "data"
    assert document["Mountpoint"] == volume.path
    assert document["Labels"] == {"a": "b"}
    assert document["Driver"] == "local"


def test_creating_twice_is_once(engine: Engine) -> None:
    first = engine.volumes.create("data")
    (open(f"{first.path}/file", "w")).close()
    engine.volumes.create("data")
    assert os.listdir(first.path) == ["file"]
    assert len(engine.volumes.list()) == 1


def test_without_a_name_there_is_an_anonymous_volume(engine: Engine) -> None:
    volume = engine.volumes.create()
    assert len(volume.name) == 64
    assert volume.anonymous
    assert volume.labels == {ANONYMOUS_LABEL: ""}


@pytest.mark.parametrize("name", ["a", "a/b", "../a", ".hidden", "-a", "ä", "a b", "x" * 256])
def test_what_is_no_name_is_refused(engine: Engine, name: str) -> None:
    with pytest.raises(InvalidArgument):
        engine.volumes.create(name)
    assert directories(engine) == []


def test_another_driver_is_not_found(engine: Engine) -> None:
    with pytest.raises(NotFound, match='plugin "nfs" not found'):
        engine.volumes.create("data", driver="nfs")


def test_removing_removes_the_directory(engine: Engine) -> None:
    volume = engine.volumes.create("data")
    os.makedirs(f"{volume.path}/deep/er")
    engine.volumes.remove("data")
    assert directories(engine) == []
    with pytest.raises(NotFound, match="no such volume: data"):
        engine.volumes.remove("data")
    engine.volumes.remove("data", force=True)


def test_a_volume_in_use_is_not_removed(engine: Engine) -> None:
    container_id = container(engine)
    claim(engine, container_id, "data")
    with pytest.raises(Conflict, match=rf"remove data: volume is in use - \[{container_id}\]"):
        engine.volumes.remove("data", force=True)
    ContainerRecords(engine.database).remove(container_id)
    engine.volumes.remove("data")


def test_claiming_makes_what_is_missing(engine: Engine) -> None:
    engine.volumes.create("old", labels={"kept": "yes"})
    claim(engine, container(engine), "old", "new")
    assert [volume.name for volume in engine.volumes.list()] == ["new", "old"]
    assert engine.volumes.get("old").labels == {"kept": "yes"}
    assert all(volume.used for volume in engine.volumes.list())


def test_a_claim_that_fails_leaves_no_record(engine: Engine) -> None:
    with pytest.raises(Conflict):
        claim(engine, "no such container", "data")
    assert engine.volumes.list() == []
    assert engine.volumes.sweep() == ["data"]
    assert directories(engine) == []


def test_anonymous_volumes_go_with_their_last_container(engine: Engine) -> None:
    first, second = container(engine, "1"), container(engine, "2")
    claim(engine, first, "a" * 64, "b" * 64, anonymous=True)
    claim(engine, first, "named")
    claim(engine, second, "b" * 64, anonymous=True)
    for container_id, left in ((first, ["b" * 64, "named"]), (second, ["named"])):
        with engine.database.transaction():
            engine.volumes.release(container_id)
            ContainerRecords(engine.database).remove(container_id)
        engine.volumes.sweep()
        assert directories(engine) == left


def test_sweeping_leaves_what_is_recorded(engine: Engine) -> None:
    engine.volumes.create("data")
    os.makedirs(f"{engine.paths.volumes_dir}/orphan/_data/x")
    os.makedirs(f"{engine.paths.volumes_dir}/.removed-old-1234")
    assert sorted(engine.volumes.sweep()) == [".removed-old-1234", "orphan"]
    assert directories(engine) == ["data"]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([], ["anonymous", "free", "used"]),
        (["name=re"], ["free"]),
        (["name=use", "name=fr"], ["free", "used"]),
        (["dangling=true"], ["anonymous", "free"]),
        (["dangling=false"], ["used"]),
        (["label=k"], ["free"]),
        (["label=k=other"], []),
        (["driver=local"], ["anonymous", "free", "used"]),
        (["driver=nfs"], []),
    ],
    ids=" ".join,
)
def test_lists_are_filtered(engine: Engine, filters: list[str], names: list[str]) -> None:
    engine.volumes.create("free", labels={"k": "v"})
    claim(engine, container(engine), "used")
    claim(engine, container(engine, "d"), "anonymous", anonymous=True)
    ContainerRecords(engine.database).remove("d" * 64)
    assert [volume.name for volume in engine.volumes.filtered(filters)] == names


@pytest.mark.parametrize(
    ("filters", "every", "names"),
    [
        ([], False, ["anonymous"]),
        ([], True, ["anonymous", "free"]),
        (["all=true"], False, ["anonymous", "free"]),
        (["label!=k"], True, ["anonymous"]),
        (["label=k"], True, ["free"]),
    ],
    ids=["anonymous", "all", "filter-all", "without-label", "with-label"],
)
def test_pruning_takes_what_nobody_has(
    engine: Engine, filters: list[str], every: bool, names: list[str]
) -> None:
    volume = engine.volumes.create("free", labels={"k": "v"})
    with open(f"{volume.path}/file", "w") as file:
        file.write("12345")
    claim(engine, container(engine), "used")
    claim(engine, container(engine, "d"), "anonymous", anonymous=True)
    ContainerRecords(engine.database).remove("d" * 64)
    removed, freed = engine.volumes.prune(filters, every=every)
    assert removed == names
    assert freed == (5 if "free" in names else 0)


def test_an_unknown_filter_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidArgument, match="invalid filter 'colour'"):
        engine.volumes.filtered(["colour=red"])
