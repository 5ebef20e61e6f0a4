"""knarr network ls."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.output import FORMAT, NO_TRUNC, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.cli.output import Row
    from knarr.network.model import Network

COMMAND = Command(
    short="List networks",
    options=(
        Option(
            "filter", 'Provide filter values (e.g. "driver=bridge")', kind="filter", short="f",
            metavar="filter",
        ),
        FORMAT,
        NO_TRUNC,
        Option("quiet", "Only display network IDs", short="q"),
    ),
)  # fmt: skip
HEADERS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "CreatedAt": "CREATED AT",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "Label": "LABEL",
}
TABLE = ("ID", "Name", "Driver", "Scope")


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.output import show  # noqa: PLC0415 - see the module
    from knarr.engine.network.view import list_networks  # noqa: PLC0415 - not for --help

    found = list_networks(context.engine.networks, options.texts("filter"))
    full, form = options.flag("no-trunc"), options.text("format")
    if options.flag("quiet") and form in ("", "table"):
        for network in found:
            context.print(network.id if full else network.id[:12])
        return 0
    show(context, Listing(HEADERS, TABLE), [_row(one, full=full) for one in found], form)
    return 0


def _row(network: Network, *, full: bool) -> Row:
    from knarr.engine.network.view import SCOPE, has_ipv6  # noqa: PLC0415 - not for --help
    from knarr.util.times import render_rfc3339  # noqa: PLC0415

    return {
        "ID": network.id if full else network.id[:12],
        "Name": network.name,
        "Driver": network.driver,
        "Scope": SCOPE,
        "CreatedAt": lambda: render_rfc3339(network.created_ns),
        "IPv4": "true",
        "IPv6": lambda: str(has_ipv6(network)).lower(),
        "Internal": str(network.internal).lower(),
        "Labels": lambda: ",".join(f"{k}={v}" for k, v in sorted(network.labels.items())),
        "Label": lambda name: network.labels.get(name, ""),
    }
