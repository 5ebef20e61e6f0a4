"""What each short-lived process loads, since what is imported is what starting costs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.startup import PACKAGES, SOURCE, dear, loaded, rooms

if TYPE_CHECKING:
    from pathlib import Path


def test_version_loads_the_table_and_no_more(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "--version")
    ours = {name for name in modules if name.startswith("knarr")}
    assert ours == {"knarr", "knarr.cli", "knarr.cli.main", "knarr.cli.table"}
    assert dear(modules) == []
    assert "json" not in modules
    assert "re" not in modules


def test_help_loads_no_command(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "--help")
    assert not [name for name in modules if name.startswith("knarr.cli.commands")]
    assert rooms(modules) <= {"cli", "errors", "util"}
    assert dear(modules) == []
    assert "re" not in modules


def test_help_of_a_command_loads_that_command_alone(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "version", "--help")
    commands = {name for name in modules if name.startswith("knarr.cli.commands.")}
    assert commands == {"knarr.cli.commands.version"}
    assert dear(modules) == []


@pytest.mark.parametrize("words", [["ps"], ["images"], ["volume", "ls"]], ids=" ".join)
def test_lists_load_what_reads_the_database(tmp_path: Path, words: list[str]) -> None:
    modules = loaded(tmp_path, *words)
    assert dear(modules) == []
    assert not rooms(modules) & (PACKAGES | {"runtime", "snapshot"})
    assert "ctypes" not in modules


def test_a_supervisor_loads_what_it_needs_for_a_life(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path[:0] = [{SOURCE!r}]\n"
        "from knarr.supervise import boot\n"
        "print(*sorted(sys.modules))\n"
    )
    command = [sys.executable, "-I", "-S", "-c", program]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = set(process.stdout.split())
    assert dear(modules) == []
    assert rooms(modules) <= {"errors", "linux", "runtime", "supervise", "util"}
    assert not modules & {"json", "re", "enum", "socket", "sqlite3", "collections", "functools"}
    # A module takes a tenth of a millisecond to load, and `run` waits for all of these.
    assert len([module for module in modules if module.startswith("knarr.")]) <= 70
