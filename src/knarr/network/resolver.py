"""The files by which a sandbox finds names: resolv.conf and hosts.

A sandbox asks the servers that the host asks, but for those on the host's loopback addresses, which
it cannot reach. Where the host's file names nothing but such a stub, the real servers are in the
file that systemd-resolved keeps for this purpose. When none remain, Docker's default is used:
Google's public servers, 8.8.8.8 and 8.8.4.4.
"""

from __future__ import annotations

from knarr.errors import InvalidArgument
from knarr.network.address import pack_address, parse_address, version_of
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.network.model import Endpoint

HOST_FILE = "/etc/resolv.conf"
RESOLVED_FILE = "/run/systemd/resolve/resolv.conf"
HOSTS_FILE = "/etc/hosts"
OWN_SERVER = "127.0.0.11"
DEFAULT_SERVERS = ("8.8.8.8", "8.8.4.4")

LOCAL_NAMES = (
    ("127.0.0.1", "localhost"),
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::", "ip6-localnet"),
    ("ff00::", "ip6-mcastprefix"),
    ("ff02::1", "ip6-allnodes"),
    ("ff02::2", "ip6-allrouters"),
)


class Resolver(Value):
    """What a resolv.conf says.

    Man: resolv.conf(5)
    """

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the text of the file."""
        lines = [f"nameserver {server}" for server in self.servers]
        if self.search:
            lines.append(f"search {' '.join(self.search)}")
        if self.options:
            lines.append(f"options {' '.join(self.options)}")
        return "".join(f"{line}\n" for line in lines)


def inside(found: Resolver, asked: Resolver) -> Resolver:
    """Return what a sandbox's resolv.conf says where its supervisor answers its questions.

    Names without a dot are looked up as they are first: they may be a neighbour's.
    """
    plain = for_sandbox(found, asked)
    options = plain.options
    if not any(option.startswith("ndots:") for option in options):
        options = (*options, "ndots:0")
    return plain.replace(servers=(OWN_SERVER,), options=options)


def read_texts() -> list[str]:
    """Return the host's own resolv.conf, and the one behind systemd-resolved's stub."""
    return [read_text(path) for path in (HOST_FILE, RESOLVED_FILE)]


def read_text(path: str) -> str:
    """Return what a file of the host says, nothing if it has none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def parse_resolver(text: str) -> Resolver:
    """Return what a resolv.conf says; of `search` and `domain` the last one counts."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or line[0] in "#;":
            continue
        if words[0] == "nameserver":
            servers += [words[1]] if _is_address(words[1]) else []
        elif words[0] in ("search", "domain"):
            search = tuple(words[1:])
        elif words[0] == "options":
            options += words[1:]
    return Resolver(tuple(servers), search, tuple(options))


def reachable(server: str, *, ipv6: bool) -> bool:
    """Tell whether a sandbox can ask the server: not on loopback, of a version it has."""
    address, zone, _ = server.partition("%")
    version = version_of(address)
    if version == 6:
        return ipv6 and not zone and parse_address(address) != 1
    return parse_address(address) >> 24 != 127


def _is_address(text: str) -> bool:
    try:
        pack_address(text.partition("%")[0])
    except InvalidArgument:
        return False
    return True


def for_sandbox(
    host: Resolver, asked: Resolver, *, ipv6: bool = False, shared: bool = False
) -> Resolver:
    """Return what a sandbox's resolv.conf says, from the host's and what the user `asked` for.

    One that shares the host's namespace (`shared`) reaches what the host reaches. A search domain
    of `.` asks for none.
    """
    servers = asked.servers or host.servers
    if not shared and not asked.servers:
        servers = tuple(s for s in servers if reachable(s, ipv6=ipv6)) or DEFAULT_SERVERS
    search = tuple(domain for domain in asked.search or host.search if domain != ".")
    return Resolver(servers, search, asked.options or host.options)


def hosts(
    *,
    endpoints: Iterable[Endpoint] = (),
    hostname: str = "",
    domainname: str = "",
    extra: Iterable[str] = (),
    gateway: str = "",
    base: str = "",
) -> str:
    """Return the text of a sandbox's hosts file.

    `extra` entries are `name:address`, where `host-gateway` stands for `gateway`. `base` is the
    text to begin with; if empty, the names that every host has.
    """
    lines = [base.rstrip("\n")] if base else [f"{at}\t{names}" for at, names in LOCAL_NAMES]
    for entry in extra:
        name, _, where = entry.partition(":")
        lines.append(f"{gateway if where == 'host-gateway' else where}\t{name}")
    if hostname:
        names = own_names(hostname, domainname)
        lines += [line for endpoint in endpoints for line in own_lines(endpoint, names)]
    return "".join(f"{line}\n" for line in lines)


def own_lines(endpoint: Endpoint, names: str) -> list[str]:
    """Return the lines of a hosts file that give a sandbox its `names` at an endpoint."""
    addresses = (endpoint.address, endpoint.address6)
    return [f"{address}\t{names}" for address in addresses if address]


def own_names(hostname: str, domainname: str) -> str:
    """Return the names under which a sandbox knows itself, the full one first."""
    if domainname:
        return f"{hostname}.{domainname} {hostname}"
    short, dot, _ = hostname.partition(".")
    return f"{hostname} {short}" if dot else hostname


def host_resolver(texts: Sequence[str]) -> Resolver:
    """Return the resolver of the host: the first of the files' texts with a server beyond it."""
    found = [parse_resolver(text) for text in texts]
    for resolver in found:
        if any(reachable(server, ipv6=True) for server in resolver.servers):
            return resolver
    return found[0] if found else Resolver()
