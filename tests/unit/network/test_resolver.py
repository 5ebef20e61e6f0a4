from __future__ import annotations

import pytest

from knarr.network import resolver
from knarr.network.model import Endpoint
from knarr.network.resolver import Resolver

STUB = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lan\n"
REAL = "# by systemd-resolved\nnameserver 192.0.2.53\nnameserver fd00::53\nsearch lan\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", Resolver()),
        ("nameserver 192.0.2.1\n", Resolver(("192.0.2.1",))),
        ("domain a\nsearch b c\n", Resolver(search=("b", "c"))),
        ("options ndots:2\noptions rotate\n", Resolver(options=("ndots:2", "rotate"))),
        ("; nameserver 192.0.2.1\n#nameserver 192.0.2.2\nnameserver\n", Resolver()),
        ("nameserver nonsense\nnameserver fe80::1%eth0\n", Resolver(("fe80::1%eth0",))),
    ],
    ids=["empty", "server", "last-search", "options", "comments", "nonsense"],
)
def test_a_file_is_read(text: str, found: Resolver) -> None:
    assert resolver.parse_resolver(text) == found


def test_what_is_written_reads_the_same() -> None:
    made = Resolver(("192.0.2.1", "192.0.2.2"), ("a", "b"), ("ndots:0",))
    assert resolver.parse_resolver(str(made)) == made


@pytest.mark.parametrize(
    ("host", "asked", "found"),
    [
        (Resolver(("192.0.2.1",), ("lan",)), Resolver(), Resolver(("192.0.2.1",), ("lan",))),
        (Resolver(("127.0.0.1", "192.0.2.1")), Resolver(), Resolver(("192.0.2.1",))),
        (Resolver(("127.0.0.53",)), Resolver(), Resolver(resolver.DEFAULT_SERVERS)),
        (Resolver(("::1", "fd00::53")), Resolver(), Resolver(resolver.DEFAULT_SERVERS)),
        (Resolver(("192.0.2.1",), ("lan",)), Resolver(("127.0.0.1",)),
         Resolver(("127.0.0.1",), ("lan",))),
        (Resolver(("192.0.2.1",), ("lan",)), Resolver(search=(".",)), Resolver(("192.0.2.1",))),
        (Resolver(("192.0.2.1",), ("lan",), ("a",)), Resolver(search=("b",), options=("c",)),
         Resolver(("192.0.2.1",), ("b",), ("c",))),
    ],
    ids=["as-host", "loopback", "only-loopback", "only-ipv6", "asked", "no-search", "options"],
)  # fmt: skip
def test_a_sandbox_asks_whom_it_can_reach(host: Resolver, asked: Resolver, found: Resolver) -> None:
    assert resolver.for_sandbox(host, asked) == found


def test_a_sandbox_of_the_hosts_namespace_asks_the_hosts_stub() -> None:
    host = resolver.parse_resolver(STUB)
    assert resolver.for_sandbox(host, Resolver(), shared=True) == host


def test_a_network_with_ipv6_keeps_servers_of_ipv6() -> None:
    host = Resolver(("fd00::53", "::1", "fe80::1%eth0"))
    assert resolver.for_sandbox(host, Resolver(), ipv6=True).servers == ("fd00::53",)


def test_behind_a_stub_the_real_file_counts() -> None:
    assert resolver.host_resolver((STUB, REAL)).servers == ("192.0.2.53", "fd00::53")
    assert resolver.host_resolver((REAL, STUB)).servers == ("192.0.2.53", "fd00::53")
    assert resolver.host_resolver((STUB, "")).servers == ("127.0.0.53",)


ENDPOINT = Endpoint(
    "e" * 64, "s" * 64, "n" * 64, "own", "eth0", "kve", "02:42:0a:d0:00:02", "10.208.0.2", 20, ""
)  # fmt: skip


def test_hosts_has_the_sandbox_itself_last() -> None:
    text = resolver.hosts(
        endpoints=(ENDPOINT,),
        hostname="web",
        domainname="example.org",
        extra=("db:192.0.2.9", "gate:host-gateway", "six:fd00::1"),
        gateway="10.208.0.1",
    )
    assert text.splitlines()[0] == "127.0.0.1\tlocalhost"
    assert text.splitlines()[-4:] == [
        "192.0.2.9\tdb",
        "10.208.0.1\tgate",
        "fd00::1\tsix",
        "10.208.0.2\tweb.example.org web",
    ]


def test_hosts_without_a_network_has_no_name_of_its_own() -> None:
    assert "web" not in resolver.hosts(hostname="web")


def test_hosts_of_the_hosts_namespace_begins_as_the_hosts() -> None:
    text = resolver.hosts(base="127.0.0.1 localhost box", extra=("a:192.0.2.1",))
    assert text == "127.0.0.1 localhost box\n192.0.2.1\ta\n"


@pytest.mark.parametrize(
    ("hostname", "domainname", "names"),
    [("web", "", "web"), ("web.lan", "", "web.lan web"), ("web", "lan", "web.lan web")],
)
def test_a_full_name_comes_before_the_short_one(hostname: str, domainname: str, names: str) -> None:
    assert resolver.own_names(hostname, domainname) == names
