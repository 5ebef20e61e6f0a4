"""Links, addresses, routes and neighbours through NETLINK_ROUTE.

Functions named for a change (`new_veth`, `add_address`) return the `Request` that makes it, so that
a plan can be looked at and sent in one piece; `links`, `addresses` and `routes` ask the kernel.
Addresses are text, hardware addresses too ("02:42:0a:d0:00:02").

Man: rtnetlink(7)
"""

from __future__ import annotations

import _socket
import errno
import os
from struct import Struct

from knarr.linux import netlink
from knarr.linux.netlink import Message, Request, Socket, attribute, nest, parse, text, u8, u32
from knarr.util.value import Value

# <linux/rtnetlink.h>, types
RTM_NEWLINK = 16
RTM_DELLINK = 17
RTM_GETLINK = 18
RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_GETADDR = 22
RTM_NEWROUTE = 24
RTM_GETROUTE = 26
RTM_NEWNEIGH = 28
RTM_DELNEIGH = 29

# <linux/if.h>
IFF_UP = 0x1
IF_OPER_UNKNOWN = 0
IF_OPER_UP = 6

# <linux/if_link.h>
IFLA_ADDRESS = 1
IFLA_IFNAME = 3
IFLA_MTU = 4
IFLA_LINK = 5
IFLA_MASTER = 10
IFLA_OPERSTATE = 16
IFLA_LINKINFO = 18
IFLA_NET_NS_PID = 19
IFLA_IFALIAS = 20
IFLA_NET_NS_FD = 28
IFLA_EXT_MASK = 29
IFLA_INFO_KIND = 1
IFLA_INFO_DATA = 2
IFLA_INFO_SLAVE_KIND = 4
IFLA_INFO_SLAVE_DATA = 5
IFLA_BRPORT_MODE = 4
IFLA_BRPORT_ISOLATED = 33
VETH_INFO_PEER = 1
RTEXT_FILTER_SKIP_STATS = 8

# The kernel's IFALIASZ, less the final NUL.
ALIAS_LENGTH = 255

# <linux/if_addr.h>
IFA_ADDRESS = 1
IFA_LOCAL = 2
IFA_BROADCAST = 4
IFA_FLAGS = 8
IFA_F_PERMANENT = 0x80
IFA_F_NODAD = 0x2

# <linux/rtnetlink.h>, routes
RTA_DST = 1
RTA_OIF = 4
RTA_GATEWAY = 5
RTA_PRIORITY = 6
RTA_METRICS = 8
RTA_TABLE = 15
RTAX_MTU = 2
RT_TABLE_MAIN = 254
RT_TABLE_LOCAL = 255
RTPROT_BOOT = 3
RT_SCOPE_UNIVERSE = 0
RT_SCOPE_LINK = 253
RTN_UNICAST = 1

# <linux/neighbour.h>
NDA_DST = 1
NTF_PROXY = 0x08

# struct ifinfomsg { unsigned char ifi_family; unsigned char __ifi_pad; unsigned short ifi_type;
#                    int ifi_index; unsigned ifi_flags; unsigned ifi_change; }
ifinfomsg = Struct("=BxHiII")
# struct ifaddrmsg { __u8 ifa_family; __u8 ifa_prefixlen; __u8 ifa_flags; __u8 ifa_scope;
#                    __u32 ifa_index; }
ifaddrmsg = Struct("=BBBBI")
# struct rtmsg { unsigned char rtm_family, rtm_dst_len, rtm_src_len, rtm_tos, rtm_table,
#                rtm_protocol, rtm_scope, rtm_type; unsigned rtm_flags; }
rtmsg = Struct("=BBBBBBBBI")
_TABLE = 4  # where the table is in it
# struct ndmsg { __u8 ndm_family; __u8 pad1; __u16 pad2; __s32 ndm_ifindex; __u16 ndm_state;
#                __u8 ndm_flags; __u8 ndm_type; }
ndmsg = Struct("=BxxxiHBB")

_NEW = netlink.NLM_F_CREATE | netlink.NLM_F_EXCL


