"""What a sandbox may connect to: an allowlist as people write it, and as the firewall keeps it.

    example.com:443   *.example.com   10.0.0.0/8   192.0.2.7:5432   [2001:db8::]/32:53/udp   *:443

An entry is a host, a port or a range of ports, and a protocol; without a port all ports, with a
port TCP unless another protocol is named. A host is a name, all names below one (`*.`), an address,
a block of addresses, or `*`.

Names become addresses when the sandbox's resolver answers for them: it is the only one that the
sandbox reaches, it asks the world about allowed names alone, and what it answers is allowed for as
long as the answer holds (`knarr.supervise.names.grants`). Addresses are allowed by the plan of the
firewall.
"""

from __future__ import annotations

from itertools import pairwise

from knarr.errors import InvalidArgument
from knarr.network.address import BITS, parse_address, parse_subnet, render_address, version_of
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Span = tuple[int, int]  # the first and the last
    Box = tuple[Span, Span, Span]  # addresses, protocols, ports

ANYWHERE = "*"
HOST_GATEWAY = "host-gateway"
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_ICMP = {4: 1, 6: 58}
_EVERY_PROTOCOL = (0, 255)
_EVERY_PORT = (0, 65535)

_NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
_LONGEST_NAME = 253
_LONGEST_LABEL = 63

_HINT = "An entry is HOST[:PORT[-PORT]][/PROTOCOL]; HOST is a name, *.NAME, an address, a block, *."


class Allowed(Value):
    """An entry of an allowlist. `ports` are the first and the last, none for all of them.

    `protocol` is empty for all, `icmp` is that of either version of IP.
    """

    host: str
    ports: tuple[int, ...] = ()
    protocol: str = ""

    def __str__(self) -> str:
        """Return the entry as it is parsed."""
        first, last = self.ports or (0, 0)
        ports = f":{first}" if first else ""
        ports += f"-{last}" if last != first else ""
        bare = self.host.partition("/")[0]
        host = self.host.replace(bare, f"[{bare}]", 1) if ":" in bare and ports else self.host
        protocol = f"/{self.protocol}" if self.protocol and self.protocol != "tcp" else ""
        return f"{host}{ports}{protocol or ('/tcp' if self.protocol and not ports else '')}"

    @property
    def named(self) -> bool:
        """Tell whether the host is a name, whose addresses have to be asked for."""
        return self.host != ANYWHERE and not _is_address(self.host)

    @property
    def anywhere(self) -> bool:
        """Tell whether every address fits."""
        return self.host == ANYWHERE or self.host.endswith("/0")

    def fits(self, name: str) -> bool:
        """Tell whether a name, in lower case, may be asked for by this entry."""
        if self.host.startswith("*."):
            return name.endswith(self.host[1:])
        return self.anywhere or name == self.host


def parse_egress(texts: Iterable[str]) -> tuple[str, ...] | None:
    """Return the allowlist that `--egress` names, each entry in its usual form.

    It is empty for `none`; None, for `all`, is no list at all.

    Raises: InvalidArgument
    """
    entries = [word.strip() for text in texts for word in text.split(",")]
    for word, meaning in (("none", ()), ("all", None)):
        if word in entries:
            if len(entries) > 1:
                message = f"invalid egress rules: {word} goes with nothing else"
                raise InvalidArgument(message)
            return meaning
    return tuple(dict.fromkeys(str(parse_allowed(entry)) for entry in entries))


def parse_allowed(text: str) -> Allowed:
    """Return an entry of an allowlist.

    Raises: InvalidArgument
    """
    rest, slash, word = text.rpartition("/")
    protocol = word.lower() if slash and word.lower() in (*PROTOCOLS, "icmp") else ""
    rest = rest if protocol else text
    host, ports = _split(rest, text)
    if ports and protocol == "icmp":
        raise _invalid(text, "icmp has no ports")
    host = _host(host, text)
    if host != ANYWHERE and not _is_address(host):
        if ports and ports[0] != ports[1]:
            raise _invalid(text, "a range of ports goes with addresses, not with a name")
        if protocol and not ports:
            raise _invalid(text, "a protocol goes with a port where the host is a name")
    return Allowed(host, ports, protocol or ("tcp" if ports else ""))


def _split(rest: str, text: str) -> tuple[str, tuple[int, ...]]:
    """Return host and ports; what has several colons and no brackets is an address alone."""
    if rest.startswith("["):
        inside, bracket, behind = rest[1:].partition("]")
        block, _, ports = behind.partition(":")
        if not bracket or (block and not block.startswith("/")):
            raise _invalid(text, "a bracket is missing")
        return inside + block, _ports(ports, text) if ports else ()
    if rest.count(":") != 1:
        return rest, ()
    host, _, ports = rest.partition(":")
    return host, _ports(ports, text)


