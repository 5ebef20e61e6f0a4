"""nftables: tables, chains, sets, elements and rules as values, and the requests that change them.

Functions named for a change return the `Request` that makes it; `knarr.linux.nfnetlink` sends them
as a transaction, and reads back what there is. What things are called is as in nft(8).

Man: nft(8)
"""

from __future__ import annotations

import _socket
import os
import sys
from struct import Struct

from knarr.linux import netlink, nftexpr
from knarr.linux.netlink import Request, attribute, nest, text, u32be
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# <linux/netfilter/nfnetlink.h>
NFNL_SUBSYS_NFTABLES = 10
NFNL_MSG_BATCH_BEGIN = 16
NFNL_MSG_BATCH_END = 17
NFNL_BATCH_GENID = 1

# <linux/netfilter/nf_tables.h>, messages
_SUBSYSTEM = NFNL_SUBSYS_NFTABLES << 8
NFT_MSG_NEWTABLE = _SUBSYSTEM | 0
NFT_MSG_GETTABLE = _SUBSYSTEM | 1
NFT_MSG_DELTABLE = _SUBSYSTEM | 2
NFT_MSG_NEWCHAIN = _SUBSYSTEM | 3
NFT_MSG_GETCHAIN = _SUBSYSTEM | 4
NFT_MSG_NEWRULE = _SUBSYSTEM | 6
NFT_MSG_GETRULE = _SUBSYSTEM | 7
NFT_MSG_DELRULE = _SUBSYSTEM | 8
NFT_MSG_NEWSET = _SUBSYSTEM | 9
NFT_MSG_GETSET = _SUBSYSTEM | 10
NFT_MSG_NEWSETELEM = _SUBSYSTEM | 12
NFT_MSG_GETSETELEM = _SUBSYSTEM | 13
NFT_MSG_DELSETELEM = _SUBSYSTEM | 14
NFT_MSG_GETGEN = _SUBSYSTEM | 16

# <linux/netfilter/nf_tables.h>, attributes
NFTA_TABLE_NAME = 1
NFTA_TABLE_USERDATA = 6
NFTA_CHAIN_TABLE = 1
NFTA_CHAIN_NAME = 3
NFTA_CHAIN_HOOK = 4
NFTA_CHAIN_POLICY = 5
NFTA_CHAIN_TYPE = 7
NFTA_HOOK_HOOKNUM = 1
NFTA_HOOK_PRIORITY = 2
NFTA_RULE_TABLE = 1
NFTA_RULE_CHAIN = 2
NFTA_RULE_HANDLE = 3
NFTA_RULE_EXPRESSIONS = 4
NFTA_RULE_USERDATA = 7
NFTA_SET_TABLE = 1
NFTA_SET_NAME = 2
NFTA_SET_FLAGS = 3
NFTA_SET_KEY_TYPE = 4
NFTA_SET_KEY_LEN = 5
NFTA_SET_DATA_TYPE = 6
NFTA_SET_DATA_LEN = 7
NFTA_SET_DESC = 9
NFTA_SET_ID = 10
NFTA_SET_USERDATA = 13
NFTA_SET_EXPR = 17
NFTA_SET_DESC_CONCAT = 2
NFTA_SET_FIELD_LEN = 1
NFTA_SET_ELEM_LIST_TABLE = 1
NFTA_SET_ELEM_LIST_SET = 2
NFTA_SET_ELEM_LIST_ELEMENTS = 3
NFTA_SET_ELEM_KEY = 1
NFTA_SET_ELEM_DATA = 2
NFTA_SET_ELEM_FLAGS = 3
NFTA_SET_ELEM_TIMEOUT = 4
NFTA_SET_ELEM_EXPR = 7
NFTA_SET_ELEM_KEY_END = 10
NFTA_COUNTER_PACKETS = 2
NFTA_GEN_ID = 1
NFT_SET_INTERVAL = 0x4
NFT_SET_MAP = 0x8
NFT_SET_TIMEOUT = 0x10
NFT_SET_CONCAT = 0x80
NFT_SET_ELEM_INTERVAL_END = 0x1
NFT_DATA_VERDICT = 0xFFFFFF00

