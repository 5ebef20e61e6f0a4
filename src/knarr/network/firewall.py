"""All rules of one realm as one plan, and the difference to what the kernel has.

One table of family inet holds them; others' tables are read at most, never changed. Its chains and
rules are the same for every realm at every time. What differs is in sets and maps:

* `bridges`: the interfaces of our networks; `internal`: those of networks without a way out;
  `within`: (bridge, bridge) for networks whose members may talk to each other;
* `masquerade4`, `masquerade6`: subnets that leave the host under its own address;
* `ports4`, `ports6`: (protocol, port) of the host to (address, port) of a sandbox; `ports4_on`,
  `ports6_on`: the same for one address of the host.

So starting and stopping a sandbox adds and removes elements (40 µs), and a sandbox without
published ports needs nothing at all. A missing table shows when the elements cannot be added; the
whole is then made from the plan.

What the chains do:

* `guard` (raw prerouting): packets from a bridge to 127.0.0.0/8 are dropped. They would be
  accepted because of route_localnet, which the bridges need so that the host reaches published
  ports on 127.0.0.1.
* `prerouting` and `output` send what is addressed to this host through `published`, which
  translates destinations. The source stays as it is, except for what `postrouting` says.
* `postrouting`: what leaves for elsewhere takes the host's address. So does what comes from
  127.0.0.1, and what one sandbox sends to another (or itself) through a published port: the answer
  would otherwise take the short way and not be recognised.
* `forward`: to a bridge come answers, traffic within a network, and published ports; the rest is
  dropped: other networks, and neighbours of the host that route to the subnet directly. What
  comes from an internal network goes nowhere else.

A verdict `accept` ends this table's say, not that of others: where somebody's chain drops what is
forwarded (Docker sets the policy of iptables' FORWARD to DROP), that stands. What is done about it
is in `knarr.network.foreign`.
"""

from __future__ import annotations

from knarr.linux import nftables
from knarr.linux.nftables import Chain, Element, Rule, Set, Table
from knarr.linux.nftexpr import (
    accept,
    dnat,
    drop,
    jump,
    local_destination,
    lookup,
    masquerade,
    state,
    status,
    within,
)
from knarr.network.address import parse_subnet, render_address
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from knarr.linux.netlink import Request
    from knarr.linux.nfnetlink import Nftables
    from knarr.network.model import Network, Published, Realm

    Key = tuple[str | int, ...]

# Counts the changes of chains, sets and rules: a table of another version is made anew. A test
# knows the fingerprint of each version.
VERSION = 1

# Characters of a root's path that a comment has room for.
_ROOT_SHOWN = 50

CHAINS = (
    Chain("guard", "filter", "prerouting", -300),
    Chain("prerouting", "nat", "prerouting", -100),
    Chain("output", "nat", "output", -100),
    Chain("postrouting", "nat", "postrouting", 100),
    Chain("forward", "filter", "forward", 0),
    Chain("published"),
    Chain("to_bridges"),
)

SETS = (
    Set("bridges", ("ifname",)),
    Set("internal", ("ifname",)),
    Set("within", ("ifname", "ifname")),
    Set("masquerade4", ("ipv4_addr",), interval=True),
    Set("masquerade6", ("ipv6_addr",), interval=True),
    Set("ports4", ("inet_proto", "inet_service"), ("ipv4_addr", "inet_service")),
    Set("ports6", ("inet_proto", "inet_service"), ("ipv6_addr", "inet_service")),
    Set("ports4_on", ("ipv4_addr", "inet_proto", "inet_service"), ("ipv4_addr", "inet_service")),
    Set("ports6_on", ("ipv6_addr", "inet_proto", "inet_service"), ("ipv6_addr", "inet_service")),
)

_EVERYWHERE = ("", "0.0.0.0", "::")

_BY_NAME = {one.name: one for one in SETS}

_FROM_BRIDGE = lookup(("iifname",), "bridges")
_TO_BRIDGE = lookup(("oifname",), "bridges")
_LOOPBACK = bytes((127, 0, 0, 0))
_PORT = ("meta l4proto", "th dport")

