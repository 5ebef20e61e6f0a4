"""Answering for others: a host that says of an address behind it "that is me", and routes to it.

As in `knarr.linux.rtnetlink`, functions return the `Request` that makes a change.

Man: ip-neighbour(8), ip-route(8)
"""

from __future__ import annotations

from knarr.linux import netlink
from knarr.linux.netlink import Request, attribute, u32
from knarr.linux.rtnetlink import (
    NDA_DST,
    NTF_PROXY,
    RT_SCOPE_LINK,
    RT_TABLE_MAIN,
    RTA_DST,
    RTA_OIF,
    RTM_DELNEIGH,
    RTM_NEWNEIGH,
    RTM_NEWROUTE,
    RTN_UNICAST,
    RTPROT_BOOT,
    ndmsg,
    packed,
    rtmsg,
)

_REPLACE = netlink.NLM_F_CREATE | netlink.NLM_F_REPLACE


def add_proxy(index: int, address: str) -> Request:
    """Answer on the interface `index` whoever asks who has `address`."""
    return _proxy(index, address, RTM_NEWNEIGH, _REPLACE)


def delete_proxy(index: int, address: str) -> Request:
    """Answer no longer for `address`."""
    return _proxy(index, address, RTM_DELNEIGH, 0)


def _proxy(index: int, address: str, kind: int, flags: int) -> Request:
    family, raw = packed(address)
    body = ndmsg.pack(family, index, 0, NTF_PROXY, 0) + attribute(NDA_DST, raw)
    return Request(f"answer for {address} on {index}", kind, flags, body)


def add_host_route(index: int, address: str) -> Request:
    """Send what is for `address` out of the interface `index`, where it is to be found."""
    family, raw = packed(address)
    bits = len(raw) * 8
    body = rtmsg.pack(family, bits, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_LINK, RTN_UNICAST, 0)
    body += attribute(RTA_DST, raw) + u32(RTA_OIF, index)
    return Request(f"route {address} to {index}", RTM_NEWROUTE, _REPLACE, body)