# <linux/netfilter.h>
NFPROTO_INET = 1
NF_INET_HOOKS = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4}

# Datatypes as nft(8) numbers them, and their length in bytes.
DATATYPES = {
    "verdict": (NFT_DATA_VERDICT, 16),
    "ipv4_addr": (7, 4),
    "ipv6_addr": (8, 16),
    "inet_proto": (12, 1),
    "inet_service": (13, 2),
    "ifname": (41, 16),
}
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}

# How nft(8) notes the byte order of keys.
_HOST_ORDER = 1
_NETWORK_ORDER = 2

# An attribute holds at most 64 KiB: elements go in portions.
_PORTION = 400

# struct nfgenmsg { __u8 nfgen_family; __u8 version; __be16 res_id; }
nfgenmsg = Struct(">BBH")


class Table(Value):
    """A table; `comment` is shown by nft(8) and kept as it is."""

    family: int
    name: str
    comment: str = ""


class Chain(Value):
    """A chain; with a `hook` the kernel sends packets through it, lowest priority first."""

    name: str
    kind: str = ""
    hook: str = ""
    priority: int = 0
    accepts: bool = True

    def __str__(self) -> str:
        """Return the chain as nft writes its head."""
        if not self.hook:
            return f"chain {self.name}"
        policy = "accept" if self.accepts else "drop"
        what = f"type {self.kind} hook {self.hook} priority {self.priority}; policy {policy};"
        return f"chain {self.name} {{ {what} }}"


class Rule(Value):
    """A rule of a chain; `comment` says what for and is what a rule is recognised by."""

    chain: str
    comment: str
    statements: tuple[nftexpr.Statement, ...]

    def __str__(self) -> str:
        """Return the rule as nft writes it."""
        return f'{" ".join(s.text for s in self.statements)} comment "{self.comment}"'


class Set(Value):
    """A set, or with `data` a map; `key` and `data` are datatypes, several for a concatenation.

    Each part of a concatenation with `interval` is a range. Elements of one with `timeout` may go
    by themselves; of one that is `counted` the kernel counts the packets that meet each element.
    """

    name: str
    key: tuple[str, ...]
    data: tuple[str, ...] = ()
    interval: bool = False
    timeout: bool = False
    counted: bool = False

    @property
    def ranges(self) -> bool:
        """Tell whether elements have a first and a last key."""
        return self.interval and len(self.key) > 1

    def __str__(self) -> str:
        """Return the set as nft writes its head."""
        types = " . ".join(self.key) + (f" : {' . '.join(self.data)}" if self.data else "")
        words = ["interval"] * self.interval + ["timeout"] * self.timeout
        flags = f" flags {','.join(words)};" if words else ""
        flags += " counter;" if self.counted else ""
        return f"{'map' if self.data else 'set'} {self.name} {{ type {types};{flags} }}"


class Element(Value):
    """An element as the kernel keeps it; `end` marks where an interval is over.

    A range of concatenations has its last one as `last`. With a `timeout` in milliseconds it goes
    by itself.
    """

    key: bytes
    data: bytes = b""
    end: bool = False
    last: bytes = b""
    timeout: int = 0


def field(datatype: str, value: str | int) -> bytes:
    """Return `value` as the kernel compares it, padded for a concatenation.

    Raises: OSError for text that is no address
    """
    if datatype == "ipv4_addr":
        return _socket.inet_pton(_socket.AF_INET, str(value))
    if datatype == "ipv6_addr":
        return _socket.inet_pton(_socket.AF_INET6, str(value))
    if datatype == "ifname":
        return os.fsencode(str(value)).ljust(16, b"\0")
    if datatype == "inet_proto":
        number = value if isinstance(value, int) else PROTOCOLS[value]
        return number.to_bytes(1, "big") + bytes(3)
    return int(value).to_bytes(2, "big") + bytes(2)


