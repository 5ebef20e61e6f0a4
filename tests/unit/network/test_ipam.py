"""Nobody gets an address that somebody has, and nobody gets it back at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr.errors import Conflict, InvalidArgument, Unavailable
from knarr.network import ipam
from knarr.network.address import parse_address, parse_subnet
from knarr.network.model import AddressPool

SMALL = ipam.plan_pool(parse_subnet("10.9.0.0/28"), reserved={"printer": "10.9.0.5"})
ALL = {f"10.9.0.{last}" for last in range(2, 15)} - {"10.9.0.5"}


@given(st.lists(st.one_of(st.none(), st.integers(0, 20)), max_size=60))
def test_addresses_are_handed_out_once(steps: list[int | None]) -> None:
    """None takes an address, a number gives one of those taken back."""
    taken: list[str] = []
    last = ""
    for step in steps:
        if step is not None:
            if taken:
                taken.pop(step % len(taken))
            continue
        address = ipam.next_address(SMALL, taken, last)
        if address is None:
            assert set(taken) == ALL
            continue
        assert address in ALL - set(taken)
        assert address != last or set(taken) == ALL - {last}
        taken.append(address)
        last = address


@pytest.mark.parametrize(
    ("pool", "taken", "counts"),
    [
        (SMALL, (), (4, 12)),  # the network, its members, the gateway and the printer
        (SMALL, ("10.9.0.2", "fd00::2"), (5, 11)),
        (ipam.plan_pool(parse_subnet("10.9.0.0/28"), ip_range="10.9.0.8/30"), (), (3, 4)),
        (
            ipam.plan_pool(parse_subnet("10.9.0.0/28"), ip_range="10.9.0.8/30"),
            ("10.9.0.9",),
            (4, 3),
        ),
        (ipam.plan_pool(parse_subnet("fd00::/64")), ("10.9.0.2",), (2, 2**64 - 2)),
    ],
)
def test_addresses_are_counted(
    pool: AddressPool, taken: tuple[str, ...], counts: tuple[int, int]
) -> None:
    assert ipam.count_addresses(pool, taken) == counts


def test_the_first_one_is_behind_the_gateway() -> None:
    assert ipam.next_address(SMALL, ()) == "10.9.0.2"


def test_the_search_wraps_around() -> None:
    assert ipam.next_address(SMALL, ("10.9.0.2",), "10.9.0.14") == "10.9.0.3"


def test_a_range_limits_what_is_handed_out() -> None:
    pool = ipam.plan_pool(parse_subnet("10.9.0.0/24"), ip_range="10.9.0.128/30")
    taken: list[str] = []
    while (address := ipam.next_address(pool, taken)) is not None:
        taken.append(address)
    assert taken == ["10.9.0.128", "10.9.0.129", "10.9.0.130", "10.9.0.131"]


def test_a_large_pool_is_not_walked() -> None:
    pool = ipam.plan_pool(parse_subnet("fd00::/64"))
    assert ipam.next_address(pool, ("fd00::2",)) == "fd00::3"


@pytest.mark.parametrize("address", ["10.9.0.1", "10.9.0.5", "10.9.0.7"])
def test_an_address_in_use_cannot_be_asked_for(address: str) -> None:
    with pytest.raises(Conflict, match=f"{address} is already in use"):
        ipam.check_address(SMALL, address, {"10.9.0.7"})


@pytest.mark.parametrize("address", ["10.9.0.0", "10.9.0.15", "10.9.1.1", "fd00::1", "nonsense"])
def test_an_address_of_elsewhere_cannot_be_asked_for(address: str) -> None:
    with pytest.raises(InvalidArgument):
        ipam.check_address(SMALL, address, ())


def test_a_free_address_can_be_asked_for() -> None:
    assert ipam.check_address(SMALL, "10.9.0.9", ()) == "10.9.0.9"


def test_the_first_subnet_that_touches_nothing_is_chosen() -> None:
    occupied = [parse_subnet("10.208.0.0/19"), parse_subnet("10.208.33.1/32")]
    assert str(ipam.choose_subnet(occupied)) == "10.208.48.0/20"


def test_a_route_to_all_of_ten_leaves_other_pools() -> None:
    assert str(ipam.choose_subnet([parse_subnet("10.0.0.0/8")])) == "172.16.0.0/20"


def test_pools_end() -> None:
    with pytest.raises(Unavailable, match="fully subnetted"):
        ipam.choose_subnet([parse_subnet("0.0.0.0/0")])


def test_the_pools_keep_clear_of_other_engines() -> None:
    others = [
        *(parse_subnet(f"172.{second}.0.0/16") for second in range(17, 32)),
        *map(parse_subnet, ("10.88.0.0/15", "10.96.0.0/12", "10.244.0.0/16")),
    ]
    for subnet in ipam.candidates():
        assert not any(subnet.overlaps(other) for other in others)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gateway": "10.8.0.1"}, "no matching subnet for gateway"),
        ({"ip_range": "10.8.0.0/24"}, "no matching subnet for range"),
        ({"reserved": {"x": "10.8.0.1"}}, "no matching subnet for x"),
    ],
)
def test_what_does_not_belong_to_the_subnet_is_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        ipam.plan_pool(parse_subnet("10.9.0.0/24"), **options)  # type: ignore[arg-type]


def test_a_subnet_without_room_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="too small"):
        ipam.plan_pool(parse_subnet("10.9.0.0/31"))


def test_the_gateway_is_the_first_address_unless_named() -> None:
    subnet = parse_subnet("10.9.0.0/24")
    assert parse_address(ipam.plan_pool(subnet).gateway) == subnet.base + 1
    assert ipam.plan_pool(subnet, gateway="10.9.0.254").gateway == "10.9.0.254"