def _ports(text: str, whole: str) -> tuple[int, ...]:
    first, _, last = text.partition("-")
    numbers = [int(part) if part.isascii() and part.isdecimal() else 0 for part in (first, last)]
    if not last:
        numbers[1] = numbers[0]
    if not 1 <= numbers[0] <= numbers[1] <= _EVERY_PORT[1]:
        raise _invalid(whole, f"{text!r} is no port")
    return tuple(numbers)


def _host(host: str, text: str) -> str:
    if host == ANYWHERE:
        return host
    if _is_address(host):
        if "/" in host:
            return str(parse_subnet(host))
        return render_address(parse_address(host), version_of(host))
    name = host.lower().rstrip(".")
    labels = name.removeprefix("*.").split(".")
    fitting = all(
        one[:1] not in ("", "-") and len(one) <= _LONGEST_LABEL and _NAME_LETTERS.issuperset(one)
        for one in labels
    )
    if not fitting or len(name) > _LONGEST_NAME:
        raise _invalid(text, f"{host!r} is neither a name nor an address")
    return name


def _is_address(host: str) -> bool:
    bare = host.partition("/")[0]
    return ":" in bare or bare.replace(".", "").isdecimal()


def _invalid(text: str, why: str) -> InvalidArgument:
    message = f"invalid egress rule {text!r}: {why}"
    return InvalidArgument(message, hint=_HINT)


def with_hosts(
    entries: tuple[str, ...], hosts: Iterable[str], gateways: Iterable[str]
) -> tuple[str, ...]:
    """Return an allowlist with the addresses that a hosts file has for the names in it.

    Nobody asks a resolver for those. `hosts` are texts as `--add-host` takes them, `gateways` the
    addresses of the host that `host-gateway` may stand for.
    """
    found = dict.fromkeys(entries)
    known = [text.partition(":") for text in hosts]
    for entry in map(parse_allowed, entries):
        for name, _, address in known:
            if entry.named and entry.fits(name.lower()):
                addresses = gateways if address == HOST_GATEWAY else (address.strip("[]"),)
                found |= dict.fromkeys(str(entry.replace(host=at)) for at in addresses)
    return tuple(found)


def permits_name(entries: Iterable[Allowed], name: str, port: int) -> bool:
    """Tell whether TCP to a port of a name is allowed; port 0 stands for any."""
    return any(entry.fits(name) and _has_port(entry, port) for entry in entries)


def permits_address(entries: Iterable[Allowed], address: str, port: int) -> bool:
    """Tell whether TCP to a port of an address is allowed without a name; port 0 stands for any."""
    version, number = version_of(address), parse_address(address)
    for entry in entries:
        for addresses, protocols, _ in _box(entry, version):
            tcp = _covers(protocols, (PROTOCOLS["tcp"], PROTOCOLS["tcp"]))
            if tcp and _covers(addresses, (number, number)) and _has_port(entry, port):
                return True
    return False


def _has_port(entry: Allowed, port: int) -> bool:
    return not (entry.ports and port) or entry.ports[0] <= port <= entry.ports[1]


def boxes(entries: Iterable[Allowed], version: int) -> list[Box]:
    """Return what entries allow of a version of IP without anybody asking for a name.

    No two of the boxes have anything in common, for the kernel refuses sets of ranges of which
    some overlap: protocols and ports are cut at every border, and the addresses that go with the
    same pieces are put together.
    """
    whole = [box for entry in entries for box in _box(entry, version)]
    found: list[Box] = []
    for protocols in _pieces(box[1] for box in whole):
        for ports in _pieces(box[2] for box in whole):
            fitting = [
                box[0] for box in whole if _covers(box[1], protocols) and _covers(box[2], ports)
            ]
            found += [(addresses, protocols, ports) for addresses in _union(fitting)]
    return found


def _box(allowed: Allowed, version: int) -> Iterator[Box]:
    if allowed.named:
        return
    if allowed.host == ANYWHERE:
        addresses = (0, (1 << BITS[version]) - 1)
    elif version_of(allowed.host) != version:
        return
    else:
        block = parse_subnet(
            allowed.host if "/" in allowed.host else f"{allowed.host}/{BITS[version]}"
        )
        addresses = (block.base, block.last)
    ports = (allowed.ports[0], allowed.ports[1]) if allowed.ports else _EVERY_PORT
    yield addresses, protocols_of(allowed, version), ports


def protocols_of(allowed: Allowed, version: int) -> Span:
    """Return the numbers of the protocols that an entry allows."""
    if not allowed.protocol:
        return _EVERY_PROTOCOL
    number = _ICMP[version] if allowed.protocol == "icmp" else PROTOCOLS[allowed.protocol]
    return number, number


def _pieces(spans: Iterable[Span]) -> list[Span]:
    """Return the spans cut at each other's borders."""
    given = list(spans)
    borders = sorted({low for low, _ in given} | {high + 1 for _, high in given})
    return [(low, above - 1) for low, above in pairwise(borders)]


def _covers(outer: Span, inner: Span) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _union(spans: Iterable[Span]) -> list[Span]:
    """Return spans that have the same in them, and nothing twice."""
    found: list[Span] = []
    for low, high in sorted(spans):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found