RULES = (
    Rule("guard", "loopback is the host's alone",
         (_FROM_BRIDGE, within("ip daddr", _LOOPBACK, 8, "127.0.0.0/8"), drop())),
    Rule("prerouting", "published ports, from outside", (local_destination(), jump("published"))),
    Rule("output", "published ports, from the host", (local_destination(), jump("published"))),
    Rule("published", "on one address", (dnat(4, ("ip daddr", *_PORT), "ports4_on"),)),
    Rule("published", "on one IPv6 address", (dnat(6, ("ip6 daddr", *_PORT), "ports6_on"),)),
    Rule("published", "on all addresses", (dnat(4, _PORT, "ports4"),)),
    Rule("published", "on all IPv6 addresses", (dnat(6, _PORT, "ports6"),)),
    Rule("postrouting", "from the host's loopback",
         (_TO_BRIDGE, within("ip saddr", _LOOPBACK, 8, "127.0.0.0/8"), masquerade())),
    Rule("postrouting", "back in through a published port",
         (_TO_BRIDGE, status("dnat"), lookup(("ip saddr",), "masquerade4"), masquerade())),
    Rule("postrouting", "back in through a published port, IPv6",
         (_TO_BRIDGE, status("dnat"), lookup(("ip6 saddr",), "masquerade6"), masquerade())),
    Rule("postrouting", "leaving",
         (lookup(("oifname",), "bridges", negated=True), lookup(("ip saddr",), "masquerade4"),
          masquerade())),
    Rule("postrouting", "leaving, IPv6",
         (lookup(("oifname",), "bridges", negated=True), lookup(("ip6 saddr",), "masquerade6"),
          masquerade())),
    Rule("forward", "what comes to a network", (_TO_BRIDGE, jump("to_bridges"))),
    Rule("forward", "no way out", (lookup(("iifname",), "internal"), drop())),
    Rule("to_bridges", "answers", (state("established", "related"), accept())),
    Rule("to_bridges", "within a network", (lookup(("iifname", "oifname"), "within"), accept())),
    Rule("to_bridges", "internal networks stay inside", (lookup(("iifname",), "internal"), drop())),
    Rule("to_bridges", "published ports", (status("dnat"), accept())),
    Rule("to_bridges", "nothing else", (drop(),)),
)  # fmt: skip


class Entry(Value):
    """An element as people read it: a subnet for an interval, else the values of the datatypes."""

    key: Key
    data: Key = ()

    def __str__(self) -> str:
        """Return the element as nft writes it."""
        key = " . ".join(str(value) for value in self.key)
        return f"{key} : {' . '.join(str(v) for v in self.data)}" if self.data else key


class Plan(Value):
    """What the table of a realm has to be. `entries` are by set, those without any left out."""

    table: Table
    entries: Mapping[str, tuple[Entry, ...]]

    def __str__(self) -> str:
        """Return the plan as nft would list it."""
        lines = [f"table inet {self.table.name} {{"]
        for one in SETS:
            lines.append(f"\t{one}")
            lines += [f"\t\t{entry}" for entry in self.entries.get(one.name, ())]
        for chain in CHAINS:
            lines.append(f"\t{chain}")
            lines += [f"\t\t{rule}" for rule in RULES if rule.chain == chain.name]
        return "\n".join((*lines, "}")) + "\n"


def table_of(realm: Realm) -> Table:
    """Return the head of the realm's table; the comment tells whose it is, and which rules."""
    comment = f"knarr {realm.root[-_ROOT_SHOWN:]}, rules {VERSION}"
    return Table(nftables.NFPROTO_INET, realm.table, comment)


def plan(realm: Realm, networks: Iterable[Network], published: Iterable[Published]) -> Plan:
    """Return what the table of `realm` has to be for its networks and published ports."""
    entries: dict[str, list[Entry]] = {}
    for network in networks:
        for name, entry in network_entries(network):
            entries.setdefault(name, []).append(entry)
    for port in published:
        name, entry = port_entry(port)
        entries.setdefault(name, []).append(entry)
    ordered = {name: tuple(sorted(found, key=str)) for name, found in entries.items()}
    return Plan(table_of(realm), ordered)


