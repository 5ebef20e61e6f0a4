"""Allowlists: how entries are written, and which addresses, protocols and ports they are."""

from __future__ import annotations

import pytest

from knarr.errors import InvalidArgument
from knarr.network.address import render_address
from knarr.network.egress import boxes, parse_allowed, parse_egress, with_hosts


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("example.com:443", "example.com:443"),
        ("Example.COM.", "example.com"),
        ("*.example.com:53/udp", "*.example.com:53/udp"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.0/8:80-90/tcp", "10.0.0.0/8:80-90"),
        ("192.0.2.7/icmp", "192.0.2.7/icmp"),
        ("192.0.2.7/tcp", "192.0.2.7/tcp"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[2001:db8::]/32:53/udp", "[2001:db8::]/32:53/udp"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("*:443", "*:443"),
        ("*", "*"),
    ],
)
def test_an_entry_has_a_usual_form(text: str, usual: str) -> None:
    entry = parse_allowed(text)
    assert str(entry) == usual
    assert parse_allowed(usual) == entry


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "neither a name nor an address"),
        ("a b", "neither a name nor an address"),
        ("-x", "neither a name nor an address"),
        ("http://example.com", "is no port"),
        ("example.com:0", "is no port"),
        ("example.com:70000", "is no port"),
        ("example.com:1-2", "a range of ports goes with addresses"),
        ("example.com/tcp", "a protocol goes with a port"),
        ("192.0.2.7:80/icmp", "icmp has no ports"),
        ("[::1", "a bracket is missing"),
        ("10.0.0.1/8", "invalid subnet"),
    ],
)
def test_what_is_no_entry_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        parse_allowed(text)


def test_a_list_is_none_all_or_entries() -> None:
    assert parse_egress(["none"]) == ()
    assert parse_egress(["all"]) is None
    assert parse_egress(["a.example, b.example:80", "a.example"]) == ("a.example", "b.example:80")
    with pytest.raises(InvalidArgument, match="none goes with nothing else"):
        parse_egress(["none,a.example"])


def test_names_below_another_are_not_that_one() -> None:
    entry = parse_allowed("*.example.com")
    assert entry.fits("a.example.com")
    assert entry.fits("a.b.example.com")
    assert not entry.fits("example.com")
    assert not entry.fits("badexample.com")
    assert parse_allowed("*:443").fits("whatever")
    assert not parse_allowed("10.0.0.0/8").fits("whatever")


def test_names_that_a_hosts_file_has_are_allowed_by_their_addresses() -> None:
    hosts = ("db.example:10.1.2.3", "other.example:10.9.9.9", "six.example:[2001:db8::1]",
             "host.docker.internal:host-gateway")  # fmt: skip
    listed = ("db.example:5432", "six.example", "host.docker.internal:80", "10.0.0.1")
    assert with_hosts(listed, hosts, ["10.208.0.1"]) == (
        *listed, "10.1.2.3:5432", "2001:db8::1", "10.208.0.1:80",
    )  # fmt: skip


def render(texts: list[str], version: int = 4) -> list[str]:
    found = boxes(map(parse_allowed, texts), version)
    return [
        f"{render_address(low, version)}-{render_address(high, version)} {protocols} {ports}"
        for (low, high), protocols, ports in found
    ]


def test_overlapping_entries_are_cut_into_pieces_that_do_not() -> None:
    assert render(["10.0.0.0/8:1-100", "10.0.0.0/16:50-200", "10.0.0.7:60"]) == [
        "10.0.0.0-10.255.255.255 (6, 6) (1, 49)",
        "10.0.0.0-10.255.255.255 (6, 6) (50, 59)",
        "10.0.0.0-10.255.255.255 (6, 6) (60, 60)",
        "10.0.0.0-10.255.255.255 (6, 6) (61, 100)",
        "10.0.0.0-10.0.255.255 (6, 6) (101, 200)",
    ]


def test_names_are_no_addresses_and_versions_are_kept_apart() -> None:
    assert render(["example.com:443"]) == []
    assert render(["10.0.0.0/8"], 6) == []
    assert render(["*:443"], 6) == [f":: -{'ffff:' * 7}ffff (6, 6) (443, 443)".replace(" -", "-")]
    assert render(["2001:db8::1/icmp"], 6) == ["2001:db8::1-2001:db8::1 (58, 58) (0, 65535)"]
