"""Netlink messages are what the headers say, and nothing in an answer breaks the parser."""

from __future__ import annotations

import contextlib
import errno
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr.linux import netlink, rtnetlink
from knarr.linux.netlink import Message, Request
from knarr.linux.rtnetlink import Link, Peer

ATTRIBUTES = st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40)), max_size=8)


@given(ATTRIBUTES)
def test_attributes_come_back_as_they_were(attributes: list[tuple[int, bytes]]) -> None:
    data = b"".join(netlink.attribute(kind, value) for kind, value in attributes)
    assert len(data) % 4 == 0
    assert list(netlink.walk(data)) == attributes


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    for parser in (netlink.walk, netlink.messages):
        with contextlib.suppress(OSError):
            list(parser(data))


@pytest.mark.parametrize(
    ("made", "layout", "values"),
    [
        (netlink.u8(8, 1), "=HHB3x", (5, 8, 1)),
        (netlink.u16(8, 0x1234), "=HHH2x", (6, 8, 0x1234)),
        (netlink.u32(4, 1400), "=HHI", (8, 4, 1400)),
        (netlink.u32be(4, 1400), "=HH4s", (8, 4, b"\0\0\x05\x78")),
        (netlink.u64be(3, 7), "=HH8s", (12, 3, bytes(7) + b"\x07")),
        (netlink.text(3, "eth0"), "=HH5s3x", (9, 3, b"eth0\0")),
        (netlink.nest(18, netlink.u32(1, 2)), "=HHHHI", (12, 0x8012, 8, 1, 2)),
    ],
    ids=["u8", "u16", "u32", "u32be", "u64be", "text", "nest"],
)
def test_an_attribute_is_laid_out_as_in_the_header(
    made: bytes, layout: str, values: tuple[object, ...]
) -> None:
    assert made == struct.pack(layout, *values)


@pytest.mark.parametrize(
    ("size", "layout"),
    [
        (16, netlink.nlmsghdr),
        (4, netlink.nlattr),
        (16, rtnetlink.ifinfomsg),
        (8, rtnetlink.ifaddrmsg),
        (12, rtnetlink.rtmsg),
        (12, rtnetlink.ndmsg),
    ],
    ids=["nlmsghdr", "nlattr", "ifinfomsg", "ifaddrmsg", "rtmsg", "ndmsg"],
)
def test_structures_have_the_size_of_the_header(size: int, layout: struct.Struct) -> None:
    assert layout.size == size


def test_the_peer_of_a_pair_is_described_inside_it() -> None:
    request = rtnetlink.new_veth("kv0", Peer("eth0", "02:42:00:00:00:01", 7), mtu=1400, master=3)
    outer = netlink.parse(request.body, rtnetlink.ifinfomsg.size)
    assert netlink.string(outer[rtnetlink.IFLA_IFNAME]) == "kv0"
    assert netlink.number(outer[rtnetlink.IFLA_MASTER]) == 3
    info = netlink.parse(outer[rtnetlink.IFLA_LINKINFO])
    assert netlink.string(info[rtnetlink.IFLA_INFO_KIND]) == "veth"
    peer = netlink.parse(info[rtnetlink.IFLA_INFO_DATA])[rtnetlink.VETH_INFO_PEER]
    inner = netlink.parse(peer, rtnetlink.ifinfomsg.size)
    assert netlink.string(inner[rtnetlink.IFLA_IFNAME]) == "eth0"
    assert inner[rtnetlink.IFLA_ADDRESS] == b"\x02\x42\0\0\0\x01"
    assert netlink.number(inner[rtnetlink.IFLA_NET_NS_FD]) == 7


@pytest.mark.parametrize(
    ("address", "prefix", "broadcast"),
    [("10.208.0.2", 20, "10.208.15.255"), ("192.0.2.1", 31, ""), ("10.0.0.1", 32, "")],
)
def test_an_address_brings_its_broadcast_address(address: str, prefix: int, broadcast: str) -> None:
    request = rtnetlink.add_address(2, address, prefix)
    found = netlink.parse(request.body, rtnetlink.ifaddrmsg.size)
    expected = rtnetlink.packed(broadcast)[1] if broadcast else None
    assert found.get(rtnetlink.IFA_BROADCAST) == expected


def refusal(number: int, *, capped: bool, explained: str) -> Message:
    request = netlink.render(Request("add", rtnetlink.RTM_NEWLINK, 0, bytes(24)), 1)
    flags = netlink.NLM_F_ACK_TLVS if explained else 0
    flags |= netlink.NLM_F_CAPPED if capped else 0
    body = struct.pack("=i", -number) + (request[:16] if capped else request)
    if explained:
        body += netlink.u32(netlink.NLMSGERR_ATTR_OFFS, 4)
        body += netlink.text(netlink.NLMSGERR_ATTR_MSG, explained)
    return Message(netlink.NLMSG_ERROR, flags, body)


@pytest.mark.parametrize("capped", [True, False], ids=["header", "whole request"])
def test_a_refusal_has_the_words_of_the_kernel(capped: bool) -> None:
    error = netlink.failure(refusal(errno.EINVAL, capped=capped, explained="no such thing"))
    assert error is not None
    assert error.errno == errno.EINVAL
    assert error.__notes__ == ["kernel: no such thing"]


def test_a_refusal_without_words_is_its_errno() -> None:
    error = netlink.failure(refusal(errno.EEXIST, capped=True, explained=""))
    assert isinstance(error, FileExistsError)
    assert not hasattr(error, "__notes__")


def test_an_acknowledgement_is_no_failure() -> None:
    assert netlink.failure(refusal(0, capped=True, explained="")) is None


def test_the_kernel_answers_about_the_loopback_interface() -> None:
    with netlink.Socket(netlink.NETLINK_ROUTE) as socket:
        link = rtnetlink.find_link(socket, "lo")
        assert link is not None
        assert (link.index, link.name) == (1, "lo")
        assert Link.__name__ == type(link).__name__
        assert link.name in {one.name for one in rtnetlink.links(socket)}


def test_a_link_that_is_not_there_is_none() -> None:
    with netlink.Socket(netlink.NETLINK_ROUTE) as socket:
        assert rtnetlink.find_link(socket, "no-such-link") is None


def test_the_first_failure_of_several_requests_is_raised() -> None:
    with netlink.Socket(netlink.NETLINK_ROUTE) as socket:
        body = rtnetlink.ifinfomsg.pack(0, 0, 1 << 30, 0, 0)
        one = Request("get one", rtnetlink.RTM_GETLINK, 0, body)
        with pytest.raises(OSError, match=os.strerror(errno.ENODEV)) as caught:
            socket.request(one, one.replace(what="get another"))
    assert caught.value.__notes__[-1] == "netlink: get one"