class Link(Value):
    """A network interface."""

    index: int
    name: str
    flags: int
    mtu: int
    mac: str
    master: int = 0
    kind: str = ""
    alias: str = ""
    operstate: int = 0

    @property
    def works(self) -> bool:
        """Tell whether packets go through, which takes the kernel a moment after it is up."""
        return self.operstate in (IF_OPER_UNKNOWN, IF_OPER_UP)

    @property
    def up(self) -> bool:
        """Tell whether the interface is set up by whoever administers it."""
        return bool(self.flags & IFF_UP)


class Address(Value):
    """An address of an interface."""

    index: int
    address: str
    prefix: int


class Route(Value):
    """A route; `destination` is empty for a default route, `gateway` for a directly reached net."""

    destination: str
    prefix: int
    gateway: str
    index: int
    table: int
    kind: int
    priority: int
    mtu: int
    version: int


def packed(address: str) -> tuple[int, bytes]:
    """Return the family of `address` and its bytes.

    Raises: OSError
    """
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    return int(family), _socket.inet_pton(family, address)


def hardware(mac: str) -> bytes:
    """Return the bytes of the hardware address `mac`."""
    return bytes.fromhex(mac.replace(":", ""))


def new_bridge(name: str, *, mac: str, up: bool = True) -> Request:
    """Make a bridge. A hardware address of its own keeps it from changing with its ports.

    Its MTU is for `set_up`: the kernel forgets one given here when the last port goes, and takes
    setting it to the same number later for nothing to do.
    """
    flags = IFF_UP if up else 0
    body = b"".join(
        (
            ifinfomsg.pack(0, 0, 0, flags, flags),
            text(IFLA_IFNAME, name),
            attribute(IFLA_ADDRESS, hardware(mac)),
            nest(IFLA_LINKINFO, text(IFLA_INFO_KIND, "bridge")),
        )
    )
    return Request(f"add bridge {name}", RTM_NEWLINK, _NEW, body)


class Peer(Value):
    """The other end of a veth pair, born in the namespace of `netns_fd` (-1: in this one)."""

    name: str
    mac: str = ""
    netns_fd: int = -1


def new_veth(name: str, peer: Peer, *, mtu: int, master: int = 0) -> Request:
    """Make a pair of interfaces, this end up and a port of the bridge with index `master`.

    An interface that is moved into another namespace later costs the kernel a wait of some 25 ms;
    one that is born there costs nothing.
    """
    inner = [ifinfomsg.pack(0, 0, 0, 0, 0), text(IFLA_IFNAME, peer.name), u32(IFLA_MTU, mtu)]
    if peer.mac:
        inner.append(attribute(IFLA_ADDRESS, hardware(peer.mac)))
    if peer.netns_fd >= 0:
        inner.append(u32(IFLA_NET_NS_FD, peer.netns_fd))
    body = [
        ifinfomsg.pack(0, 0, 0, IFF_UP, IFF_UP),
        text(IFLA_IFNAME, name),
        u32(IFLA_MTU, mtu),
        nest(
            IFLA_LINKINFO,
            text(IFLA_INFO_KIND, "veth"),
            nest(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, b"".join(inner))),
        ),
    ]
    if master:
        body.append(u32(IFLA_MASTER, master))
    return Request(f"add veth {name} with peer {peer.name}", RTM_NEWLINK, _NEW, b"".join(body))


def set_link(what: str, index: int, *attributes: bytes, up: bool | None = None) -> Request:
    """Change the interface `index`; `what` says how in words."""
    body = ifinfomsg.pack(0, 0, index, IFF_UP if up else 0, 0 if up is None else IFF_UP)
    return Request(what, RTM_NEWLINK, 0, body + b"".join(attributes))


def set_up(name: str, index: int, *, mtu: int) -> Request:
    """Set the interface `index`, called `name`, up with an MTU."""
    return set_link(f"set {name} up", index, u32(IFLA_MTU, mtu), up=True)


def move_link(link: Link, pid: int, name: str) -> Request:
    """Move an interface, down as it must be, into a process's network namespace, there `name`."""
    attributes = (u32(IFLA_NET_NS_PID, pid), text(IFLA_IFNAME, name))
    return set_link(f"move {link.name} to {pid} as {name}", link.index, *attributes, up=False)


