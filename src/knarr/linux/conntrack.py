"""Connections that the kernel remembers: forgetting those of a published port.

A connection is translated as its first packet was. UDP has no beginnings: to a client that goes on
sending from the same port, what is published anew is invisible, and what is no longer there still
gets its packets, until the kernel forgets.

Man: netlink(7)
"""

from __future__ import annotations

import _socket
from struct import Struct

from knarr.linux import netlink
from knarr.linux.netlink import Request, Socket, attribute, nest
from knarr.linux.nftables import nfgenmsg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# <linux/netfilter/nfnetlink_conntrack.h>
NFNL_SUBSYS_CTNETLINK = 1
IPCTNL_MSG_CT_DELETE = NFNL_SUBSYS_CTNETLINK << 8 | 2
CTA_TUPLE_ORIG = 1
CTA_FILTER = 25
CTA_TUPLE_PROTO = 2
CTA_PROTO_NUM = 1
CTA_PROTO_DST_PORT = 3
CTA_FILTER_ORIG_FLAGS = 1
CTA_FILTER_REPLY_FLAGS = 2

# include/linux/netfilter/nf_conntrack_netlink.h of the kernel: what of a tuple a filter looks at
CTA_FILTER_F_CTA_PROTO_NUM = 1 << 3
CTA_FILTER_F_CTA_PROTO_DST_PORT = 1 << 5

_port = Struct(">H")


def forget(socket: Socket, protocol: int, ports: Iterable[int]) -> None:
    """Make the kernel forget the IPv4 connections that were opened to one of `ports`.

    `socket` is any of the protocol NETLINK_NETFILTER.

    Raises: OSError
    """
    for port in ports:
        proto = nest(
            CTA_TUPLE_PROTO,
            netlink.u8(CTA_PROTO_NUM, protocol),
            attribute(CTA_PROTO_DST_PORT, _port.pack(port)),
        )
        flags = CTA_FILTER_F_CTA_PROTO_NUM | CTA_FILTER_F_CTA_PROTO_DST_PORT
        body = nfgenmsg.pack(_socket.AF_INET, 0, 0)
        body += nest(CTA_TUPLE_ORIG, proto)
        body += nest(
            CTA_FILTER,
            netlink.u32(CTA_FILTER_ORIG_FLAGS, flags),
            netlink.u32(CTA_FILTER_REPLY_FLAGS, 0),
        )
        what = f"forget connections of protocol {protocol} to port {port}"
        socket.request(Request(what, IPCTNL_MSG_CT_DELETE, 0, body))
