"""Carrying out the plans: bridges on the host, interfaces in a sandbox's network namespace.

What needs to happen inside a namespace happens through a netlink socket that was opened there. The
thread is in that namespace only for as long as it takes to open the socket and to write a setting
or two below /proc/sys/net, which shows the namespace of whoever looks; a socket stays where it was
opened.
"""

from __future__ import annotations

import errno
import os
import time

from knarr.errors import Conflict, Failed, PermissionDenied
from knarr.linux import namespaces, netlink, rtnetlink
from knarr.network import drivers
from knarr.network.address import Subnet, parse_address, version_of
from knarr.util.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType
    from typing import Self

    from knarr.linux.netlink import Request
    from knarr.network.drivers import Sysctl, Uplink
    from knarr.network.model import Endpoint, Network, WayOut

DEFAULT_MTU = 1500

# Longer than the kernel puts off looking at an interface, one second.
NOTICED_AFTER = 2.0


class Host:
    """The links of the namespace this thread is in, through one socket."""

    def __init__(self) -> None:
        """Open the socket."""
        self.socket = netlink.Socket(netlink.NETLINK_ROUTE)

    def __enter__(self) -> Self:
        """Return the open host."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the socket."""
        self.socket.close()

    def find_bridge(self, network: Network) -> Uplink | None:
        """Return the network's bridge, if it is there and up."""
        link = rtnetlink.find_link(self.socket, network.interface)
        if link is None or not link.up:
            return None
        return drivers.Uplink(
            link.index, link.name, link.mtu, link.works, isolated=not network.talkative
        )

    def set_up_parent(self, network: Network, root: str) -> Uplink:
        """Return what a network of macvlan or ipvlan stands on, made if it is ours to make.

        Raises: InvalidArgument, NotFound, Unsupported, PermissionDenied, Failed
        """
        from knarr.network import parents  # noqa: PLC0415 - bridges need none

        with _Translate(f"cannot set up the parent of the network {network.name}"):
            return parents.set_up(self.socket, network, root)

    def remove_parent(self, network: Network, root: str) -> None:
        """Remove the link that a network of macvlan or ipvlan stands on, if we made it.

        Raises: PermissionDenied, Failed
        """
        from knarr.network import parents  # noqa: PLC0415 - as above

        with _Translate(f"cannot remove the parent of the network {network.name}"):
            parents.remove(self.socket, network, root)

    def set_up_bridge(self, network: Network, root: str) -> Uplink:
        """Make the network's bridge, or what an interrupted attempt left out, and return it.

        `root` is that of its realm.

        Raises: PermissionDenied, Conflict, Failed
        """
        with _Translate(f"cannot set up the bridge {network.interface}"):
            link = rtnetlink.find_link(self.socket, network.interface)
            if link is None:
                self.socket.request(drivers.bridge(network))
                link = rtnetlink.find_link(self.socket, network.interface)
            if link is None:
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), network.interface)
            write_settings(drivers.bridge_settings(network))
            alias = drivers.alias_of(network.name, root)
            mtu = network.mtu or self.default_mtu()
            for request in drivers.bridge_addresses(network, link.index, alias, mtu):
                try:
                    self.socket.request(request)
                except FileExistsError:
                    pass  # an earlier attempt came as far as this
        write_settings(drivers.forwarding(network))
        isolated = not network.talkative
        return drivers.Uplink(link.index, link.name, mtu, link.works, isolated=isolated)

    def remove_link(self, name: str) -> None:
        """Remove a bridge or one end of a pair with the other; do nothing if it is not there."""
        try:
            self.socket.request(rtnetlink.delete_link(name))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    def remove_bridge(self, name: str) -> None:
        """Remove a bridge and the interfaces that are its ports; do nothing if it is not there.

        Raises: PermissionDenied, Failed
        """
        with _Translate(f"cannot remove the bridge {name}"):
            bridge = rtnetlink.find_link(self.socket, name)
            if bridge is None:
                return
            for port in rtnetlink.links(self.socket, master=bridge.index):
                self.remove_link(port.name)
            self.remove_link(name)

    def remove_bridges(self, prefix: str) -> None:
        """Remove the bridges named `prefix` and a number, with their ports.

        Raises: PermissionDenied, Failed
        """
        for bridge in rtnetlink.links(self.socket):
            number = bridge.name.removeprefix(prefix)
            if bridge.kind == "bridge" and number != bridge.name and number.isdecimal():
                self.remove_bridge(bridge.name)

    def abandoned(self) -> dict[str, str]:
        """Return the bridges and other links of realms whose root directory is gone, and that root.

        Those that something is connected to are left out, and those whose note was cut off.
        """
        links = rtnetlink.links(self.socket)
        used = {link.master for link in links}
        found = {}
        for link in links:
            _, of, root = link.alias.partition(drivers.OF_ROOT)
            whole = len(os.fsencode(link.alias)) < rtnetlink.ALIAS_LENGTH
            if not link.alias.startswith(drivers.ALIAS) or not of or not whole:
                continue
            if link.index not in used and not os.path.exists(root):
                found[link.name] = root
        return found

    def occupied(self, *, without: str = "") -> list[Subnet]:
        """Return the blocks that this host has addresses in or routes to, but for one interface.

        Default routes are left out: everything is in them.
        """
        skip = rtnetlink.find_link(self.socket, without) if without else None
        index = skip.index if skip is not None else -1
        found = [
            Subnet(version_of(a.address), _base(a.address, a.prefix), a.prefix)
            for a in rtnetlink.addresses(self.socket)
            if a.index != index
        ]
        for version in (4, 6):
            found += [
                Subnet(version, parse_address(route.destination), route.prefix)
                for route in rtnetlink.routes(self.socket, version, local=False)
                if route.prefix and route.destination and route.index != index
            ]
        return found

    def default_mtu(self) -> int:
        """Return the MTU of the interface that most packets leave by, that of Ethernet if none."""
        defaults = [
            route
            for route in rtnetlink.routes(self.socket, local=False)
            if not route.prefix and route.table == rtnetlink.RT_TABLE_MAIN and route.index
        ]
        if not defaults:
            return DEFAULT_MTU
        index = min(defaults, key=lambda route: route.priority).index
        link = rtnetlink.find_link_by_index(self.socket, index)
        return link.mtu if link is not None else DEFAULT_MTU

    def connect(
        self,
        endpoints: Sequence[Endpoint],
        uplinks: Sequence[Uplink],
        netns_fd: int,
        *,
        ways_out: Iterable[WayOut],
    ) -> None:
        """Give the namespace `netns_fd` these interfaces and default routes.

        Raises: PermissionDenied, Failed
        """
        with _Translate("cannot set up the container's network"):
            for endpoint, uplink in zip(endpoints, uplinks, strict=True):
                self._make_interface(endpoint, uplink, netns_fd)
            settings = [one for e in endpoints for one in drivers.inner_settings(e)]
            with open_inside(netns_fd, settings) as inside:
                requests = [drivers.loopback()]
                for endpoint in endpoints:
                    requests += drivers.inner(endpoint, _index(inside, endpoint.interface))
                inside.request(*requests, *_routes(inside, ways_out))
            for endpoint, uplink in zip(endpoints, uplinks, strict=True):
                if endpoint.host_interface:
                    self._await(endpoint.host_interface)
                if not uplink.works:
                    self._await(uplink.name)

    def _make_interface(self, endpoint: Endpoint, uplink: Uplink, netns_fd: int) -> None:
        if uplink.driver != "bridge":
            from knarr.network.parents import member  # noqa: PLC0415 - as above

            self.socket.request(member(endpoint, uplink, netns_fd))
            return
        if endpoint.confined:
            self._make_routed(endpoint, uplink, netns_fd)
            return
        self._make_pair(
            endpoint.host_interface,
            drivers.pair(
                endpoint,
                master=uplink.index,
                mtu=uplink.mtu,
                netns_fd=netns_fd,
                isolated=uplink.isolated,
            ),
        )

    def _make_pair(self, name: str, pair: Sequence[Request]) -> None:
        try:
            self.socket.request(*pair)
        except FileExistsError:  # of an earlier start that was interrupted
            self.remove_link(name)
            self.socket.request(*pair)

    def _make_routed(self, endpoint: Endpoint, uplink: Uplink, netns_fd: int) -> None:
        """Make the interface of an endpoint whose traffic is all to pass by the host's rules."""
        from knarr.network import routed  # noqa: PLC0415 - few sandboxes are

        name = endpoint.host_interface
        self._make_pair(name, [routed.pair(endpoint, mtu=uplink.mtu, netns_fd=netns_fd)])
        write_settings(routed.settings(endpoint, uplink.name))
        index = _index(self.socket, name)
        self.socket.request(*routed.host_side(endpoint, index, uplink.index))

    def forget_routed(self, endpoint: Endpoint, bridge: str) -> None:
        """Take back what the end of a confined endpoint's interface leaves behind."""
        from knarr.network import routed  # noqa: PLC0415 - few sandboxes are

        link = rtnetlink.find_link(self.socket, bridge)
        for request in routed.take_back(endpoint, link.index) if link else ():
            try:
                self.socket.request(request)
            except FileNotFoundError:
                pass  # it never came as far as that

    def disconnect(self, endpoint: Endpoint, netns_fd: int, *, ways_out: Sequence[WayOut]) -> None:
        """Take an interface away again, and set the default routes that take the place of its own.

        Raises: PermissionDenied, Failed
        """
        with _Translate("cannot take the container out of the network"):
            if endpoint.host_interface:
                self.remove_link(endpoint.host_interface)
            with open_inside(netns_fd) as inside:
                if not endpoint.host_interface:
                    inside.request(rtnetlink.delete_link(endpoint.interface))
                inside.request(*_routes(inside, ways_out))

    def _await(self, name: str) -> None:
        """Wait until the kernel has noticed that the interface can be used.

        It notices in the background when the other end comes up, and drops all packets until then.
        A sandbox that asks for a name at once would lose its question, and seconds. A kernel from
        6.8 on notices at the latest when it is asked.
        """
        deadline = time.monotonic() + NOTICED_AFTER
        while time.monotonic() < deadline:
            link = rtnetlink.find_link(self.socket, name)
            if link is None or link.works:
                return
            time.sleep(0.0005)


