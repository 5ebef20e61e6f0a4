"""Network interfaces of the host that a container gets: moved, renamed, and as they were.

The kernel takes the addresses from an interface that changes its namespace; those that are valid
everywhere are given back to it there, and it is set up. When the container's namespace ends, the
kernel gives physical interfaces back to the host and destroys virtual ones.

Spec: runtime-spec config-linux.md, "Network Devices"
"""

from __future__ import annotations

import os

from knarr.errors import NotFound
from knarr.linux import namespaces, netlink, rtnetlink
from knarr.runtime.steps.outside import OutsideStep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.document import Node

_MOST = 15  # <linux/if.h>: IFNAMSIZ, without the NUL
_BAD = frozenset("/: \t\n\v\f\r")


class NetworkDevice(OutsideStep):
    """One interface, and what it is called inside."""

    __slots__ = ("inside", "name")

    def __init__(self, name: str, inside: str) -> None:
        """Move the interface `name`, to be called `inside`."""
        self.name = name
        self.inside = inside

    def __str__(self) -> str:
        """Show both names."""
        return f"network device {self.name} as {self.inside}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"moving the {self}"

    def run(self, pid: int) -> None:
        """Move it into the network namespace of the process `pid`."""
        with netlink.Socket(netlink.NETLINK_ROUTE) as outside:
            link = rtnetlink.find_link(outside, self.name)
            if link is None:
                message = f"{self.doing()}: there is no such interface"
                raise NotFound(message)
            kept = [a for a in rtnetlink.global_addresses(outside) if a.index == link.index]
            outside.request(rtnetlink.move_link(link, pid, self.inside))
        with _open_inside(pid) as inside:
            moved = rtnetlink.find_link(inside, self.inside)
            if moved is None:
                message = f"{self.doing()}: it did not arrive"
                raise NotFound(message)
            for address in kept:
                inside.request(rtnetlink.add_address(moved.index, address.address, address.prefix))
            inside.request(rtnetlink.set_up(moved.name, moved.index, mtu=link.mtu))


def _open_inside(pid: int) -> netlink.Socket:
    """Return a route socket of the network namespace of a process."""
    theirs = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with namespaces.InNetwork(theirs):
            return netlink.Socket(netlink.NETLINK_ROUTE)
    finally:
        os.close(theirs)


def plan_devices(linux: Node) -> list[NetworkDevice]:
    """Return the steps for `linux.netDevices`.

    Raises: InvalidArgument
    """
    node = linux.node("netDevices")
    steps = []
    for name in node.fields:
        inside = node.node(name).text("name") or name
        for word in (name, inside):
            if not _is_name(word):
                node.refuse(name, f'"{word}" is no name of an interface')
        steps.append(NetworkDevice(name, inside))
    return steps


def _is_name(word: str) -> bool:
    return word not in (".", "..") and 0 < len(word) <= _MOST and not _BAD & set(word)
