"""What `run` and its kin load when they do all of their work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.startup import PACKAGES, dear, loaded, rooms

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root


QUIET = ("--network", "none", "busybox")


def own(modules: set[str]) -> int:
    """Return how many are ours: each takes a tenth of a millisecond to load."""
    return len([module for module in modules if module.startswith("knarr.")])


def test_run(knarr: Knarr) -> None:
    modules = loaded(knarr.directory, "run", "--rm", *QUIET, "true")
    assert dear(modules) == []
    assert not rooms(modules) & PACKAGES
    assert not modules & {"knarr.store.index", "knarr.network.ipam", "knarr.network.sandbox"}
    assert own(modules) <= 106


def test_run_with_a_network(knarr: Knarr) -> None:
    modules = loaded(knarr.directory, "run", "--rm", "-p", "80", "busybox", "true")
    assert dear(modules) == []
    assert not rooms(modules) & PACKAGES
    assert own(modules) <= 127


def test_exec_and_the_end(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "one", *QUIET, "sleep", "60")
    for words in (["exec", "one", "true"], ["logs", "one"], ["kill", "one"], ["rm", "-f", "one"]):
        modules = loaded(knarr.directory, *words)
        assert dear(modules) == [], words
        assert not rooms(modules) & PACKAGES, words


def test_a_start_loads_no_foreign_code_that_costs_a_millisecond(knarr: Knarr) -> None:
    modules = loaded(knarr.directory, "run", "-d", "--rm", *QUIET, "true")
    costly = {"collections", "ctypes", "enum", "functools", "hashlib", "json", "re", "signal"}
    assert modules & (costly | {"socket", "sqlite3", "encodings.ascii"}) == set()
    assert own(modules) <= 99


def test_a_build_of_which_all_is_cached(knarr: Knarr, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo one > /one\nENV two=2\n")
    words = ("build", "-q", "--network", "none", str(tmp_path))
    knarr(*words)
    modules = loaded(knarr.directory, *words)
    costly = {"asyncio", "base64", "ctypes", "dataclasses", "hashlib", "json", "subprocess"}
    assert not modules & (costly | {"pathlib", "socket", "sqlite3", "tempfile", "threading"})
