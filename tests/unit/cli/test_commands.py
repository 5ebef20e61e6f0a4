"""The table of commands and the commands agree, and their help reads as Docker's does."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.cli import help as pages
from knarr.cli import table
from knarr.cli.command import Command
from knarr.cli.options import CONVERT

if TYPE_CHECKING:
    from collections.abc import Callable

    Golden = Callable[[Path, str], None]

GOLDEN = Path(__file__).parent / "golden"
COMMANDS = Path(pages.__file__).parent / "commands"


def command(module: str) -> Command:
    home = importlib.import_module(f"knarr.cli.commands.{module}")
    assert callable(home.run)
    assert isinstance(home.COMMAND, Command)
    return home.COMMAND


def test_every_file_is_in_the_table() -> None:
    files = {path.stem for path in COMMANDS.glob("*.py")} - {"__init__"}
    shared = {name for name in files if name.startswith("_")}
    assert files - shared == set(table.modules())


@pytest.mark.parametrize("module", table.modules())
def test_the_table_says_what_the_command_says(module: str) -> None:
    assert command(module).short == table.line(module)


@pytest.mark.parametrize("module", table.modules())
def test_options_are_well_formed(module: str) -> None:
    options = command(module).options
    names = [name for option in options for name in (option.name, *option.aliases)]
    letters = [option.short for option in options if option.short]
    assert len(names) == len(set(names))
    assert len(letters) == len(set(letters))
    for option in options:
        assert option.kind in CONVERT
        assert option.hidden or option.help
        assert not option.help.endswith(".")


@pytest.mark.parametrize("module", table.modules())
def test_help_is_as_it_was_reviewed(module: str, golden: Golden) -> None:
    path = table.paths(module)[-1]
    golden(GOLDEN / f"{module}.txt", pages.page(path.split(), 80))


@pytest.mark.parametrize("group", table.GROUPS)
def test_help_of_a_group(group: str, golden: Golden) -> None:
    golden(GOLDEN / f"group-{group}.txt", pages.page([group], 80))


def test_the_overview(golden: Golden) -> None:
    golden(GOLDEN / "overview.txt", pages.page([], 80))


def test_a_wide_terminal_has_fewer_lines() -> None:
    narrow, wide = (pages.page(["version"], columns) for columns in (60, 200))
    assert wide.count("\n") < narrow.count("\n")
    assert max(map(len, narrow.splitlines())) <= 80