def open_inside(netns_fd: int, settings: Iterable[Sysctl] = ()) -> netlink.Socket:
    """Return a route socket of the namespace `netns_fd`, having written `settings` there.

    Raises: OSError
    """
    with namespaces.InNetwork(netns_fd):
        for setting in settings:
            _write(setting)
        return netlink.Socket(netlink.NETLINK_ROUTE)


def _index(inside: netlink.Socket, interface: str) -> int:
    link = rtnetlink.find_link(inside, interface)
    if link is None:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), interface)
    return link.index


def _routes(inside: netlink.Socket, ways_out: Iterable[WayOut]) -> list[Request]:
    return [drivers.default_route(one, _index(inside, one.interface)) for one in ways_out]


def redirect_names(netns_fd: int, udp: int, tcp: int) -> None:
    """Send the questions for names of the namespace `netns_fd` to where they are answered.

    Harmless where that is so already.

    Raises: PermissionDenied, Failed
    """
    from knarr.linux.nfnetlink import Nftables  # noqa: PLC0415 - on networks of users alone
    from knarr.network import redirect  # noqa: PLC0415 - as above

    with _Translate("cannot set up the container's names"), namespaces.InNetwork(netns_fd):
        kernel = Nftables()
    with _Translate("cannot set up the container's names"), kernel:
        try:
            kernel.apply(redirect.plan(udp, tcp))
        except FileExistsError:
            pass


