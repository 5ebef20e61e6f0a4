"""The body that creates a network."""

from __future__ import annotations

import pytest

from knarr.api.parse.networks import parse_network
from knarr.errors import InvalidArgument, Unavailable


def test_what_is_asked_of_a_network() -> None:
    pool = {
        "Subnet": "10.9.0.0/16", "IPRange": "10.9.1.0/24", "Gateway": "10.9.0.1",
        "AuxiliaryAddresses": {"printer": "10.9.0.2"},
    }  # fmt: skip
    name, options = parse_network({
        "Name": "net", "Driver": "", "IPAM": {"Driver": "default", "Config": [pool]},
        "EnableIPv6": True, "Internal": True, "Attachable": True, "Labels": {"a": "b"},
        "Options": {"com.docker.network.driver.mtu": "1400"}, "CheckDuplicate": True,
    })  # fmt: skip
    assert name == "net"
    assert options.driver == "bridge"
    assert options.subnets == ("10.9.0.0/16",)
    assert options.ip_ranges == ("10.9.1.0/24",)
    assert options.gateways == ("10.9.0.1",)
    assert options.reserved == {"printer": "10.9.0.2"}
    assert (options.ipv4, options.ipv6, options.internal, options.attachable) == (True,) * 4
    assert options.labels == {"a": "b"}


def test_ipv4_is_on_unless_it_is_turned_off() -> None:
    assert parse_network({"Name": "net"})[1].ipv4
    assert parse_network({"Name": "net", "EnableIPv4": None, "IPAM": {}})[1].ipv4
    assert not parse_network({"Name": "net", "EnableIPv4": False})[1].ipv4


@pytest.mark.parametrize("more", [{"Ingress": True}, {"Scope": "swarm"}])
def test_networks_of_a_swarm_need_one(more: dict[str, object]) -> None:
    with pytest.raises(Unavailable, match="not a swarm manager"):
        parse_network({"Name": "net", **more})


@pytest.mark.parametrize(
    "more",
    [
        {"IPAM": {"Driver": "dhcp"}},
        {"Labels": {"a": 1}},
        {"IPAM": {"Config": "10.0.0.0/8"}},
        {"ConfigOnly": True},
    ],
    ids=lambda more: next(iter(more)),
)
def test_what_cannot_be_is_refused(more: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        parse_network({"Name": "net", **more})