def concatenation(datatypes: Sequence[str], values: Sequence[str | int]) -> bytes:
    """Return `values` of `datatypes` side by side; a single one is not padded."""
    joined = b"".join(field(kind, value) for kind, value in zip(datatypes, values, strict=True))
    return joined if len(datatypes) > 1 else joined[: DATATYPES[datatypes[0]][1]]


def element(
    of: Set,
    key: Sequence[str | int],
    data: Sequence[str | int] = (),
    last: Sequence[str | int] = (),
) -> Element:
    """Return the element of a set, or of a map with `data`, for the values of its datatypes.

    Of a set of ranges `last` ends the one that begins with `key`.
    """
    packed = concatenation(of.data, data) if of.data else b""
    end = concatenation(of.key, last) if of.ranges else b""
    return Element(concatenation(of.key, key), packed, last=end)


def add_table(table: Table) -> Request:
    """Make a table, or do nothing when it is there."""
    body = head(table) + text(NFTA_TABLE_NAME, table.name)
    if table.comment:
        body += attribute(NFTA_TABLE_USERDATA, _comment(table.comment))
    return Request(f"add table {table.name}", NFT_MSG_NEWTABLE, netlink.NLM_F_CREATE, body)


def delete_table(table: Table) -> Request:
    """Remove a table with everything in it."""
    body = head(table) + text(NFTA_TABLE_NAME, table.name)
    return Request(f"delete table {table.name}", NFT_MSG_DELTABLE, 0, body)


def add_chain(table: Table, chain: Chain) -> Request:
    """Make a chain."""
    body = head(table) + text(NFTA_CHAIN_TABLE, table.name) + text(NFTA_CHAIN_NAME, chain.name)
    if chain.hook:
        priority = chain.priority.to_bytes(4, "big", signed=True)
        body += nest(
            NFTA_CHAIN_HOOK,
            u32be(NFTA_HOOK_HOOKNUM, NF_INET_HOOKS[chain.hook]),
            attribute(NFTA_HOOK_PRIORITY, priority),
        )
        body += text(NFTA_CHAIN_TYPE, chain.kind) + u32be(NFTA_CHAIN_POLICY, int(chain.accepts))
    return Request(f"add chain {chain.name}", NFT_MSG_NEWCHAIN, netlink.NLM_F_CREATE, body)


def add_rule(table: Table, rule: Rule) -> Request:
    """Put a rule at the end of its chain."""
    expressions = [one for statement in rule.statements for one in statement.expressions]
    body = head(table) + text(NFTA_RULE_TABLE, table.name) + text(NFTA_RULE_CHAIN, rule.chain)
    body += nest(NFTA_RULE_EXPRESSIONS, *expressions)
    body += attribute(NFTA_RULE_USERDATA, _comment(rule.comment))
    flags = netlink.NLM_F_CREATE | netlink.NLM_F_APPEND
    return Request(f"add rule {rule}", NFT_MSG_NEWRULE, flags, body)


def delete_rule(table: Table, chain: str, handle: int) -> Request:
    """Remove the rule that the kernel numbered `handle`."""
    body = head(table) + text(NFTA_RULE_TABLE, table.name) + text(NFTA_RULE_CHAIN, chain)
    body += netlink.u64be(NFTA_RULE_HANDLE, handle)
    return Request(f"delete rule {handle} of {chain}", NFT_MSG_DELRULE, 0, body)


