from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr.errors import InvalidArgument
from knarr.network.address import (
    Subnet,
    mac_of,
    parse_address,
    parse_mac,
    parse_subnet,
    render_address,
)


@given(st.integers(0, 2**32 - 1))
def test_addresses_come_back_as_they_were(number: int) -> None:
    assert parse_address(render_address(number)) == number


@given(st.integers(0, 2**128 - 1))
def test_ipv6_addresses_come_back_as_they_were(number: int) -> None:
    assert parse_address(render_address(number, 6)) == number


@pytest.mark.parametrize(
    ("text", "size"), [("10.208.0.0/20", 4096), ("fd00:1::/64", 2**64), ("0.0.0.0/0", 2**32)]
)
def test_a_subnet_reads_as_it_was_written(text: str, size: int) -> None:
    subnet = parse_subnet(text)
    assert str(subnet) == text
    assert subnet.size == size


@pytest.mark.parametrize("text", ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "x/8", "10.0.0.0/-1", ""])
def test_what_is_no_subnet_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_subnet(text)


def test_a_subnet_with_host_bits_says_what_was_meant() -> None:
    with pytest.raises(InvalidArgument, match=r"10\.1\.2\.3/16: it should be 10\.1\.0\.0/16"):
        parse_subnet("10.1.2.3/16")


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("10.0.0.0/8", "10.208.0.0/20", True),
        ("10.208.0.0/20", "10.208.16.0/20", False),
        ("10.208.0.0/20", "10.208.15.255/32", True),
        ("0.0.0.0/0", "fd00::/8", False),
    ],
)
def test_overlap_is_seen_from_both_sides(one: str, other: str, overlap: bool) -> None:
    assert parse_subnet(one).overlaps(parse_subnet(other)) is overlap
    assert parse_subnet(other).overlaps(parse_subnet(one)) is overlap


def test_the_hardware_address_follows_from_the_address() -> None:
    assert mac_of("10.208.0.2") == "02:42:0a:d0:00:02"


@pytest.mark.parametrize("text", ["92:D0:c6:0a:29:33", "92-d0-c6-0a-29-33"])
def test_a_hardware_address_has_one_form(text: str) -> None:
    assert parse_mac(text) == "92:d0:c6:0a:29:33"


@pytest.mark.parametrize(
    "text",
    ["", "92:d0:c6:0a:29", "92:d0:c6:0a:29:3g", "9:d0:c6:0a:29:33", "01:00:5e:00:00:01", "00:" * 6],
)
def test_what_no_interface_can_have_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid MAC address"):
        parse_mac(text)


def test_the_last_address_is_in_the_subnet() -> None:
    assert parse_address("10.0.0.255") in Subnet(4, parse_address("10.0.0.0"), 24)
    assert parse_address("10.0.1.0") not in Subnet(4, parse_address("10.0.0.0"), 24)
