"""The parents of networks with the driver macvlan or ipvlan: links of the host that they stand on.

Every member of such a network has a link of its own on the wire of the parent, without a bridge,
without NAT and without published ports: it is a machine beside the host, which the host itself does
not reach (nor it the host). The parent is

* an interface of the host, named by `-o parent=`, which stays as it is;
* for `-o parent=eth0.10`, where there is no such interface, a VLAN made on `eth0`;
* without `-o parent`, a link that leads nowhere: the members reach each other alone.

Those that we made carry a note of whose they are, as bridges do, and go with the network.
"""

from __future__ import annotations

import errno
import os

from knarr.errors import InvalidArgument, NotFound, Unsupported
from knarr.linux import rtnetlink, sublinks
from knarr.linux.sublinks import IPVLAN_FLAGS, IPVLAN_MODES, MACVLAN_MODES, Birth
from knarr.network.drivers import Uplink, alias_of
from knarr.network.model import WIRES
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.linux.netlink import Request, Socket
    from knarr.linux.rtnetlink import Link
    from knarr.network.model import Endpoint, Network

# Docker's names for links that lead nowhere, in front of the network's short ID.
_SINK_PREFIXES = {"macvlan": "dm-", "ipvlan": "di-"}
_SHORT_ID = 12
_TOP_VLAN = 4094

PARENT = "parent"
_DEFAULT_MODES = {"macvlan": "bridge", "ipvlan": "l2"}
_MODES = {"macvlan": MACVLAN_MODES, "ipvlan": IPVLAN_MODES}
# Modes in which there is no other machine on the wire to ask the way.
_ROUTED_MODES = ("l3", "l3s")


class Parent(Value):
    """A parent by name; a VLAN has an interface below it, and a link that leads nowhere has not."""

    name: str
    below: str = ""
    vlan: int = 0
    sink: bool = False


def parent_of(network: Network) -> Parent:
    """Return the parent that a network asks for."""
    name = network.options.get(PARENT, "")
    if not name:
        prefix = _SINK_PREFIXES[network.driver]
        return Parent(f"{prefix}{network.id[:_SHORT_ID]}", sink=True)
    below, _, vlan = name.rpartition(".")
    return Parent(name, below, int(vlan) if below and vlan.isdecimal() else 0)


def mode_of(network: Network) -> tuple[str, str]:
    """Return in which mode the members share the wire, and for ipvlan who may reach whom."""
    driver, options = network.driver, network.options
    mode = options.get(f"{driver}_mode") or _DEFAULT_MODES[driver]
    return mode, options.get("ipvlan_flag") or "bridge"


def routes_itself(network: Network) -> bool:
    """Tell whether members send everything out of their interface, by way of no gateway."""
    return network.driver == "ipvlan" and mode_of(network)[0] in _ROUTED_MODES


def isolated(network: Network) -> bool:
    """Tell whether there is no way out because nobody named a parent."""
    return network.driver in WIRES and not network.options.get(PARENT)


def check_options(driver: str, options: Mapping[str, str]) -> None:
    """Raise for modes that there are not, and parents that cannot be.

    Docker: the words of its drivers

    Raises: InvalidArgument
    """
    default = _DEFAULT_MODES[driver]
    mode = options.get(f"{driver}_mode") or default
    message = ""
    if mode not in _MODES[driver]:
        message = (
            f"requested {driver} mode '{mode}' is not valid, '{default}' mode is the {driver} "
            "driver default"
        )
        hint = f"The modes are {', '.join(_MODES[driver])}."
    elif driver == "ipvlan" and (options.get("ipvlan_flag") or "bridge") not in IPVLAN_FLAGS:
        message = (
            f"requested ipvlan flag '{options['ipvlan_flag']}' is not valid, 'bridge' is the "
            "ipvlan driver default"
        )
        hint = f"The flags are {', '.join(IPVLAN_FLAGS)}."
    elif options.get(PARENT) == "lo":
        message = f"loopback interface is not a valid {driver} parent link"
        hint = "Name the interface of the wire that containers are to be on: -o parent=eth0."
    if message:
        raise InvalidArgument(message, hint=hint)


