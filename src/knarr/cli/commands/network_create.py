"""knarr network create."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.errors import InvalidArgument, NotFound, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Create a network",
    usage="[OPTIONS] NETWORK",
    options=(
        Option("attachable", "Enable manual container attachment"),
        Option(
            "aux-address", "Auxiliary IPv4 or IPv6 addresses that containers do not get",
            kind="list", metavar="map",
        ),
        Option("config-from", "The network from which to copy the configuration", kind="string",
               metavar="network"),
        Option("config-only", "Create a configuration only network"),
        Option("driver", "Driver to manage the Network", kind="string", short="d",
               default="bridge", shown='"bridge"'),
        Option("gateway", "IPv4 or IPv6 Gateway for the master subnet", kind="list"),
        Option("ingress", "Create swarm routing-mesh network"),
        Option("internal", "Restrict external access to the network"),
        Option("ip-range", "Allocate container ip from a sub-range", kind="list"),
        Option("ipam-driver", "IP Address Management Driver", kind="string", default="default",
               shown='"default"'),
        Option("ipam-opt", "Set IPAM driver specific options", kind="list", metavar="map"),
        Option("ipv4", "Enable IPv4 address assignment", default=True, shown="true"),
        Option("ipv6", "Enable IPv6 address assignment"),
        Option("label", "Set metadata on a network", kind="list"),
        Option("opt", "Set driver specific options", kind="list", short="o", metavar="map"),
        Option("scope", "Control the network's scope", kind="string"),
        Option("subnet", "Subnet in CIDR format that represents a network segment", kind="list"),
    ),
    minimum=1,
    maximum=1,
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.networks import NetworkOptions  # noqa: PLC0415 - not for --help

    (name,) = arguments
    _refuse_swarm(options)
    asked = NetworkOptions(
        driver=options.text("driver"),
        subnets=tuple(options.texts("subnet")),
        gateways=tuple(options.texts("gateway")),
        ip_ranges=tuple(options.texts("ip-range")),
        ipv4=options.flag("ipv4"),
        ipv6=options.flag("ipv6"),
        reserved=_pairs("aux-address", options.texts("aux-address")),
        internal=options.flag("internal"),
        attachable=options.flag("attachable"),
        options=_pairs("opt", options.texts("opt")),
        labels=_pairs("", options.texts("label")),
        ipam_options=_pairs("ipam-opt", options.texts("ipam-opt")),
    )
    context.print(context.engine.networks.create(name, asked).id)
    return 0


def _refuse_swarm(options: Options) -> None:
    """Raise for what Docker offers in a swarm, or through plugins, in its words.

    Raises: InvalidArgument, NotFound, Unavailable
    """
    hint = "Networks are those of one host."
    if options.flag("ingress"):
        message = "Ingress network can only be global scope network"
        raise InvalidArgument(message, hint=hint)
    scope = options.text("scope")
    if scope not in ("", "local"):
        message = "cannot create a swarm scoped network when swarm is not active"
        if scope != "swarm":
            message = "this node is not a swarm manager"
        raise Unavailable(message, hint=hint)
    driver = options.text("ipam-driver")
    if driver != "default":
        message = f'plugin "{driver}" not found'
        raise NotFound(message, hint="Addresses are given out by knarr alone.")
    if options.flag("config-only") or options.text("config-from"):
        message = "networks that are configuration alone are for the nodes of a swarm"
        raise InvalidArgument(message, hint=hint)


def _pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Return `key=value` texts as a dictionary; without an `option` to blame, values may lack."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if option and not equals:
            message = f"invalid argument {text!r} for --{option}: it must be KEY=VALUE"
            raise InvalidArgument(message)
        found[key] = value
    return found