def set_alias(index: int, alias: str) -> Request:
    """Note beside the interface `index` what it is for, cut off at ALIAS_LENGTH bytes."""
    raw = os.fsencode(alias)[:ALIAS_LENGTH]
    return set_link(f"call {index} {alias}", index, attribute(IFLA_IFALIAS, raw))


def hairpin(name: str) -> Request:
    """Let the bridge send a frame back out of its port `name` by which it came."""
    return _set_port(f"hairpin mode on {name}", name, u8(IFLA_BRPORT_MODE, 1))


def isolated(name: str) -> Request:
    """Do so, and let no frame of another isolated port out of it."""
    return _set_port(f"isolate {name}", name, u8(IFLA_BRPORT_MODE, 1), u8(IFLA_BRPORT_ISOLATED, 1))


def _set_port(what: str, name: str, *data: bytes) -> Request:
    port = text(IFLA_INFO_SLAVE_KIND, "bridge"), nest(IFLA_INFO_SLAVE_DATA, *data)
    return set_link(what, 0, text(IFLA_IFNAME, name), nest(IFLA_LINKINFO, *port))


def delete_link(name: str) -> Request:
    """Remove the interface `name`, of a veth pair both."""
    body = ifinfomsg.pack(0, 0, 0, 0, 0) + text(IFLA_IFNAME, name)
    return Request(f"delete link {name}", RTM_DELLINK, 0, body)


def add_address(index: int, address: str, prefix: int) -> Request:
    """Give the interface `index` an address, without asking the neighbours whether it is free."""
    family, raw = packed(address)
    body = ifaddrmsg.pack(family, prefix, 0, RT_SCOPE_UNIVERSE, index)
    body += attribute(IFA_LOCAL, raw) + attribute(IFA_ADDRESS, raw)
    if family == _socket.AF_INET:
        host_bits = (1 << (32 - prefix)) - 1
        broadcast = int.from_bytes(raw, "big") | host_bits
        body += attribute(IFA_BROADCAST, broadcast.to_bytes(4, "big")) if host_bits > 1 else b""
    else:
        body += u32(IFA_FLAGS, IFA_F_NODAD)
    return Request(f"add address {address}/{prefix} to {index}", RTM_NEWADDR, _NEW, body)


def delete_address(index: int, address: str, prefix: int) -> Request:
    """Take an address from the interface `index`."""
    family, raw = packed(address)
    body = ifaddrmsg.pack(family, prefix, 0, RT_SCOPE_UNIVERSE, index) + attribute(IFA_LOCAL, raw)
    return Request(f"delete address {address}/{prefix} of {index}", RTM_DELADDR, 0, body)


def add_route(gateway: str, index: int, *, destination: str = "", prefix: int = 0) -> Request:
    """Route `destination` (empty: all there is) by way of `gateway` on the interface `index`."""
    family, raw = packed(gateway)
    body = rtmsg.pack(
        family, prefix, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0
    )
    if destination:
        body += attribute(RTA_DST, packed(destination)[1])
    body += attribute(RTA_GATEWAY, raw) + u32(RTA_OIF, index)
    what = f"add route to {destination or 'default'} via {gateway}"
    return Request(what, RTM_NEWROUTE, _NEW, body)


def replace_route(gateway: str, index: int) -> Request:
    """Make `gateway` on the interface `index` the default route, whatever that was before."""
    request = add_route(gateway, index)
    flags = netlink.NLM_F_CREATE | netlink.NLM_F_REPLACE
    return request.replace(what=f"set default route via {gateway}", flags=flags)


def replace_direct_route(index: int, version: int) -> Request:
    """Send all there is straight out of the interface `index`, whatever the default route was."""
    family = _socket.AF_INET6 if version == 6 else _socket.AF_INET
    body = rtmsg.pack(family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_LINK, RTN_UNICAST, 0)
    flags = netlink.NLM_F_CREATE | netlink.NLM_F_REPLACE
    what = f"set default route out of {index}"
    return Request(what, RTM_NEWROUTE, flags, body + u32(RTA_OIF, index))


def find_link(socket: Socket, name: str) -> Link | None:
    """Return the interface `name`, or None."""
    body = ifinfomsg.pack(0, 0, 0, 0, 0) + text(IFLA_IFNAME, name)
    body += u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    try:
        (answer,) = socket.request(Request(f"get link {name}", RTM_GETLINK, 0, body))
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    return decode_link(answer)


