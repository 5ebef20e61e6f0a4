"""All rules of one realm as one plan, and the difference to what the kernel has.

One table of family inet holds them; others' tables are read at most, never changed. Its chains and
rules are the same for every realm at every time. What differs is in sets and maps:

* `bridges`: the interfaces of our networks; `internal`: those of networks without a way out;
  `within`: (bridge, bridge) for networks whose members may talk to each other;
* `masquerade4`, `masquerade6`: subnets that leave the host under its own address;
* `ports4`, `ports6`: (protocol, port) of the host to (address, port) of a sandbox; `ports4_on`,
  `ports6_on`: the same for one address of the host.

* `open4`, `open6`: subnets that anybody may reach who routes to them; `direct4`, `direct6`:
  (address, protocol, port) of sandboxes that are published at their own address;
* `confined` and those of `knarr.network.confined`: sandboxes that may connect to few places.

So starting and stopping a sandbox adds and removes elements (40 µs), and a sandbox without
published ports needs nothing at all. A missing table shows when the elements cannot be added; the
whole is then made from the plan.

What the chains do:

* `guard` (raw prerouting): packets from a bridge to 127.0.0.0/8 are dropped. They would be
  accepted because of route_localnet, which the bridges need so that the host reaches published
  ports on 127.0.0.1.
* `egress` (prerouting, before translation): what a confined sandbox sends goes on only if it is an
  answer or allowed. The address is the one that the program connected to.
* `prerouting` and `output` send what is addressed to this host through `published`, which
  translates destinations. The source stays as it is, except for what `postrouting` says. What
  comes in from anywhere for 127.0.0.0/8 is not translated: the kernel, which drops it, looks at the
  destination afterwards only.
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
    discovery,
    dnat,
    drop,
    jump,
    local_destination,
    lookup,
    masquerade,
    reject,
    state,
    status,
    within,
)
from knarr.network.address import parse_subnet, render_address
from knarr.network.model import ROUTED, UNPROTECTED
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from knarr.linux.netlink import Request
    from knarr.linux.nfnetlink import Nftables
    from knarr.network.model import Network, Published, Realm

    Key = tuple[str | int, ...]
    Named = tuple[str, "Entry"]

# Counts the changes of chains, sets and rules: a table of another version is made anew. A test
# knows the fingerprint of each version.
VERSION = 4

# Characters of a root's path that a comment has room for.
_ROOT_SHOWN = 50

CHAINS = (
    Chain("guard", "filter", "prerouting", -300),
    Chain("egress", "filter", "prerouting", -150),
    Chain("prerouting", "nat", "prerouting", -100),
    Chain("output", "nat", "output", -100),
    Chain("postrouting", "nat", "postrouting", 100),
    Chain("forward", "filter", "forward", 0),
    Chain("published"),
    Chain("to_bridges"),
    Chain("from_confined"),
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
    Set("open4", ("ipv4_addr",), interval=True),
    Set("open6", ("ipv6_addr",), interval=True),
    Set("direct4", ("ipv4_addr", "inet_proto", "inet_service")),
    Set("direct6", ("ipv6_addr", "inet_proto", "inet_service")),
    Set("confined", ("ifname",)),
    Set("refused", ("ifname",), counted=True),
    Set("own4", ("ifname", "ipv4_addr")),
    Set("own6", ("ifname", "ipv6_addr")),
    Set("egress4", ("ifname", "ipv4_addr", "inet_proto", "inet_service"), interval=True),
    Set("egress6", ("ifname", "ipv6_addr", "inet_proto", "inet_service"), interval=True),
    Set("named4", ("ifname", "ipv4_addr"), timeout=True),
    Set("named6", ("ifname", "ipv6_addr"), timeout=True),
    Set("named4_ports", ("ifname", "ipv4_addr", "inet_proto", "inet_service"), timeout=True),
    Set("named6_ports", ("ifname", "ipv6_addr", "inet_proto", "inet_service"), timeout=True),
    Set("beside4", ("ifname", "ipv4_addr"), interval=True),
    Set("beside6", ("ifname", "ipv6_addr"), interval=True),
)

# Elements that a resolver adds, and that go by themselves.
GRANTS = ("named4", "named6", "named4_ports", "named6_ports")

_EVERYWHERE = ("", "0.0.0.0", "::")

_BY_NAME = {one.name: one for one in SETS}

_FROM_BRIDGE = lookup(("iifname",), "bridges")
_TO_BRIDGE = lookup(("oifname",), "bridges")
_LOOPBACK = bytes((127, 0, 0, 0))
_LOOPBACK6 = bytes(15) + bytes((1,))
_PORT = ("meta l4proto", "th dport")
_MULTICAST_HERE = bytes((0xFF, 0x02)) + bytes(14)  # ff02::/16 never leaves the link

RULES = (
    Rule("guard", "loopback is the host's alone",
         (_FROM_BRIDGE, within("ip daddr", _LOOPBACK, 8, "127.0.0.0/8"), drop())),
    Rule("egress", "of confined sandboxes",
         (lookup(("iifname",), "confined"), jump("from_confined"))),
    Rule("from_confined", "who is next, of the link",
         (discovery(), within("ip6 daddr", _MULTICAST_HERE, 16, "ff02::/16"), accept())),
    Rule("from_confined", "who is next, of the host", (discovery(), local_destination(), accept())),
    Rule("from_confined", "under a false address",
         (lookup(("iifname", "ip saddr"), "own4", negated=True), drop())),
    Rule("from_confined", "under a false address, IPv6",
         (lookup(("iifname", "ip6 saddr"), "own6", negated=True), drop())),
    Rule("from_confined", "answers", (state("established", "related"), accept())),
    Rule("from_confined", "to allowed addresses",
         (lookup(("iifname", "ip daddr", *_PORT), "egress4"), accept())),
    Rule("from_confined", "to allowed addresses, IPv6",
         (lookup(("iifname", "ip6 daddr", *_PORT), "egress6"), accept())),
    Rule("from_confined", "to allowed names",
         (lookup(("iifname", "ip daddr", *_PORT), "named4_ports"), accept())),
    Rule("from_confined", "to allowed names, IPv6",
         (lookup(("iifname", "ip6 daddr", *_PORT), "named6_ports"), accept())),
    Rule("from_confined", "to allowed names, whatever the port",
         (lookup(("iifname", "ip daddr"), "named4"), accept())),
    Rule("from_confined", "to allowed names, whatever the port, IPv6",
         (lookup(("iifname", "ip6 daddr"), "named6"), accept())),
    Rule("from_confined", "counted and refused", (lookup(("iifname",), "refused"), reject())),
    Rule("prerouting", "loopback is not outside",
         (within("ip daddr", _LOOPBACK, 8, "127.0.0.0/8"), accept())),
    Rule("prerouting", "published ports, from outside", (local_destination(), jump("published"))),
    Rule("output", "the host's loopback, which IPv6 cannot leave: refused, not lost",
         (within("ip6 daddr", _LOOPBACK6, 128, "::1"), accept())),
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
    Rule("to_bridges", "within a network, to or from who is confined",
         (lookup(("iifname", "ip daddr"), "beside4"), accept())),
    Rule("to_bridges", "within a network, to or from who is confined, IPv6",
         (lookup(("iifname", "ip6 daddr"), "beside6"), accept())),
    Rule("to_bridges", "internal networks stay inside", (lookup(("iifname",), "internal"), drop())),
    Rule("to_bridges", "published ports", (status("dnat"), accept())),
    Rule("to_bridges", "published at its own address",
         (lookup(("ip daddr", *_PORT), "direct4"), accept())),
    Rule("to_bridges", "published at its own address, IPv6",
         (lookup(("ip6 daddr", *_PORT), "direct6"), accept())),
    Rule("to_bridges", "open to all", (lookup(("ip daddr",), "open4"), accept())),
    Rule("to_bridges", "open to all, IPv6", (lookup(("ip6 daddr",), "open6"), accept())),
    Rule("to_bridges", "nothing else", (drop(),)),
)  # fmt: skip


class Entry(Value):
    """An element as people read it: a subnet for an interval, else the values of the datatypes.

    Of a set of ranges `last` ends the one that begins with `key`. With `seconds` it goes by itself.
    """

    key: Key
    data: Key = ()
    last: Key = ()
    seconds: int = 0

    def __str__(self) -> str:
        """Return the element as nft writes it."""
        ends = self.last or self.key
        spans = zip(self.key, ends, strict=True)
        key = " . ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
        key += f" timeout {self.seconds}s" if self.seconds else ""
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


def plan(
    realm: Realm,
    networks: Iterable[Network],
    published: Iterable[Published],
    others: Iterable[Named] = (),
) -> Plan:
    """Return what the table of `realm` has to be for its networks and published ports.

    `others` are further elements, each with the name of its set.
    """
    entries: dict[str, list[Entry]] = {}
    named = [named for network in networks for named in network_entries(network)]
    named += [*map(port_entry, published), *others]
    for name, entry in named:
        found = entries.setdefault(name, [])
        if entry not in found:
            found.append(entry)
    ordered = {name: tuple(sorted(found, key=str)) for name, found in entries.items()}
    return Plan(table_of(realm), ordered)


def network_entries(network: Network) -> list[Named]:
    """Return the elements that a network is to the firewall, each with the name of its set."""
    bridge = network.interface
    found = [("bridges", Entry((bridge,)))]
    if network.talkative:
        found.append(("within", Entry((bridge, bridge))))
    if network.internal:
        return [*found, ("internal", Entry((bridge,)))]
    for pool in network.pools:
        version = parse_subnet(pool.subnet).version
        mode = network.gateway_mode(version)
        if mode == UNPROTECTED:
            found.append((f"open{version}", Entry((pool.subnet,))))
        if network.masquerade and mode != ROUTED:
            found.append((f"masquerade{version}", Entry((pool.subnet,))))
    return found


def port_entry(port: Published) -> Named:
    """Return the element of a published port with the name of its map."""
    version = 6 if ":" in port.address else 4
    key: Key = (port.protocol, port.host_port)
    target = (port.address, port.port)
    if port.host_ip == port.address:
        return f"direct{version}", Entry((port.address, port.protocol, port.port))
    if port.host_ip not in _EVERYWHERE:
        return f"ports{version}_on", Entry((port.host_ip, *key), target)
    return f"ports{version}", Entry(key, target)


def add(table: Table, entries: Iterable[Named]) -> list[Request]:
    """Return what adds elements, each given with the name of its set, in one transaction."""
    return _requests(table, entries, nftables.add_elements)


def remove(table: Table, entries: Iterable[Named]) -> list[Request]:
    """Return what takes elements back, in one transaction."""
    return _requests(table, entries, nftables.delete_elements)


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
        if one.name in GRANTS:  # they come and go without the records
            known = {element.key for element in has}
            has, wants = set(), {element for element in wants if element.key not in known}
        gone, new = has - wants, wants - has
        requests += nftables.delete_elements(table, one.name, _ordered(gone))
        requests += nftables.add_elements(table, one.name, _ordered(new))
    return requests


def _requests(
    table: Table,
    entries: Iterable[Named],
    change: Callable[[Table, str, Iterable[Element]], Iterable[Request]],
) -> list[Request]:
    elements: dict[str, list[Element]] = {}
    for name, entry in entries:
        elements.setdefault(name, []).extend(_elements(_BY_NAME[name], entry))
    return [request for name, found in elements.items() for request in change(table, name, found)]


def _encode(wanted: Plan, one: Set) -> list[Element]:
    return [
        element for entry in wanted.entries.get(one.name, ()) for element in _elements(one, entry)
    ]


def _elements(one: Set, entry: Entry) -> list[Element]:
    if one.interval and not one.ranges:
        return _interval(one, str(entry.key[0]))
    element = nftables.element(one, entry.key, entry.data, entry.last or entry.key)
    return [element.replace(timeout=entry.seconds * 1000) if entry.seconds else element]


def _interval(one: Set, text: str) -> list[Element]:
    """Return the first address of a subnet, and the one behind it as the end."""
    subnet = parse_subnet(text)
    first = nftables.element(one, (render_address(subnet.base, subnet.version),))
    after = nftables.element(one, (render_address(subnet.last + 1, subnet.version),))
    return [first, after.replace(end=True)]


def _ordered(elements: Iterable[Element]) -> list[Element]:
    return sorted(elements, key=lambda element: (element.key, not element.end))