def network_entries(network: Network) -> list[tuple[str, Entry]]:
    """Return the elements that a network is to the firewall, each with the name of its set."""
    bridge = network.interface
    found = [("bridges", Entry((bridge,)))]
    if network.talkative:
        found.append(("within", Entry((bridge, bridge))))
    if network.internal:
        return [*found, ("internal", Entry((bridge,)))]
    if network.masquerade:
        for pool in network.pools:
            version = parse_subnet(pool.subnet).version
            found.append((f"masquerade{version}", Entry((pool.subnet,))))
    return found


def port_entry(port: Published) -> tuple[str, Entry]:
    """Return the element of a published port with the name of its map."""
    version = 6 if ":" in port.address else 4
    key: Key = (port.protocol, port.host_port)
    target = (port.address, port.port)
    if port.host_ip not in _EVERYWHERE:
        return f"ports{version}_on", Entry((port.host_ip, *key), target)
    return f"ports{version}", Entry(key, target)


def add_ports(table: Table, ports: Iterable[Published]) -> list[Request]:
    """Return what publishes `ports`, one transaction."""
    return _changes(table, ports, nftables.add_elements)


def remove_ports(table: Table, ports: Iterable[Published]) -> list[Request]:
    """Return what takes `ports` back, one transaction."""
    return _changes(table, ports, nftables.delete_elements)


def create(wanted: Plan) -> list[Request]:
    """Return what makes the whole table."""
    table = wanted.table
    requests = [nftables.add_table(table)]
    requests += [nftables.add_chain(table, chain) for chain in CHAINS]
    requests += [nftables.add_set(table, one, number) for number, one in enumerate(SETS, 1)]
    for one in SETS:
        requests += nftables.add_elements(table, one.name, _encode(wanted, one))
    return [*requests, *(nftables.add_rule(table, rule) for rule in RULES)]


def difference(kernel: Nftables, wanted: Plan) -> list[Request]:
    """Return what makes the table in the kernel as `wanted`: nothing when it is so already.

    Chains and rules are made anew if any is missing, foreign or of another version: a table
    is replaced within one transaction.
    """
    table = wanted.table
    found = kernel.find_table(table.family, table.name)
    if found is None:
        return create(wanted)
    rules = [(chain, comment) for chain, comment, _ in kernel.rules(table)]
    ours = sorted((rule.chain, rule.comment) for rule in RULES)
    if found != table or sorted(rules) != ours or set(kernel.sets(table)) != set(_BY_NAME):
        return [nftables.delete_table(table), *create(wanted)]
    requests: list[Request] = []
    for one in SETS:
        has, wants = set(kernel.elements(table, one.name)), set(_encode(wanted, one))
        gone, new = has - wants, wants - has
        requests += nftables.delete_elements(table, one.name, _ordered(gone))
        requests += nftables.add_elements(table, one.name, _ordered(new))
    return requests


def _changes(
    table: Table,
    ports: Iterable[Published],
    change: Callable[[Table, str, Iterable[Element]], Iterable[Request]],
) -> list[Request]:
    elements: dict[str, list[Element]] = {}
    for port in ports:
        name, entry = port_entry(port)
        one = nftables.element(_BY_NAME[name], entry.key, entry.data)
        elements.setdefault(name, []).append(one)
    return [request for name, found in elements.items() for request in change(table, name, found)]


def _encode(wanted: Plan, one: Set) -> list[Element]:
    entries = wanted.entries.get(one.name, ())
    if not one.interval:
        return [nftables.element(one, entry.key, entry.data) for entry in entries]
    return [element for entry in entries for element in _interval(one, str(entry.key[0]))]


def _interval(one: Set, text: str) -> list[Element]:
    """Return the first address of a subnet, and the one behind it as the end."""
    subnet = parse_subnet(text)
    first = nftables.element(one, (render_address(subnet.base, subnet.version),))
    after = nftables.element(one, (render_address(subnet.last + 1, subnet.version),))
    return [first, after.replace(end=True)]


def _ordered(elements: Iterable[Element]) -> list[Element]:
    return sorted(elements, key=lambda element: (element.key, not element.end))
