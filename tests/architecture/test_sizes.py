"""Files that can be read at a sitting, functions that fit a screen."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median, quantiles

SOURCE = Path(__file__).parents[2] / "src" / "knarr"
# One module a command, and one a facility of the kernel: their number says nothing of their order.
FLAT_LISTS = {"commands": 110, "linux": 40}
FILES = [path for path in SOURCE.rglob("*.py") if path.name != "__init__.py"]


def functions() -> dict[str, int]:
    """Return the length in lines of every function and method."""
    lengths = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}"
                lengths[name] = (node.end_lineno or node.lineno) - node.lineno + 1
    return lengths


def test_files() -> None:
    lengths = {str(path.relative_to(SOURCE)): len(path.read_text().splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > 500} == {}
    assert median(lengths.values()) <= 150
    assert quantiles(lengths.values(), n=10)[-1] <= 350


def test_functions() -> None:
    lengths = functions()
    assert {name: length for name, length in lengths.items() if length > 70} == {}
    assert median(lengths.values()) <= 10
    assert quantiles(lengths.values(), n=10)[-1] <= 35
    assert sum(length > 50 for length in lengths.values()) <= len(lengths) * 0.02


def test_packages() -> None:
    for package in SOURCE.rglob("__init__.py"):
        modules = len(list(package.parent.glob("*.py"))) - 1
        assert modules <= FLAT_LISTS.get(package.parent.name, 25), package.parent
