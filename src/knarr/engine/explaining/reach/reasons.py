"""Reasons for which a connection does not come about, in the order of its way: data alone.

They are in stages, for what is behind a stage is looked at only when nothing in it was wrong.
"""

from __future__ import annotations

from knarr.engine.explaining.facts import Explanation
from knarr.engine.explaining.reach.facts import BRIDGE, REFUSED, SILENT, UNKNOWN, UNREACHABLE
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from knarr.engine.explaining.reach.facts import Way

_PORT_CAUSES = ("port-taken-by-container", "port-in-use", "port-was-in-use")


class Reason(Value):
    """A cause: its short name, when it is one, what it is about, the sentence and the fix."""

    cause: str
    about: str
    says: str
    fix: str
    when: Callable[[Way], bool]

    def explain(self, way: Way) -> Explanation:
        """Return the words for this way."""
        return Explanation(self.cause, self.says.format(w=way), self.fix.format(w=way))


def first(reasons: Iterable[Reason], way: Way) -> Explanation | None:
    """Return what the first reason that holds says."""
    return next((one.explain(way) for one in reasons if one.when(way)), None)


ENDS = (
    Reason(
        "port-taken",
        "it could not be started, for a port of the host is another's",
        "{w.a.name} does not run: {w.a.why}",
        "Publish another port, or end what has this one: knarr explain {w.a.name}",
        lambda w: not w.a.running and w.a.cause in _PORT_CAUSES,
    ),
    Reason(
        "not-running",
        "it does not run, and so has no network",
        "{w.a.name} does not run ({w.a.status}), so that it has no network.",
        "Start it: knarr start {w.a.name}; why it ended: knarr explain {w.a.name}",
        lambda w: not w.a.running,
    ),
    Reason(
        "target-not-running",
        "the other one does not run",
        "{w.b.name} does not run ({w.b.status}), so that nobody reaches it.",
        "Start it: knarr start {w.b.name}; why it ended: knarr explain {w.b.name}",
        lambda w: w.b is not None and not w.b.running,
    ),
    Reason(
        "no-network",
        "it was made without a network",
        "{w.a.name} was made with --network none, so that it has nothing but its own loopback.",
        "Make it anew without that option; it cannot join a network later.",
        lambda w: w.a.mode == "none" and not w.a.places,
    ),
    Reason(
        "left-all-networks",
        "it was taken out of its last network",
        "{w.a.name} is in no network any more.",
        "Let it join one: knarr network connect bridge {w.a.name}",
        lambda w: not w.a.places and w.a.mode != "host",
    ),
    Reason(
        "target-without-network",
        "the other one is in no network",
        "{w.b.name} is in no network, so that nobody reaches it.",
        "Let it join one, unless it was made with --network none:"
        " knarr network connect {w.a_networks} {w.b.name}",
        lambda w: w.b is not None and not w.b.places and w.b.mode != "host",
    ),
    Reason(
        "bridge-gone",
        "somebody removed the bridge of a network, or set it down",
        "The host has lost the bridge of the network {w.broken.network}, or it is down.",
        "Start the containers in it again: knarr restart {w.a.name}",
        lambda w: w.broken is not None and not w.broken.bridge,
    ),
    Reason(
        "interface-gone",
        "somebody removed an interface",
        "The interface for the network {w.broken.network} is gone.",
        "Start the container again: knarr restart {w.a.name}",
        lambda w: w.broken is not None and not w.broken.there,
    ),
    Reason(
        "interface-down",
        "somebody set an interface down inside",
        "The interface {w.broken.interface} for the network {w.broken.network} is down.",
        "Who set it down inside can set it up: ip link set {w.broken.interface} up; or"
        " knarr restart {w.a.name}",
        lambda w: w.broken is not None,
    ),
    Reason(
        "rules-gone",
        "the host's rules are not what they have to be",
        "Somebody flushed or changed the rules of the host that knarr made.",
        "Make them again: knarr network reload",
        lambda w: not w.rules,
    ),
)