def set_up(socket: Socket, network: Network, root: str) -> Uplink:
    """Make the parent of a network if it is missing and ours to make, and return it.

    Raises: InvalidArgument, NotFound, Unsupported, OSError
    """
    parent = parent_of(network)
    link = rtnetlink.find_link(socket, parent.name)
    if link is None:
        if not sublinks.knows(socket, network.driver):
            message = f"the kernel has no {network.driver}"
            raise Unsupported(message, hint=f"Where it is a module: modprobe {network.driver}.")
        link = _make(socket, parent, alias_of(network.name, root))
    mode, flag = mode_of(network)
    mtu = network.mtu if network.mtu != link.mtu else 0
    return Uplink(link.index, link.name, mtu, driver=network.driver, mode=mode, flag=flag)


def _make(socket: Socket, parent: Parent, alias: str) -> Link:
    if parent.sink:
        _make_sink(socket, parent.name)
    else:
        _make_vlan(socket, parent)
    link = rtnetlink.find_link(socket, parent.name)
    if link is None:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), parent.name)
    socket.request(rtnetlink.set_alias(link.index, alias))
    return link


def _make_sink(socket: Socket, name: str) -> None:
    for kind in sublinks.SINKS:
        try:
            socket.request(sublinks.new_sink(name, kind))
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
        else:
            return
    message = "the kernel has no links that lead nowhere, as a network without a parent needs one"
    raise Unsupported(message, hint="Load one: modprobe dummy. Or name a parent: -o parent=eth0.")


def _make_vlan(socket: Socket, parent: Parent) -> None:
    _check_vlan(parent)
    below = rtnetlink.find_link(socket, parent.below)
    if below is None:
        message = f"-o parent interface was not found on the host: {parent.below}"
        raise NotFound(message, hint="The host's interfaces: ip link, or ls /sys/class/net.")
    try:
        socket.request(sublinks.new_vlan(parent.name, below.index, parent.vlan))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        message = f"failed to create {parent.name} vlan link: operation not supported"
        hint = "The kernel has no VLANs; where they are a module: modprobe 8021q."
        raise Unsupported(message, hint=hint) from error


def _check_vlan(parent: Parent) -> None:
    """Raise unless the name is that of an interface and a VLAN.

    Docker: the words of its drivers

    Raises: InvalidArgument, NotFound
    """
    below, _, vlan = parent.name.rpartition(".")
    if not below:
        message = f"invalid subinterface vlan name {parent.name}, example formatting is eth0.10"
        hint = f"The host has no interface {parent.name} either."
        raise NotFound(message, hint=hint)
    if not vlan.isascii() or not vlan.isdecimal():
        message = f"unable to parse a valid vlan id from: {vlan} (ex. eth0.10 for vlan 10)"
        raise InvalidArgument(message)
    if not 1 <= int(vlan) <= _TOP_VLAN:
        message = f"vlan id must be between 1-{_TOP_VLAN}, received: {vlan}"
        raise InvalidArgument(message)


def remove(socket: Socket, network: Network, root: str) -> None:
    """Remove the parent of a network, if we made it."""
    link = rtnetlink.find_link(socket, parent_of(network).name)
    note = os.fsencode(alias_of(network.name, root))[: rtnetlink.ALIAS_LENGTH]
    if link is not None and os.fsencode(link.alias) == note:
        socket.request(rtnetlink.delete_link(link.name))


def member(endpoint: Endpoint, uplink: Uplink, netns_fd: int) -> Request:
    """Return what makes an endpoint's interface in its namespace, on the wire of the parent."""
    birth = Birth(endpoint.interface, netns_fd, endpoint.mac, uplink.mtu)
    if uplink.driver == "macvlan":
        return sublinks.new_macvlan(birth, uplink.index, uplink.mode)
    return sublinks.new_ipvlan(birth, uplink.index, uplink.mode, uplink.flag)
