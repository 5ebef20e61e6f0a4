from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr.network import dns
from support.nameserver import addresses, code, question, truncated

HOSTS = dns.Hosts(
    "back",
    (
        (("web", "db", "0123456789ab"), ("10.1.0.2", "fd00::2")),
        (("other", "db"), ("10.1.0.3",)),
    ),
)


def ask(book: dns.Book, name: str, kind: int = dns.A, *, room: int = 0) -> bytes | None:
    message = question(name, kind, room=room)
    query = dns.parse_query(message)
    assert query is not None
    found = book.find(query)
    return None if found is None else dns.answer(message, query, found, room=query.room)


@pytest.mark.parametrize("name", ["web", "WEB", "web.back", "0123456789ab"])
def test_every_name_of_a_host_has_its_address(name: str) -> None:
    said = ask(dns.Book((HOSTS,)), name)
    assert said is not None
    assert addresses(said) == ["10.1.0.2"]


def test_versions_are_kept_apart() -> None:
    book = dns.Book((HOSTS,))
    said = ask(book, "web", dns.AAAA)
    assert said is not None
    assert addresses(said) == ["fd00::2"]
    said = ask(book, "other", dns.AAAA)
    assert said is not None
    assert (addresses(said), code(said)) == ([], dns.NOERROR), "it exists, with no such address"


def test_who_share_a_name_take_turns() -> None:
    book = dns.Book((HOSTS,))
    firsts = set()
    for _ in range(4):
        said = ask(book, "db")
        assert said is not None
        assert sorted(addresses(said)) == ["10.1.0.2", "10.1.0.3"]
        firsts.add(addresses(said)[0])
    assert firsts == {"10.1.0.2", "10.1.0.3"}


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.1.0.2", "2.0.1.10.in-addr.arpa"),
        ("fd00::2", "2" + ".0" * 29 + ".d.f.ip6.arpa"),
    ],
)
def test_addresses_have_names(address: str, name: str) -> None:
    assert dns.reverse(address) == name.replace(".0.d.f", ".0.d.f")
    said = ask(dns.Book((HOSTS,)), dns.reverse(address), dns.PTR)
    assert said is not None
    assert said.endswith(b"\x03web\x04back\x00")


def test_what_is_not_ours_is_left_to_others() -> None:
    book = dns.Book((HOSTS,), {"alias": "web"})
    assert ask(book, "example.org") is None
    assert ask(book, "9.0.1.10.in-addr.arpa", dns.PTR) is None
    said = ask(book, "alias")
    assert said is not None
    assert addresses(said) == ["10.1.0.2"]


def test_what_does_not_fit_is_marked() -> None:
    many = tuple(((f"host{n}", "all"), (f"10.1.{n // 250}.{n % 250}",)) for n in range(300))
    book = dns.Book((dns.Hosts("back", many),))
    small, large = ask(book, "all"), ask(book, "all", room=9000)
    assert small is not None
    assert large is not None
    assert truncated(small)
    assert len(small) <= dns.SMALL < len(large) <= dns.LARGE
    message = question("all")
    query = dns.parse_query(message)
    assert query is not None
    found = book.find(query)
    assert found is not None
    whole = dns.answer(message, query, found)
    assert len(addresses(whole)) == 300
    assert not truncated(whole)


@given(st.binary(max_size=200))
def test_nonsense_is_nobodys_question(message: bytes) -> None:
    query = dns.parse_query(message)
    assert query is None or query.end <= len(message)
    if len(message) >= dns.header.size:
        assert code(dns.failure(message)) == dns.SERVER_FAILURE


def test_a_dot_in_a_label_is_no_dot_between_labels() -> None:
    """Else `evil.allowed` + `example` would be asked for as a name below `allowed.example`."""
    message = question("one.allowed.example").replace(b"\3one\7allowed", b"\x0bone.allowed")
    assert dns.parse_query(question("one.allowed.example")) is not None
    assert dns.parse_query(message) is None


def test_hosts_are_written_and_read() -> None:
    assert dns.decode_hosts(dns.encode_hosts(HOSTS)) == HOSTS


def test_the_addresses_of_an_answer_are_read() -> None:
    query = dns.header.pack(7, 0x0100, 1, 0, 0, 0) + dns.encode_name("Web.Example")
    query += dns.question.pack(dns.A, dns.IN)
    head = dns.header.pack(7, 0x8180, 1, 3, 0, 0) + query[12:]
    other = dns.encode_name("other.example")
    said = head + b"\xc0\x0c" + b"\0\x05\0\x01" + (60).to_bytes(4, "big")
    said += len(other).to_bytes(2, "big") + other  # a name that stands for another
    for name in (other, b"\xc0\x0c"):
        said += name + b"\0\x01\0\x01" + (30).to_bytes(4, "big") + b"\0\x04" + bytes((192, 0, 2, 1))
    assert dns.parse_addresses(said) == ("web.example", ((bytes((192, 0, 2, 1)), 30),) * 2)
    assert dns.parse_addresses(query) == ("", ())
    for length in range(len(said)):  # whatever is cut off
        assert dns.parse_addresses(said[:length])[0] in ("", "web.example")