BETWEEN = (
    Reason(
        "no-common-network",
        "the two are in different networks",
        "{w.a.name} is in {w.a_networks}, {w.b.name} in {w.b_networks}: different networks do not"
        " reach each other.",
        "Let one join the other's: knarr network connect {w.b_first} {w.a.name}",
        lambda w: w.b is not None and w.shared is None and "host" not in (w.a.mode, w.b.mode),
    ),
    Reason(
        "members-kept-apart",
        "the network keeps its members apart (enable_icc=false)",
        "The network {w.shared.network} keeps its members apart"
        " (com.docker.network.bridge.enable_icc=false).",
        "Let both join another network; the option stays as it was when the network was created.",
        lambda w: w.shared is not None and not w.shared.talkative,
    ),
    Reason(
        "host-port-inside",
        "the port is that of the host, inside it is another one",
        "{w.port} is the port of the host; inside, {w.b.name} listens on {w.inside}, which is what"
        " containers connect to.",
        "Connect to port {w.inside}.",
        lambda w: bool(w.inside) and w.inside in (w.b.heard if w.b else ()),
    ),
    Reason(
        "listens-on-loopback",
        "the other one listens at 127.0.0.1 alone",
        "{w.b.name} listens on port {w.port} at 127.0.0.1 alone, which is itself and nobody else.",
        "Let it listen at 0.0.0.0 (often an option like --host 0.0.0.0 or bind-address).",
        lambda w: w.b is not None and w.port in w.b.murmured,
    ),
    Reason(
        "nothing-listens",
        "nothing in the other one listens on the port",
        "Nothing in {w.b.name} listens on port {w.port}; {w.b.heard_words}.",
        "Connect to the port that it listens on; a slow starter may need time.",
        lambda w: bool(w.b is not None and w.port and w.port not in w.b.heard),
    ),
)

OUT = (
    Reason(
        "localhost-is-itself",
        "127.0.0.1 is the container, not the host",
        "127.0.0.1 is {w.a.name} itself, not the host, and nothing in it listens on port {w.port}.",
        "The host is host.docker.internal with --add-host host.docker.internal:host-gateway, for"
        " what listens at 0.0.0.0 there.",
        lambda w: (
            w.a.mode != "host"
            and w.at.startswith("127.")
            and w.port not in w.a.heard | w.a.murmured
        ),
    ),
    Reason(
        "egress",
        "its allowlist does not have the target",
        "{w.a.name} may not connect to {w.target}: what --egress allows does not have it"
        "{w.refused_words}.",
        "Make it anew with an entry for it: --egress {w.host}:{w.port}",
        lambda w: not w.fits,
    ),
    Reason(
        "internal-network",
        "its networks have no way out",
        "{w.a.name} is in {w.a_networks} alone, which is internal: there is no way out.",
        "Let it join a network with a way out: knarr network connect bridge {w.a.name}",
        lambda w: (
            w.b is None
            and not w.own
            and bool(w.a.places)
            and all(place.internal for place in w.a.places)
        ),
    ),
    Reason(
        "name-unknown",
        "the name does not exist",
        "{w.host} does not exist, says {w.servers_words}.",
        "Look for a slip; for the name of a container, both have to be in one network that you"
        " made: knarr network create",
        lambda w: w.named == UNKNOWN,
    ),
    Reason(
        "name-servers-silent",
        "no name server answers",
        "No name server answers {w.a.name}, which asks {w.servers_words}.",
        "Name one that does: --dns ADDRESS",
        lambda w: w.named == SILENT,
    ),
    Reason(
        "no-route",
        "it has no way out for this version of IP",
        "{w.a.name} has no default route for IPv{w.version}.",
        "A network with IPv6 has one: knarr network create --ipv6; one that somebody deleted is"
        " back after knarr restart {w.a.name}",
        lambda w: w.b is None and not w.own and w.version not in w.a.routed,
    ),
    Reason(
        "wire-beside-the-host",
        "macvlan and ipvlan do not lead to the host",
        "{w.host} is the host itself, which members of a network of macvlan or ipvlan do not"
        " reach.",
        "Let it join a bridge too: knarr network connect bridge {w.a.name}",
        lambda w: w.own and bool(w.a.places) and all(p.driver != BRIDGE for p in w.a.places),
    ),
    Reason(
        "host-listens-on-loopback",
        "the host listens at 127.0.0.1 alone",
        "The program of the host that listens on port {w.port} does so at 127.0.0.1 alone, which"
        " containers do not reach.",
        "Let it listen at {w.host} or 0.0.0.0.",
        lambda w: w.own and w.host_murmurs,
    ),
    Reason(
        "host-does-not-forward",
        "the host does not forward packets",
        "The host does not forward packets any more (net.ipv4.ip_forward is 0).",
        "Turn it on: sysctl -w net.ipv4.ip_forward=1; something turns it off, see /etc/sysctl.d.",
        lambda w: not w.forwarding and w.b is None and not w.own,
    ),
)

