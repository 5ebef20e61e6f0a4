"""Questions and answers of the domain name system, and the names that a container can ask for.

Pure: bytes in, bytes out. Of a message only what a resolver for a few names needs is read: the
header, the one question, and how much the asker can take in a datagram (EDNS). Everything else is
for servers that know more, to which the message is handed on as it is.

Names are compared without regard to case and carried as text, "web.backend" without a final dot.

Spec: RFC 1035 (4, messages), RFC 6891 (EDNS), RFC 3596 (AAAA, ip6.arpa)
"""

from __future__ import annotations

import _socket
from struct import Struct

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

A, PTR, AAAA, ANY = 1, 12, 28, 255
OPT = 41
IN = 1
NOERROR, FORMAT_ERROR, SERVER_FAILURE, NAME_ERROR, NOT_IMPLEMENTED = range(5)

# What fits into a datagram when the asker does not say (RFC 1035, 4.2.1), and the most that is sent
# to one that does: larger ones may be cut up on the way.
SMALL = 512
LARGE = 4096

# Short, for a name may get another address at any time. Docker's is 600.
TTL = 5

LONGEST_NAME = 255
_RESPONSE = 0x8000
_OPCODE = 0x7800
_AUTHORITATIVE = 0x0400
_TRUNCATED = 0x0200
_RECURSION_DESIRED = 0x0100
_RECURSION_AVAILABLE = 0x0080
_POINTER = 0xC0  # of the first byte, as the two highest bits
_TO_QUESTION = 0xC00C  # a pointer to the name at offset 12, which is the question's

# id, flags, and how many questions, answers, authorities and additional records follow
header = Struct("!HHHHHH")
# type, class
question = Struct("!HH")
# name as a pointer, type, class, ttl, length of data
record = Struct("!HHHIH")
# of a record behind its name: type, class, ttl, length of data
_fixed = Struct("!HHIH")
# type, class (how much fits), extended flags, length: an OPT record behind its empty name
option = Struct("!HHIH")


class Query(Value):
    """A question: `end` is where it ends in the message, `room` what fits into a datagram."""

    id: int
    flags: int
    name: str
    type: int
    end: int
    room: int


class Hosts(Value):
    """Names and addresses of one network: each host's names, then its addresses."""

    network: str
    hosts: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


class Answer(Value):
    """What is known of a name: packed addresses, or names for an address."""

    addresses: tuple[bytes, ...] = ()
    names: tuple[str, ...] = ()


def parse_query(message: bytes) -> Query | None:
    """Return the question in a message, None where there is not just one.

    Names of letters, digits and the like are read; a message that asks for anything else, or that
    is damaged, is nobody's whom we know.
    """
    if len(message) < header.size:
        return None
    number, flags, questions, _, _, additional = header.unpack_from(message)
    if flags & (_RESPONSE | _OPCODE) or questions != 1:
        return None
    labels = []
    position = header.size
    while position < len(message) and message[position]:
        length = message[position]
        label = message[position + 1 : position + 1 + length]
        position += 1 + length
        if length > 63 or len(label) != length or position - header.size > LONGEST_NAME:
            return None
        if b"." in label:  # it would be taken for another name than servers take it for
            return None
        labels.append(label.decode("latin-1"))
    end = position + 1 + question.size
    if end > len(message):
        return None
    kind, network_class = question.unpack_from(message, position + 1)
    if network_class not in (IN, ANY):
        return None
    room = _room(message, end) if additional else SMALL
    return Query(number, flags, ".".join(labels).lower(), kind, end, room)


def _room(message: bytes, position: int) -> int:
    """Return what the asker says to have room for, if the first record behind the question does."""
    if message[position : position + 1] != b"\0" or len(message) < position + 1 + option.size:
        return SMALL
    kind, size, _, _ = option.unpack_from(message, position + 1)
    return max(SMALL, min(size, LARGE)) if kind == OPT else SMALL


class Book:
    """Whom the members of some networks know."""

    def __init__(self, networks: Iterable[Hosts], links: Mapping[str, str] | None = None) -> None:
        """Put the names of all networks together; `links` are further names for some of them."""
        self._known: dict[str, list[bytes]] = {}
        self._named: dict[str, list[str]] = {}
        for network in networks:
            suffix = f".{network.network}"
            for names, addresses in network.hosts:
                packed = [_pack(address) for address in addresses]
                for name in names:
                    for known in (name.lower(), (name + suffix).lower()):
                        self._known.setdefault(known, []).extend(packed)
                for address in addresses:
                    self._named.setdefault(reverse(address), []).append(names[0] + suffix)
        for alias, name in (links or {}).items():
            if name.lower() in self._known:
                self._known[alias.lower()] = self._known[name.lower()]
        self._turn = 0

    def find(self, query: Query) -> Answer | None:
        """Return what is known of the name that is asked for, None if it is none of ours.

        Who has several addresses gets them in another order each time.
        """
        if query.type == PTR:
            names = self._named.get(query.name)
            return None if names is None else Answer(names=tuple(names))
        packed = self._known.get(query.name)
        if packed is None:
            return None
        lengths = {A: (4,), AAAA: (16,), ANY: (4, 16)}.get(query.type, ())
        fitting = [raw for raw in packed if len(raw) in lengths]
        self._turn += 1
        first = self._turn % len(fitting) if fitting else 0
        return Answer(addresses=tuple(fitting[first:] + fitting[:first]))


