"""A network as asked for, checked and completed: what `network create` writes down.

Docker: the names of drivers and options, and the words of refusals
"""

from __future__ import annotations

import os
import time

from knarr.engine.network.pools import plan_pools
from knarr.errors import Conflict, InvalidArgument, NotFound, PermissionDenied, Unavailable
from knarr.network.model import (
    DEFAULT_NETWORK,
    GATEWAY_MODES,
    INHIBIT,
    ISOLATED,
    WIRES,
    Network,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from knarr.engine.network.bridges import Bridges
    from knarr.engine.networks import NetworkOptions, Networks

BRIDGE = "bridge"
DRIVERS = (BRIDGE, *WIRES)
_SINGLE = {"host": "host", "null": "null"}

# Docker's names of the options of a bridge, and of all.
MTU = "com.docker.network.driver.mtu"
ICC = "com.docker.network.bridge.enable_icc"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
NAME = "com.docker.network.bridge.name"

_LONGEST_INTERFACE = 15  # IFNAMSIZ less the final NUL


def check_driver(driver: str) -> None:
    """Raise unless networks with this driver can be created.

    Raises: PermissionDenied, Unavailable, NotFound
    """
    if driver in DRIVERS:
        return
    if driver in _SINGLE:
        message = f'only one instance of "{driver}" network is allowed'
        raise PermissionDenied(message)
    if driver == "overlay":
        message = "this node is not a swarm manager"
        hint = "Networks are those of one host; to be on a wire with others: --driver macvlan."
        raise Unavailable(message, hint=hint)
    message = f'plugin "{driver}" not found'
    raise NotFound(message, hint=f"The drivers are {', '.join(DRIVERS)}.")


def plan(networks: Networks, name: str, options: NetworkOptions) -> Network:
    """Return a network as asked for, with a subnet and a bridge's name that are free.

    Raises: InvalidArgument, Conflict, Unavailable
    """
    if options.driver != BRIDGE:
        from knarr.network.parents import check_options  # noqa: PLC0415 - bridges need none

        check_options(options.driver, options.options)
    recorded = networks.recorded()
    pools = plan_pools(options, recorded, networks.bridges.choose)
    interface = ""
    if options.driver == BRIDGE:
        interface = _interface(networks.bridges, recorded, name, options)
    network = Network(
        os.urandom(32).hex(),
        name,
        options.driver,
        interface,
        pools,
        internal=options.internal,
        attachable=options.attachable,
        talkative=flag(options.options, ICC),
        masquerade=flag(options.options, MASQUERADE),
        mtu=_mtu(options.options),
        chosen=not options.subnets,
        created_ns=time.time_ns(),
        options=options.options,
        labels=options.labels,
        ipam_options=options.ipam_options,
    )
    _check_gateway_modes(network)
    flag(options.options, INHIBIT)
    return network if options.driver == BRIDGE else _on_wire(network, recorded)


def _check_gateway_modes(network: Network) -> None:
    """Raise for ways of being connected that there are not.

    Docker: the words of its bridge driver

    Raises: InvalidArgument
    """
    for version in (4, 6):
        mode = network.gateway_mode(version)
        if mode not in GATEWAY_MODES:
            message = f"unknown gateway mode {mode}"
            raise InvalidArgument(message, hint=f"The modes are {', '.join(GATEWAY_MODES)}.")
        if mode == ISOLATED and not network.internal:
            message = "gateway mode 'isolated' can only be used for an internal network"
            raise InvalidArgument(message, hint="Add --internal.")


def _interface(
    bridges: Bridges, recorded: Iterable[Network], name: str, options: NetworkOptions
) -> str:
    """Return the name of the network's bridge.

    Raises: InvalidArgument, Conflict
    """
    asked = options.options.get(NAME, "")
    if not asked:
        return bridges.free_interface(recorded, first=0 if name == DEFAULT_NETWORK else 1)
    if len(os.fsencode(asked)) > _LONGEST_INTERFACE or "/" in asked or asked in (".", ".."):
        message = f"invalid value for {NAME}: {asked}"
        hint = f"The name of an interface has at most {_LONGEST_INTERFACE} bytes and no slash."
        raise InvalidArgument(message, hint=hint)
    for other in recorded:
        if other.interface == asked:
            message = f"networks have same bridge name: {asked}"
            raise Conflict(message, hint=f"The network {other.name} has it.")
    return asked


def _on_wire(network: Network, others: Iterable[Network]) -> Network:
    """Return a network that stands on a link of the host; the kernel has one network for each.

    Raises: Conflict
    """
    from knarr.network import parents  # noqa: PLC0415 - bridges need none

    if parents.isolated(network):
        return network.replace(internal=True)
    name = parents.parent_of(network).name
    for other in others:
        if other.driver in WIRES and parents.parent_of(other).name == name:
            message = f"network {other.name} is already using parent interface {name}"
            raise Conflict(message, hint="One wire is one network; a VLAN of it is another.")
    return network


def flag(options: Mapping[str, str], name: str) -> bool:
    """Return an option that is true or false, and true without a word.

    Raises: InvalidArgument
    """
    text = options.get(name)
    if text is None:
        return True
    from knarr.util.booleans import find_boolean  # noqa: PLC0415 - few networks have one

    found = find_boolean(text.lower())
    if found is None:
        message = f"invalid value for {name}: {text}"
        raise InvalidArgument(message, hint="It is true or false.")
    return found


def _mtu(options: Mapping[str, str]) -> int:
    text = options.get(MTU, "0")
    if not text.isascii() or not text.isdecimal() or (int(text) and not 68 <= int(text) <= 65535):
        message = f"invalid value for {MTU}: {text}"
        raise InvalidArgument(message, hint="It is between 68 and 65535, or 0 for the host's own.")
    return int(text)
