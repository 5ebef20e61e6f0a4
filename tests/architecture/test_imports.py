"""Imports go down: never up, never sideways."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "knarr"

FLOORS = {
    "errors": 0, "util": 0,
    "oci": 1, "linux": 1,
    "store": 2, "snapshot": 2, "registry": 2, "network": 2, "runtime": 2,
    "build": 3, "supervise": 3,
    "engine": 4,
    "cli": 5, "api": 5, "ui": 5,
}  # fmt: skip

# The faces share what a terminal shows; `supervise` starts processes through `runtime` alone.
ALLOWED_SIDEWAYS = {("cli", "ui"), ("cli", "api"), ("util", "errors")}


def imports_of(path: Path) -> set[tuple[str, int]]:
    """Return (knarr module, line) of every import, inner and type-checking ones too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
            if node.module == "knarr":
                names = [f"knarr.{alias.name}" for alias in node.names]
            found |= {(name, node.lineno) for name in names}
        elif isinstance(node, ast.Import):
            found |= {(alias.name, node.lineno) for alias in node.names}
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"relative import in {path}"
    return {(name, line) for name, line in found if name.startswith("knarr.")}


MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_down(path: Path) -> None:
    package = path.relative_to(SOURCE).parts[0]
    for name, line in imports_of(path):
        target = name.split(".")[1]
        if target in (package, "__version__") or (package, target) in ALLOWED_SIDEWAYS:
            continue
        assert FLOORS[target] < FLOORS[package], f"{path}:{line}: {package} imports {name}"


def test_every_package_has_a_floor() -> None:
    packages = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    assert packages | {"errors"} == set(FLOORS)


def test_every_package_has_a_charter() -> None:
    for path in SOURCE.rglob("__init__.py"):
        tree = ast.parse(path.read_bytes())
        assert ast.get_docstring(tree), f"{path} says not what the package is for"
        assert path.parent == SOURCE or len(tree.body) == 1, f"{path} is more than a charter"


def test_charters_start_where_there_is_something() -> None:
    for path in SOURCE.rglob("__init__.py"):
        charter = " ".join((ast.get_docstring(ast.parse(path.read_bytes())) or "").split())
        for start in re.findall(r"[Ss]tart with ([^.:;]*)", charter):
            for name in re.findall(r"`(\w+)`", start):
                found = (path.parent / f"{name}.py").exists() or (path.parent / name).is_dir()
                assert found, f"{path} starts with {name}, which there is not"


def test_no_import_cycles() -> None:
    graph = {}
    for path in SOURCE.rglob("*.py"):
        module = ".".join(("knarr", *path.relative_to(SOURCE).with_suffix("").parts))
        top = ast.parse(path.read_bytes()).body
        graph[module] = {
            name
            for node in top
            if isinstance(node, ast.ImportFrom) and node.module
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
            if name.startswith("knarr.")
        }
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join((*above, module))
        if module in done or module not in graph:
            return
        for name in graph[module]:
            visit(name, (*above, module))
        done.add(module)

    for module in graph:
        visit(module, ())
