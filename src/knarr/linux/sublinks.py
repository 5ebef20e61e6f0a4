"""Links that stand on another one: VLANs, macvlan and ipvlan; and links that lead nowhere.

As in `knarr.linux.rtnetlink`, functions return the `Request` that makes a link. One of macvlan or
ipvlan is born in another namespace, while the link it stands on is in that of the socket.

Man: ip-link(8)
"""

from __future__ import annotations

import errno

from knarr.linux import netlink
from knarr.linux.netlink import Request, Socket, attribute, nest, text, u16, u32
from knarr.linux.rtnetlink import (
    IFF_UP,
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINK,
    IFLA_LINKINFO,
    IFLA_MTU,
    IFLA_NET_NS_FD,
    RTM_NEWLINK,
    hardware,
    ifinfomsg,
)
from knarr.util.value import Value

# <linux/if_link.h>
IFLA_VLAN_ID = 1
IFLA_MACVLAN_MODE = 1
IFLA_IPVLAN_MODE = 1
IFLA_IPVLAN_FLAGS = 2

MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}
IPVLAN_FLAGS = {"bridge": 0, "private": 1, "vepa": 2}

# Kinds of links that take what is sent and let it go. A kernel without the first may have the
# second, which is made for shaping traffic and does the same when nobody sends it any.
SINKS = ("dummy", "ifb")

_NEW = netlink.NLM_F_CREATE | netlink.NLM_F_EXCL


class Birth(Value):
    """How a link is to be called, and the namespace in which it appears."""

    name: str
    netns_fd: int
    mac: str = ""
    mtu: int = 0


def new_macvlan(birth: Birth, parent: int, mode: str) -> Request:
    """Make a link with a hardware address of its own on the wire of the link `parent`."""
    return _new(birth, parent, "macvlan", u32(IFLA_MACVLAN_MODE, MACVLAN_MODES[mode]))


def new_ipvlan(birth: Birth, parent: int, mode: str, flag: str) -> Request:
    """Make a link that shares the hardware address of the link `parent`."""
    data = u16(IFLA_IPVLAN_MODE, IPVLAN_MODES[mode]), u16(IFLA_IPVLAN_FLAGS, IPVLAN_FLAGS[flag])
    return _new(birth, parent, "ipvlan", *data)


def _new(birth: Birth, parent: int, kind: str, *data: bytes) -> Request:
    body = [
        ifinfomsg.pack(0, 0, 0, 0, 0),
        text(IFLA_IFNAME, birth.name),
        u32(IFLA_LINK, parent),
        u32(IFLA_NET_NS_FD, birth.netns_fd),
        nest(IFLA_LINKINFO, text(IFLA_INFO_KIND, kind), nest(IFLA_INFO_DATA, *data)),
    ]
    if birth.mac:
        body.append(attribute(IFLA_ADDRESS, hardware(birth.mac)))
    if birth.mtu:
        body.append(u32(IFLA_MTU, birth.mtu))
    return Request(f"add {kind} {birth.name} on {parent}", RTM_NEWLINK, _NEW, b"".join(body))


def new_vlan(name: str, parent: int, vlan: int) -> Request:
    """Make the link for the frames on the link `parent` that are tagged with `vlan`, up."""
    body = ifinfomsg.pack(0, 0, 0, IFF_UP, IFF_UP) + text(IFLA_IFNAME, name)
    body += u32(IFLA_LINK, parent)
    body += nest(
        IFLA_LINKINFO,
        text(IFLA_INFO_KIND, "vlan"),
        nest(IFLA_INFO_DATA, u16(IFLA_VLAN_ID, vlan)),
    )
    return Request(f"add vlan {name} on {parent}", RTM_NEWLINK, _NEW, body)


def new_sink(name: str, kind: str) -> Request:
    """Make a link that leads nowhere, up; `kind` is one of `SINKS`."""
    body = ifinfomsg.pack(0, 0, 0, IFF_UP, IFF_UP) + text(IFLA_IFNAME, name)
    body += nest(IFLA_LINKINFO, text(IFLA_INFO_KIND, kind))
    return Request(f"add {kind} {name}", RTM_NEWLINK, _NEW, body)


def knows(socket: Socket, kind: str) -> bool:
    """Tell whether the kernel has links of macvlan or ipvlan, loading its module if it has one.

    Without a parent the kernel refuses them for another reason than not knowing them.
    """
    body = ifinfomsg.pack(0, 0, 0, 0, 0) + nest(IFLA_LINKINFO, text(IFLA_INFO_KIND, kind))
    try:
        socket.request(Request(f"is there {kind}", RTM_NEWLINK, _NEW, body))
    except OSError as error:
        return error.errno != errno.EOPNOTSUPP
    return True
