"""Docker's flags are all there, or in the table of docs/compatibility.md with the reason."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from knarr.cli import table
from knarr.cli.command import Command

DATA = Path(__file__).parent / "docker_flags.txt"
DOCUMENT = Path(__file__).parents[3] / "docs" / "compatibility.md"
VERDICTS = ("same", "better", "differs on purpose", "absent", "own")
COMPLETE = ("attach", "create", "exec", "run", "start")  # whose own flags are in the table too


def dockers() -> dict[str, list[tuple[str, str]]]:
    """Return Docker's flags with their short forms, by command."""
    found = {}
    for line in DATA.read_text().splitlines():
        if not line.startswith("#"):
            command, _, words = line.partition(":")
            pairs = (word.removeprefix("--").partition(",-") for word in words.split())
            found[command] = [(name, short) for name, _, short in pairs]
    return found


def rows() -> list[tuple[list[str], list[str], str]]:
    """Return commands, flags and verdict of each row of the table."""
    section = DOCUMENT.read_text().split("\n## Flags\n")[1].split("\n### ")[0]
    found = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] != "command":
            flags = re.findall(r"--([a-z0-9-]+)", cells[1])
            found.append((cells[0].split(", "), flags, cells[2]))
    return found


def ours(command: str) -> Command | None:
    words = command.split()
    module = table.find(words[0])
    if len(words) == 2:
        module = table.GROUPS[words[0]][1].get(words[1]) if words[0] in table.GROUPS else None
    if module is None:
        return None
    found: Command = importlib.import_module(f"knarr.cli.commands.{module}").COMMAND
    return found


def listed(command: str, verdict: str) -> set[str]:
    return {
        flag
        for commands, flags, said in rows()
        if command in commands and said == verdict
        for flag in flags
    }


def test_the_table_is_well_formed() -> None:
    assert len(rows()) > 20
    for commands, flags, verdict in rows():
        assert verdict in VERDICTS, (commands, flags)
        assert flags


@pytest.mark.parametrize("command", dockers())
def test_docker_s_flags_are_there_or_absent_with_a_reason(command: str) -> None:
    found = ours(command)
    if found is None:
        pytest.skip(f"there is no command {command}; the table of commands says why")
    names = {name: one for one in found.options for name in (one.name, *one.aliases)}
    missing = {name for name, _ in dockers()[command] if name not in names}
    assert missing == listed(command, "absent")
    for name, short in dockers()[command]:
        assert not short or name in missing or names[name].short == short, name


@pytest.mark.parametrize("command", COMPLETE)
def test_our_own_flags_are_in_the_table(command: str) -> None:
    found = ours(command)
    assert found is not None
    known = {name for name, _ in dockers()[command]}
    own = {one.name for one in found.options if one.name not in known}
    assert own == listed(command, "own")


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0][0]}-{row[1][0]}")
def test_rows_are_about_flags_that_there_are(row: tuple[list[str], list[str], str]) -> None:
    commands, flags, verdict = row
    for command in commands:
        known = {name for name, _ in dockers()[command]}
        for flag in flags:
            if verdict == "own":
                found = ours(command)
                assert found is not None
                assert flag in {one.name for one in found.options}
            else:
                assert flag in known, (command, flag)
