"""knarr network connect."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Connect a container to a network",
    usage="[OPTIONS] NETWORK CONTAINER",
    options=(
        Option("alias", "Add network-scoped alias for the container", kind="list"),
        Option("driver-opt", "Driver options for the network", kind="list", metavar="strings"),
        Option("gw-priority", "Highest gw-priority provides the default gateway (positive or "
                              "negative)", kind="int"),
        Option("ip", 'IPv4 address (e.g., "172.30.100.104")', kind="string"),
        Option("ip6", 'IPv6 address (e.g., "2001:db8::33")', kind="string"),
        Option("link", "Add link to another container", kind="list"),
        Option("link-local-ip", "Add a link-local address for the container", kind="list"),
        Option("mac-address", "MAC address of the container in the network", kind="string"),
    ),
    minimum=2,
    maximum=2,
    completes="networks containers",
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.options.networks import check_place, parse_link  # noqa: PLC0415 - not for --help
    from knarr.engine.options.values import NetworkJoin  # noqa: PLC0415

    network, container = arguments
    place = NetworkJoin(
        network,
        address=options.text("ip"),
        address6=options.text("ip6"),
        mac_address=options.text("mac-address"),
        aliases=tuple(options.texts("alias")),
        priority=options.number("gw-priority"),
        link_local=tuple(options.texts("link-local-ip")),
        links=tuple(parse_link(text) for text in options.texts("link")),
        driver_options=tuple(options.texts("driver-opt")),
    )
    check_place(place)
    context.engine.networks.connect(network, container, place)
    return 0
