"""What the integration tests of several packages share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.engine import Knarr, lent_engine, lent_store
from support.netns import Host
from support.rootfs import make_rootfs
from support.runtimes import Bundle, Runtime
from support.serving import Served, lent_server
from support.supervised import Supervised
from support.testregistry import TestRegistry
from support.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def knarr(tmp_path: Path) -> Iterator[Knarr]:
    """Lend the command `knarr` on directories of its own, with an image of busybox."""
    with lent_engine(tmp_path) as lent:
        yield lent


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Knarr]:
    """Lend the command on an empty store."""
    with lent_store(tmp_path / "store") as lent:
        yield lent


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Knarr]:
    """Lend another one, with an empty store of its own."""
    with lent_store(tmp_path / "second") as lent:
        yield lent


@pytest.fixture
def shop(knarr: Knarr, tmp_path: Path) -> Workshop:
    """Lend a place to build images in: a command, and a context to fill."""
    return Workshop(knarr, tmp_path / "context")


@pytest.fixture
def registry() -> Iterator[TestRegistry]:
    """Lend a registry that has nothing and lets anybody in."""
    with TestRegistry() as lent:
        yield lent


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that makes a text the settings of all commands of a test."""

    def say(text: str) -> Path:
        path = tmp_path / "knarr.toml"
        path.write_text(text)
        monkeypatch.setenv("KNARR_SETTINGS", str(path))
        return path

    return say


@pytest.fixture(scope="session")
def busybox_rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a rootfs of busybox, to be used read-only."""
    return make_rootfs(tmp_path_factory.mktemp("busybox") / "rootfs")


@pytest.fixture
def make(tmp_path: Path, busybox_rootfs: Path) -> Iterator[Callable[[], Supervised]]:
    """Make supervised containers that are ended with the test."""
    made: list[Supervised] = []

    def one() -> Supervised:
        made.append(Supervised(tmp_path / str(len(made)), busybox_rootfs))
        return made[-1]

    yield one
    for container in made:
        container.clean_up()
    for container in made:
        for words in container.bundle_dir.glob("supervisor.log"):
            pytest.fail(words.read_text())


@pytest.fixture
def container(make: Callable[[], Supervised]) -> Supervised:
    """Make one supervised container."""
    return make()


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """Lend `knarr-runtime` with a state directory of its own."""
    lent = Runtime("knarr-runtime", tmp_path / "state")
    yield lent
    lent.clean_up()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Make a bundle of busybox, to be changed at will."""
    return Bundle(tmp_path / "bundle")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Lend a server of the API with an image of busybox."""
    with lent_server(tmp_path) as lent:
        yield lent


@pytest.fixture
def host() -> Iterator[Host]:
    """Put the test into a network namespace that plays the host, with a neighbour beside it."""
    made = Host()
    yield made
    made.close()