def add_set(table: Table, one: Set, number: int) -> Request:
    """Make a set or map; `number` tells the sets of one transaction apart."""
    flags = (NFT_SET_INTERVAL if one.interval else 0) | (NFT_SET_MAP if one.data else 0)
    flags |= (NFT_SET_TIMEOUT if one.timeout else 0) | (NFT_SET_CONCAT if one.ranges else 0)
    body = head(table) + text(NFTA_SET_TABLE, table.name) + text(NFTA_SET_NAME, one.name)
    body += u32be(NFTA_SET_FLAGS, flags) + u32be(NFTA_SET_ID, number)
    body += u32be(NFTA_SET_KEY_TYPE, _type(one.key)) + u32be(NFTA_SET_KEY_LEN, _length(one.key))
    # For nft(8) alone: names of interfaces are text, which it would else print from the end.
    order = _HOST_ORDER if one.key == ("ifname",) else _NETWORK_ORDER
    body += attribute(NFTA_SET_USERDATA, bytes((0, 4)) + order.to_bytes(4, sys.byteorder))
    if one.ranges:
        fields = (nest(nftexpr.NFTA_LIST_ELEM, u32be(NFTA_SET_FIELD_LEN, _length((kind,))))
                  for kind in one.key)  # fmt: skip
        body += nest(NFTA_SET_DESC, nest(NFTA_SET_DESC_CONCAT, *fields))
    if one.counted:
        body += nest(NFTA_SET_EXPR, text(nftexpr.NFTA_EXPR_NAME, "counter"))
    if one.data:
        body += u32be(NFTA_SET_DATA_TYPE, _type(one.data))
        if one.data != ("verdict",):
            body += u32be(NFTA_SET_DATA_LEN, _length(one.data))
    return Request(f"add {one}", NFT_MSG_NEWSET, netlink.NLM_F_CREATE, body)


def add_elements(table: Table, one: str, elements: Iterable[Element]) -> Iterator[Request]:
    """Add elements to a set; one that is there with other data is an error (EEXIST)."""
    for body in _portions(table, one, elements):
        yield Request(f"add elements to {one}", NFT_MSG_NEWSETELEM, netlink.NLM_F_CREATE, body)


def delete_elements(table: Table, one: str, elements: Iterable[Element]) -> Iterator[Request]:
    """Remove elements from a set; one that is not there is an error (ENOENT)."""
    for body in _portions(table, one, elements):
        yield Request(f"delete elements of {one}", NFT_MSG_DELSETELEM, 0, body)


def head(table: Table) -> bytes:
    """Return how every message about what is in `table` begins."""
    return nfgenmsg.pack(table.family, 0, 0)


def _portions(table: Table, one: str, elements: Iterable[Element]) -> Iterator[bytes]:
    encoded = [_element(element) for element in elements]
    body = head(table) + text(NFTA_SET_ELEM_LIST_TABLE, table.name)
    body += text(NFTA_SET_ELEM_LIST_SET, one)
    for start in range(0, len(encoded), _PORTION):
        yield body + nest(NFTA_SET_ELEM_LIST_ELEMENTS, *encoded[start : start + _PORTION])


def _element(one: Element) -> bytes:
    parts = [nest(NFTA_SET_ELEM_KEY, attribute(nftexpr.NFTA_DATA_VALUE, one.key))]
    if one.data:
        parts.append(nest(NFTA_SET_ELEM_DATA, attribute(nftexpr.NFTA_DATA_VALUE, one.data)))
    if one.last:
        parts.append(nest(NFTA_SET_ELEM_KEY_END, attribute(nftexpr.NFTA_DATA_VALUE, one.last)))
    if one.timeout:
        parts.append(netlink.u64be(NFTA_SET_ELEM_TIMEOUT, one.timeout))
    if one.end:
        parts.append(u32be(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END))
    return nest(nftexpr.NFTA_LIST_ELEM, *parts)


def _type(datatypes: Sequence[str]) -> int:
    """Number a datatype as nft(8) does: six bits for each part of a concatenation."""
    if len(datatypes) == 1:
        return DATATYPES[datatypes[0]][0]
    number = 0
    for name in datatypes:
        number = number << 6 | DATATYPES[name][0]
    return number


def _length(datatypes: Sequence[str]) -> int:
    if len(datatypes) == 1:
        return DATATYPES[datatypes[0]][1]
    return sum((DATATYPES[name][1] + 3) & ~3 for name in datatypes)


def _comment(words: str) -> bytes:
    """Return `words` as nft(8) keeps comments: type 0, length, text with its NUL."""
    raw = os.fsencode(words)[:250] + b"\0"
    return bytes((0, len(raw))) + raw