PROBED = (
    Reason(
        "refused",
        "the other side is there, and nothing listens",
        "{w.at} is reached, and refuses connections on port {w.port}: nothing listens there.",
        "Look at the other side whether its program runs, and on which port.",
        lambda w: w.outcome == REFUSED,
    ),
    Reason(
        "host-drops-forwarded",
        "somebody's rules on the host drop what is forwarded",
        "{w.at} does not answer, and the chain {w.dropped} of the host drops what is forwarded,"
        " which knarr's own rules cannot overrule.",
        "Let it accept what comes from and goes to knarr's bridges: iifname and oifname"
        ' "knarr*"; or knarr network reload.',
        lambda w: w.outcome in (SILENT, UNREACHABLE) and bool(w.dropped) and not w.own,
    ),
    Reason(
        "unreachable",
        "somebody on the way says that it cannot be reached",
        "Somebody on the way says that {w.at} cannot be reached.",
        "Look at the host's own routes and rules: ip route get {w.at}",
        lambda w: w.outcome == UNREACHABLE,
    ),
    Reason(
        "no-answer",
        "nobody answers",
        "{w.at} does not answer on port {w.port}: it is down, or a firewall on the way drops the"
        " packets.",
        "Try it from the host; if that works, a rule of the host keeps containers out:"
        " nft list ruleset",
        lambda w: w.outcome == SILENT,
    ),
)

PORTS = (
    Reason(
        "published-nowhere",
        "a published port leads nowhere",
        "Port {w.nowhere.port} was to be published, but {w.a.name} is in {w.a_networks}, to which"
        " no port of the host can lead.",
        "Let it join a bridge with a way out: knarr network connect bridge {w.a.name}",
        lambda w: w.nowhere is not None,
    ),
    Reason(
        "port-on-loopback",
        "it listens at 127.0.0.1 alone, and the port is published",
        "Port {w.deaf.port} is published, but {w.a.name} listens on it at 127.0.0.1 alone, which is"
        " itself and nobody else.",
        "Let it listen at 0.0.0.0 (often an option like --host 0.0.0.0 or bind-address).",
        lambda w: w.deaf is not None and w.deaf.port in w.a.murmured,
    ),
    Reason(
        "port-deaf",
        "nothing listens on the published port",
        "Port {w.deaf.port} is published, but nothing in {w.a.name} listens on it;"
        " {w.a.heard_words}.",
        "Publish the port that the program listens on: -p HOST:PORT; a slow starter may need time.",
        lambda w: w.deaf is not None,
    ),
    Reason(
        "packets-too-large",
        "its packets are larger than the host's way out takes",
        "Packets of {w.a.name} have up to {w.wide[0]} bytes, the host's way out takes {w.wide[1]}:"
        " large answers may get lost.",
        "Make the network anew; its MTU is then the host's.",
        lambda w: w.wide[0] > w.wide[1] > 0,
    ),
)

LAST = (
    Reason(
        "no-names",
        "it is reached by its address, but the network bridge has no names",
        "{w.a.name} reaches {w.b.name} at {w.at}, but not by name: the network bridge has none.",
        "For names, both have to be in a network that you made: knarr network create",
        lambda w: w.b is not None and w.shared is not None and w.shared.network == BRIDGE,
    ),
    Reason(
        "local-port",
        "its ports are published for the host alone",
        "{w.a.name} is in {w.places_words}{w.ports_words}, which is the host alone.",
        "To be reached from elsewhere: -p 0.0.0.0:PORT:PORT, or publish in the settings.",
        lambda w: w.b is None and not w.host and w.confined_to_loopback is not None,
    ),
    Reason(
        "reached",
        "the way is free",
        "{w.a.name} reaches {w.target} at {w.at}.",
        "",
        lambda w: bool(w.b or w.host),
    ),
    Reason(
        "connected",
        "nothing is known to be wrong",
        "{w.a.name} is in {w.places_words}{w.ports_words}{w.refused_words}.",
        "",
        lambda w: bool(w.a.places),
    ),
    Reason(
        "shares-the-host",
        "its network is the host's",
        "{w.a.name} has the network of the host, and nothing in between.",
        "",
        lambda _: True,
    ),
)

ALL_REASONS = (*ENDS, *BETWEEN, *OUT, *PROBED, *PORTS, *LAST)