def set_up_loopback(netns_fd: int) -> None:
    """Set up the loopback interface of the namespace `netns_fd`.

    Raises: PermissionDenied, Failed
    """
    what = "cannot set up the container's loopback interface"
    with _Translate(what), open_inside(netns_fd) as inside:
        inside.request(drivers.loopback())


def write_settings(settings: Iterable[Sysctl]) -> None:
    """Write the settings that are not as they have to be.

    Raises: PermissionDenied, Failed
    """
    for setting in settings:
        try:
            _write(setting)
        except OSError as error:
            message = f"cannot set {setting}: {error.strerror}"
            hint = f'Run as root on the host: sysctl -w "{setting}".'
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise PermissionDenied(message, hint=hint) from error
            raise Failed(message, hint=hint) from error


def _write(setting: Sysctl) -> None:
    path = f"/proc/sys/{setting.name}"
    if setting.name.startswith("net/ipv6/") and not os.path.exists("/proc/sys/net/ipv6"):
        return  # a kernel without IPv6 has none to turn off
    if read_file(path).strip() == setting.value.encode():
        return
    with open(path, "w", encoding="ascii") as file:
        file.write(setting.value)


def _base(address: str, prefix: int) -> int:
    version = version_of(address)
    shift = (32 if version == 4 else 128) - prefix
    return parse_address(address) >> shift << shift


class _Translate:
    """Says what the kernel's refusals mean to a person."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, OSError):
            return
        details = [note.partition(": ")[2] for note in getattr(error, "__notes__", ())]
        reason = "; ".join((error.strerror or str(error), *details))
        message = f"{self._what}: {reason}"
        if error.errno in (errno.EPERM, errno.EACCES):
            hint = "Networks need root, or --network none or host."
            raise PermissionDenied(message, hint=hint) from error
        if error.errno == errno.EEXIST:
            raise Conflict(message) from error
        raise Failed(message) from error
