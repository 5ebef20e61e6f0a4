"""The plan of a realm's table, as nft would print it: one case a directory of tests/golden."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import pytest

from knarr.network import firewall
from knarr.network.model import AddressPool, Network, Published, Realm

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parents[2] / "golden" / "firewall"
CASES = sorted(path.name for path in GOLDEN.iterdir())

# What chains, sets and rules are in each version. When they change, a new version is due.
FINGERPRINTS = {3: 0xFA022A63, 4: 0x1A6EF70C}


def network(value: dict[str, object]) -> Network:
    subnets = value.pop("subnets")
    assert isinstance(subnets, list)
    pools = tuple(AddressPool(subnet, "") for subnet in subnets)
    return Network(id="", driver="bridge", pools=pools, **value)  # type: ignore[arg-type]


@pytest.mark.parametrize("case", CASES)
def test_the_table_is_as_planned(case: str, golden: Callable[[Path, str], None]) -> None:
    value = json.loads((GOLDEN / case / "networks.json").read_text())
    plan = firewall.plan(
        Realm("knarr", "knarr", "/root"),
        [network(one) for one in value["networks"]],
        [Published(*port) for port in value["published"]],
    )
    golden(GOLDEN / case / "rules", str(plan))


def test_other_rules_are_another_version() -> None:
    empty = str(firewall.plan(Realm("knarr", "knarr", "/root"), (), ()))
    assert crc32(empty.encode()) == FINGERPRINTS[firewall.VERSION]


def test_every_rule_has_a_comment_of_its_own() -> None:
    comments = [(rule.chain, rule.comment) for rule in firewall.RULES]
    assert len(set(comments)) == len(comments)


def test_every_set_is_used_and_every_rule_finds_its_set() -> None:
    used = {word.strip("@") for rule in firewall.RULES for word in str(rule).split() if "@" in word}
    assert used == {one.name for one in firewall.SETS}