def find_link_by_index(socket: Socket, index: int) -> Link | None:
    """Return the interface with a number, or None."""
    body = ifinfomsg.pack(0, 0, index, 0, 0) + u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    try:
        (answer,) = socket.request(Request(f"get link {index}", RTM_GETLINK, 0, body))
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    return decode_link(answer)


def links(socket: Socket, *, master: int = 0) -> list[Link]:
    """Return all interfaces, or those that are ports of the bridge with index `master`."""
    body = ifinfomsg.pack(0, 0, 0, 0, 0) + u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    if master:
        body += u32(IFLA_MASTER, master)
    return [decode_link(m) for m in socket.dump(Request("list links", RTM_GETLINK, 0, body))]


def addresses(socket: Socket) -> list[Address]:
    """Return the addresses of all interfaces."""
    request = Request("list addresses", RTM_GETADDR, 0, ifaddrmsg.pack(0, 0, 0, 0, 0))
    return [decode_address(message) for message in socket.dump(request)]


def global_addresses(socket: Socket) -> list[Address]:
    """Return the addresses that are valid everywhere and were given by somebody."""
    body = ifaddrmsg.pack(0, 0, 0, 0, 0)
    found = socket.dump(Request("list addresses", RTM_GETADDR, 0, body))
    return [decode_address(message) for message in found if _is_lasting(message)]


def _is_lasting(message: Message) -> bool:
    _, _, flags, scope, _ = ifaddrmsg.unpack_from(message.body)
    return scope == RT_SCOPE_UNIVERSE and bool(flags & IFA_F_PERMANENT)


def routes(socket: Socket, version: int = 4, *, local: bool = True) -> list[Route]:
    """Return the routes of all tables for IPv4 or IPv6; those to the host itself if `local`."""
    family = _socket.AF_INET6 if version == 6 else _socket.AF_INET
    body = rtmsg.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
    found = socket.dump(Request("list routes", RTM_GETROUTE, 0, body))
    return [decode_route(m) for m in found if local or m.body[_TABLE] != RT_TABLE_LOCAL]


def decode_link(message: Message) -> Link:
    """Return the interface that an RTM_NEWLINK message describes."""
    _, _, index, flags, _ = ifinfomsg.unpack_from(message.body)
    found = parse(message.body, ifinfomsg.size)
    info = parse(found.get(IFLA_LINKINFO, b""))
    return Link(
        index=index,
        name=netlink.string(found.get(IFLA_IFNAME)),
        flags=flags,
        mtu=netlink.number(found.get(IFLA_MTU)),
        mac=found.get(IFLA_ADDRESS, b"").hex(":"),
        master=netlink.number(found.get(IFLA_MASTER)),
        kind=netlink.string(info.get(IFLA_INFO_KIND)),
        alias=netlink.string(found.get(IFLA_IFALIAS)),
        operstate=netlink.number(found.get(IFLA_OPERSTATE)),
    )


def decode_address(message: Message) -> Address:
    """Return the address that an RTM_NEWADDR message describes."""
    family, prefix, _, _, index = ifaddrmsg.unpack_from(message.body)
    found = parse(message.body, ifaddrmsg.size)
    raw = found.get(IFA_LOCAL) or found[IFA_ADDRESS]
    return Address(index, _socket.inet_ntop(family, raw), prefix)


def decode_route(message: Message) -> Route:
    """Return the route that an RTM_NEWROUTE message describes."""
    family, prefix, _, _, table, _, _, kind, _ = rtmsg.unpack_from(message.body)
    found = parse(message.body, rtmsg.size)
    metrics = parse(found.get(RTA_METRICS, b""))

    def address(of: int) -> str:
        return _socket.inet_ntop(family, found[of]) if of in found else ""

    return Route(
        destination=address(RTA_DST),
        prefix=prefix,
        gateway=address(RTA_GATEWAY),
        index=netlink.number(found.get(RTA_OIF)),
        table=netlink.number(found.get(RTA_TABLE)) or table,
        kind=kind,
        priority=netlink.number(found.get(RTA_PRIORITY)),
        mtu=netlink.number(metrics.get(RTAX_MTU)),
        version=6 if family == _socket.AF_INET6 else 4,
    )
