"""The tree of `images --tree`, on terminals of any width."""

from __future__ import annotations

import pytest

from knarr.cli.imagetree import lines
from knarr.engine.image.family.tree import Family, Relative
from knarr.oci.descriptor import Platform
from knarr.oci.digest import Digest
from knarr.oci.reference import parse_reference

IDS = [Digest(f"sha256:{letter * 64}") for letter in "abc"]
FAMILY = Family(
    IDS[0],
    tuple(parse_reference(name) for name in ("app:1", "registry.example/app:long-tag")),
    (
        Relative(IDS[1], Platform("linux", "amd64"), here=True, disk=2_500_000, content=990_000),
        Relative(IDS[2], Platform("linux", "arm64", "v8"), used=True),
    ),
)


def test_names_platforms_and_sums() -> None:
    assert [line.rstrip() for line in lines([FAMILY], 80)] == [
        "                                                              Info ->  U In Use",
        "",
        "IMAGE                           ID             DISK USAGE   CONTENT SIZE   EXTRA",
        "registry.example/app:long-tag",
        "app:1                           aaaaaaaaaaaa        2.5MB          990kB   U",
        "├─ linux/amd64                  bbbbbbbbbbbb        2.5MB          990kB",
        "└─ linux/arm64/v8               cccccccccccc           0B             0B   U",
        "",
    ]


@pytest.mark.parametrize("columns", [1, 20, 60, 61, 200])
def test_any_width(columns: int) -> None:
    shown = list(lines([FAMILY], columns))
    details = [line for line in shown if "aaaaaaaaaaaa" in line or "─" in line]
    assert len(details) == 3
    assert len({len(line) for line in details}) == 1
    assert all(len(line) <= max(columns, 61) for line in details)


def test_without_a_name() -> None:
    alone = FAMILY.replace(names=())
    assert any(line.startswith("<untagged> ") for line in lines([alone], 80))
