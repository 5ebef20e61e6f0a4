"""Sets, chains and rules read as nft prints them, and are numbered as nft numbers them."""

from __future__ import annotations

import pytest

from knarr.linux import netlink, nftables, nftexpr
from knarr.linux.netlink import Message
from knarr.linux.nfnetlink import decode_elements
from knarr.linux.nftables import Chain, Element, Rule, Set, Table

TABLE = Table(nftables.NFPROTO_INET, "knarr")
PORTS = Set("ports", ("inet_proto", "inet_service"), ("ipv4_addr", "inet_service"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Chain("forward", "filter", "forward", -5, accepts=False),
         "chain forward { type filter hook forward priority -5; policy drop; }"),
        (Chain("published"), "chain published"),
        (Set("bridges", ("ifname",)), "set bridges { type ifname; }"),
        (Set("subnets", ("ipv4_addr",), interval=True),
         "set subnets { type ipv4_addr; flags interval; }"),
        (PORTS, "map ports { type inet_proto . inet_service : ipv4_addr . inet_service; }"),
        (Rule("c", "why", (nftexpr.lookup(("iifname",), "s", negated=True), nftexpr.drop())),
         'iifname != @s drop comment "why"'),
        (nftexpr.dnat(4, ("meta l4proto", "th dport"), "ports").text,
         "dnat ip to meta l4proto . th dport map @ports"),
        (nftexpr.state("established", "related").text, "ct state established,related"),
    ],
    ids=["base-chain", "chain", "set", "interval", "map", "rule", "dnat", "state"],
)  # fmt: skip
def test_it_reads_as_nft_writes_it(value: object, text: str) -> None:
    assert str(value) == text


def test_a_concatenation_pads_its_parts() -> None:
    made = nftables.element(PORTS, ("tcp", 8080), ("10.0.0.2", 80))
    assert made == Element(b"\x06\0\0\0\x1f\x90\0\0", b"\x0a\0\0\x02\0\x50\0\0")


def test_a_single_key_is_not_padded() -> None:
    assert nftables.element(Set("s", ("inet_service",)), (53,)) == Element(b"\0\x35")


def test_an_interface_name_fills_sixteen_bytes() -> None:
    assert nftables.element(Set("s", ("ifname",)), ("knarr0",)).key == b"knarr0" + bytes(10)


def test_datatypes_are_numbered_six_bits_each() -> None:
    request = nftables.add_set(TABLE, PORTS, 1)
    found = netlink.parse(request.body, nftables.nfgenmsg.size)
    assert netlink.number_be(found[nftables.NFTA_SET_KEY_TYPE]) == 12 << 6 | 13
    assert netlink.number_be(found[nftables.NFTA_SET_KEY_LEN]) == 8
    assert netlink.number_be(found[nftables.NFTA_SET_DATA_TYPE]) == 7 << 6 | 13


def test_many_elements_go_in_portions() -> None:
    elements = [Element(number.to_bytes(4, "big"), end=number % 2 == 1) for number in range(1000)]
    requests = list(nftables.add_elements(TABLE, "s", elements))
    assert len(requests) > 1
    assert all(len(request.body) < 0xFFFF for request in requests)
    read = [e for r in requests for e in decode_elements(Message(r.type, 0, r.body))]
    assert read == elements


def test_an_address_of_one_version_asks_for_that_version_first() -> None:
    statement = nftexpr.lookup(("ip daddr", "meta l4proto", "th dport"), "s")
    assert statement.expressions[:2] == nftexpr.of_version(4)
    assert len(statement.expressions) == 2 + 3 + 1