def answer(message: bytes, query: Query, found: Answer, *, room: int = 65535) -> bytes:
    """Return the answer to a question; of one that does not fit, the beginning, marked as such."""
    records = [_address_record(raw) for raw in found.addresses]
    records += [_name_record(name) for name in found.names]
    flags = _RESPONSE | _AUTHORITATIVE | _RECURSION_AVAILABLE | query.flags & _RECURSION_DESIRED
    size = query.end
    fitting = 0
    for one in records:
        size += len(one)
        if size > room:
            flags |= _TRUNCATED
            break
        fitting += 1
    head = header.pack(query.id, flags, 1, fitting, 0, 0)
    return head + message[header.size : query.end] + b"".join(records[:fitting])


def parse_addresses(message: bytes) -> tuple[str, tuple[tuple[bytes, int], ...]]:
    """Return the name that an answer is about, in lower case, and its packed addresses with TTLs.

    Names that stand for others (CNAME) are not looked at: all addresses in an answer are the
    name's. There are none in a message that is damaged.
    """
    if len(message) < header.size:
        return "", ()
    number, flags, questions, answers, _, _ = header.unpack_from(message)
    query = parse_query(header.pack(number, 0, questions, 0, 0, 0) + message[header.size :])
    if query is None or not flags & _RESPONSE:
        return "", ()
    found, position = [], query.end
    for _ in range(answers):
        position = _behind_name(message, position)
        if position + _fixed.size > len(message):
            break
        kind, _, ttl, length = _fixed.unpack_from(message, position)
        position += _fixed.size
        raw = message[position : position + length]
        if (kind, len(raw)) in ((A, 4), (AAAA, 16)):
            found.append((raw, ttl))
        position += length
    return query.name, tuple(found)


def _behind_name(message: bytes, position: int) -> int:
    """Return where a name, or a pointer to one, has ended."""
    while position < len(message):
        length = message[position]
        if length & _POINTER:
            return position + 2
        position += 1 + length
        if not length:
            break
    return position


def failure(message: bytes, code: int = SERVER_FAILURE) -> bytes:
    """Return the answer that there is none, and why."""
    number, flags = header.unpack_from(message)[:2]
    query = parse_query(message)
    body = message[header.size : query.end] if query else b""
    flags = _RESPONSE | _RECURSION_AVAILABLE | flags & (_OPCODE | _RECURSION_DESIRED) | code
    return header.pack(number, flags, 1 if query else 0, 0, 0, 0) + body


def reverse(address: str) -> str:
    """Return the name under which the names of an address are asked for."""
    if ":" not in address:
        return ".".join(reversed(address.split("."))) + ".in-addr.arpa"
    return ".".join(reversed(_pack(address).hex())) + ".ip6.arpa"


def encode_name(name: str) -> bytes:
    """Return a name as messages carry it."""
    labels = [label.encode("latin-1", "replace")[:63] for label in name.split(".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _pack(address: str) -> bytes:
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    return _socket.inet_pton(family, address)


def _address_record(raw: bytes) -> bytes:
    kind = A if len(raw) == 4 else AAAA
    return record.pack(_TO_QUESTION, kind, IN, TTL, len(raw)) + raw


def _name_record(name: str) -> bytes:
    raw = encode_name(name)
    return record.pack(_TO_QUESTION, PTR, IN, TTL, len(raw)) + raw


def decode_hosts(value: Sequence[object]) -> Hosts:
    """Return what a network's file says: its name, and [names, addresses] of each host.

    Raises: ValueError, TypeError
    """
    network, hosts = value
    pairs = [(tuple(names), tuple(addresses)) for names, addresses in hosts]  # type: ignore[attr-defined]
    return Hosts(str(network), tuple(pairs))


def encode_hosts(hosts: Hosts) -> list[object]:
    """Return what is written into a network's file."""
    return [hosts.network, [[list(names), list(at)] for names, at in hosts.hosts]]
