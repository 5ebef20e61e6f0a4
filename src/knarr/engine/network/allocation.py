"""An endpoint's addresses: free ones, or those that were asked for, written down at once.

Part of the transaction that prepares or connects a sandbox, so that of two that look for a free
address the second sees what the first one took. A record whose sandbox is gone is no obstacle: it
is released when it is met.
"""

from __future__ import annotations

import os

from knarr.errors import Conflict, InvalidArgument, Unavailable
from knarr.network import ipam
from knarr.network.address import mac_of, parse_mac, parse_subnet, version_of
from knarr.network.model import DEFAULT_NETWORK, Endpoint
from knarr.network.records import encode_endpoint
from knarr.store.networks import EndpointRow
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from knarr.engine.networks import Networks
    from knarr.network.model import AddressPool, Join, Network


# Docker's name of the option that says how interfaces inside begin.
_INTERFACE_PREFIX = "com.docker.network.container_iface_prefix"


class Allocation:
    """Endpoints for the sandbox `sandbox_id`.

    `reap` releases those of the sandboxes given to it that are gone. `egress` is the allowlist of
    what the sandbox may connect to.
    """

    def __init__(
        self,
        networks: Networks,
        sandbox_id: str,
        reap: Callable[[list[str]], None],
        *,
        egress: tuple[str, ...] | None = None,
    ) -> None:
        self._egress = egress
        self._records = networks.records
        self._marks = networks.marks
        self._sandbox_id = sandbox_id
        self._reap = reap

    def allocate(self, network: Network, join: Join, interface: str) -> Endpoint:
        """Record the sandbox's endpoint in `network` at free addresses, or those asked for.

        Raises: Conflict, InvalidArgument, Unavailable
        """
        if network.name == DEFAULT_NETWORK:
            _refuse_own(join)
        if self._egress is not None:
            _refuse_other_drivers(network)
        four = self._address(network, 4, join.address)
        six = self._address(network, 6, join.address6)
        pools = {version_of(pool.subnet): pool for pool in network.pools}
        endpoint_id = os.urandom(32).hex()
        bridged = network.driver == "bridge"
        straight = not bridged and _straight(network)
        endpoint = Endpoint(
            id=endpoint_id,
            sandbox_id=self._sandbox_id,
            network_id=network.id,
            network_name=network.name,
            interface=join.interface or interface,
            host_interface=f"kv{endpoint_id[:12]}" if bridged else "",
            mac=_mac(network, join, four or six),
            address=four,
            prefix=parse_subnet(pools[4].subnet).prefix if four else 0,
            gateway="" if straight else _gateway(network, pools.get(4)),
            aliases=join.aliases,
            address6=six,
            prefix6=parse_subnet(pools[6].subnet).prefix if six else 0,
            gateway6="" if straight else _gateway(network, pools.get(6)),
            priority=join.priority,
            link_local=join.link_local,
            driver=network.driver,
            straight=straight,
            sysctls=join.sysctls,
            egress=self._egress,
            routers=_routers(network) if self._egress is not None else (),
        )
        self._record(endpoint)
        return endpoint

    def _record(self, endpoint: Endpoint) -> None:
        from knarr.linux.process import start_time  # noqa: PLC0415 - loaded by who runs anyway

        owner = [os.getpid(), start_time(os.getpid())]
        detail = jsontext.dumps({**encode_endpoint(endpoint), "owner": owner})
        address = endpoint.address or None
        row = EndpointRow(endpoint.network_id, endpoint.sandbox_id, address, detail)
        self._records.add_endpoint(row)

    def _address(self, network: Network, version: int, asked: str) -> str:
        """Return the address of this version that the endpoint gets, empty if there are none."""
        pool = next((p for p in network.pools if version_of(p.subnet) == version), None)
        if pool is None:
            if asked:
                message = f"no configured subnet contains IP address {asked}"
                subnets = " and ".join(one.subnet for one in network.pools)
                raise InvalidArgument(message, hint=f"The network has {subnets}.")
            return ""
        mark = f"address {network.id}" if version == 4 else f"address6 {network.id}"

        def choose() -> str | None:
            taken = self._taken(network, version)
            if asked:
                return ipam.check_address(pool, asked, taken)
            return ipam.next_address(pool, taken, self._marks.find(mark))

        try:
            address = choose()
        except Conflict:
            address = None
        if address is None:
            self._reap([row.container for row in self._records.endpoints(network.id)])
            address = choose()
        if address is None:
            message = f"no available addresses in network {network.name}"
            hint = f"All of {pool.ip_range or pool.subnet} are taken."
            raise Unavailable(message, hint=hint)
        if not asked:
            self._marks.set(mark, address)
        return address

    def _taken(self, network: Network, version: int) -> frozenset[str]:
        if version == 4:
            return self._records.addresses(network.id)
        rows = self._records.endpoints(network.id)
        return frozenset(jsontext.loads(row.detail).get("address6", "") for row in rows) - {""}


def _gateway(network: Network, pool: AddressPool | None) -> str:
    return "" if network.internal or pool is None else pool.gateway


def _refuse_other_drivers(network: Network) -> None:
    """Raise for a network in which the host does not see what its members send.

    Raises: InvalidArgument
    """
    if network.driver != "bridge":
        message = f"egress rules do not go with the driver {network.driver} of {network.name}"
        hint = "What its members send does not pass by the host's rules; that of a bridge does."
        raise InvalidArgument(message, hint=hint)


def _routers(network: Network) -> tuple[str, ...]:
    """Return the host's addresses in a network, by way of which confined members reach others."""
    return tuple(pool.gateway for pool in network.pools)


def free_interface(network: Network, taken: Iterable[str]) -> str:
    """Return a name for the sandbox's next interface, which begins as the network says."""
    prefix = network.options.get(_INTERFACE_PREFIX) or "eth"
    names = set(taken)
    number = 0
    while f"{prefix}{number}" in names:
        number += 1
    return f"{prefix}{number}"


def _straight(network: Network) -> bool:
    """Tell whether members of a network that is no bridge send everything straight out."""
    from knarr.network.parents import routes_itself  # noqa: PLC0415 - bridges have a gateway

    return routes_itself(network) and not network.internal


def _mac(network: Network, join: Join, address: str) -> str:
    """Return the hardware address of an endpoint; on ipvlan it is the parent's."""
    if network.driver == "ipvlan":
        if join.mac:
            message = "ipvlan interfaces do not support custom mac address assignment"
            raise InvalidArgument(message, hint="All of them have the parent's; macvlan has own.")
        return ""
    return parse_mac(join.mac) if join.mac else mac_of(address)


def _refuse_own(join: Join) -> None:
    """Raise for what only networks that a user made offer.

    Raises: InvalidArgument
    """
    message = ""
    if join.address or join.address6:
        message = "user specified IP address is supported on user defined networks only"
    elif join.aliases:
        message = "network-scoped alias is supported only for containers in user defined networks"
    if message:
        raise InvalidArgument(message, hint="Make a network with knarr network create.")
