"""What knarr stands on is said, and why, for each of it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_every_dependency_has_its_reasons() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    page = (PROJECT / "docs" / "dependencies.md").read_text()
    named = {re.split(r"[^\w-]", text)[0] for text in project["dependencies"]}
    assert {name for name in named if f"| `{name}` " not in page} == set()
