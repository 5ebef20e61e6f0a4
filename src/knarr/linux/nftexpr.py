"""What an nftables rule is made of: statements, each a text and the expressions behind it.

The kernel runs a rule as a list of small instructions that load registers and compare them. A
`Statement` is one phrase of the nft language with its instructions, so that a plan reads as
nft(8) would print it:

    lookup(("meta l4proto", "th dport"), "ports")    meta l4proto . th dport @ports

Sixteen bytes of registers have a number (1 to 4), and so has every four bytes of them (8 to 23).
A concatenation puts each field at the next multiple of four bytes.

Man: nft(8)
"""

from __future__ import annotations

from struct import Struct

from knarr.linux.netlink import attribute, nest, text, u8, u32be
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# <linux/netfilter/nf_tables.h>
NFTA_LIST_ELEM = 1
NFTA_EXPR_NAME = 1
NFTA_EXPR_DATA = 2
NFTA_DATA_VALUE = 1
NFTA_DATA_VERDICT = 2
NFTA_VERDICT_CODE = 1
NFTA_VERDICT_CHAIN = 2
NFTA_META_DREG = 1
NFTA_META_KEY = 2
NFTA_CT_DREG = 1
NFTA_CT_KEY = 2
NFTA_CMP_SREG = 1
NFTA_CMP_OP = 2
NFTA_CMP_DATA = 3
NFTA_BITWISE_SREG = 1
NFTA_BITWISE_DREG = 2
NFTA_BITWISE_LEN = 3
NFTA_BITWISE_MASK = 4
NFTA_BITWISE_XOR = 5
NFTA_LOOKUP_SET = 1
NFTA_LOOKUP_SREG = 2
NFTA_LOOKUP_DREG = 3
NFTA_LOOKUP_FLAGS = 5
NFTA_IMMEDIATE_DREG = 1
NFTA_IMMEDIATE_DATA = 2
NFTA_NAT_TYPE = 1
NFTA_NAT_FAMILY = 2
NFTA_NAT_REG_ADDR_MIN = 3
NFTA_NAT_REG_PROTO_MIN = 5
NFTA_FIB_DREG = 1
NFTA_FIB_RESULT = 2
NFTA_FIB_FLAGS = 3
NFT_PAYLOAD_NETWORK_HEADER = 1
NFT_PAYLOAD_TRANSPORT_HEADER = 2
NFT_META_IIFNAME = 6
NFT_META_OIFNAME = 7
NFT_META_NFPROTO = 15
NFT_META_L4PROTO = 16
NFT_CT_STATE = 0
NFT_CT_STATUS = 2
NFT_CMP_EQ = 0
NFT_CMP_NEQ = 1
NFT_CMP_LTE = 3
NFT_CMP_GTE = 5
NFT_LOOKUP_F_INV = 1
NFT_NAT_DNAT = 1
NFTA_REJECT_TYPE = 1
NFTA_REJECT_ICMP_CODE = 2
NFT_REJECT_ICMPX_UNREACH = 2
NFT_REJECT_ICMPX_ADMIN_PROHIBITED = 3
NFT_FIB_RESULT_ADDRTYPE = 3
NFTA_FIB_F_DADDR = 2
NFT_REG_VERDICT = 0
NFT_REG_1 = 1
NFT_REG32_00 = 8

# Verdicts: <linux/netfilter.h>, then those of nf_tables
NF_DROP = 0
NF_ACCEPT = 1
NFT_JUMP = -3

# <linux/netfilter.h>
NFPROTO_IPV4 = 2
NFPROTO_IPV6 = 10

RTN_LOCAL = 2

# <linux/netfilter/nf_conntrack_common.h>; the states are bits as nft counts them
STATES = {"established": 0x2, "related": 0x4, "new": 0x8, "invalid": 0x1}
STATUSES = {"snat": 0x10, "dnat": 0x20}

_native = Struct("=I")

_ICMPV6 = 58
_DISCOVERY = (133, 136)


class Statement(Value):
    """One phrase of a rule: as nft prints it, and the expressions it stands for."""

    text: str
    expressions: tuple[bytes, ...]


class Field(Value):
    """Something of a packet that can be loaded; `version` is that of IP if only one has it.

    `arguments` are the attributes of the expression `load` that follow the register.
    """

    type: str
    load: str
    arguments: tuple[int, ...]
    length: int
    version: int = 0


def _network(datatype: str, offset: int, length: int) -> Field:
    version = 4 if length == 4 else 6
    return Field(datatype, "payload", (NFT_PAYLOAD_NETWORK_HEADER, offset, length), length, version)


# By the words of nft. Offsets are those of the headers of IPv4, IPv6, TCP and UDP.
FIELDS = {
    "iifname": Field("ifname", "meta", (NFT_META_IIFNAME,), 16),
    "oifname": Field("ifname", "meta", (NFT_META_OIFNAME,), 16),
    "meta l4proto": Field("inet_proto", "meta", (NFT_META_L4PROTO,), 1),
    "th dport": Field("inet_service", "payload", (NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2), 2),
    "icmpv6 type": Field("icmpv6_type", "payload", (NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1), 1),
    "ip saddr": _network("ipv4_addr", 12, 4),
    "ip daddr": _network("ipv4_addr", 16, 4),
    "ip6 saddr": _network("ipv6_addr", 8, 16),
    "ip6 daddr": _network("ipv6_addr", 24, 16),
}


def lookup(fields: Sequence[str], set_name: str, *, negated: bool = False) -> Statement:
    """Match when the concatenation of `fields` is in a set, or `negated`, when it is not."""
    data = [text(NFTA_LOOKUP_SET, set_name), u32be(NFTA_LOOKUP_SREG, NFT_REG_1)]
    if negated:
        data.append(u32be(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV))
    words = f"{' . '.join(fields)} {'!= ' if negated else ''}@{set_name}"
    return Statement(words, (*_loads(fields), _expression("lookup", *data)))


def dnat(version: int, fields: Sequence[str], map_name: str) -> Statement:
    """Send the packet to the address and port that a map has for the concatenation of `fields`.

    A packet that the map does not have goes on to the next rule.
    """
    family = NFPROTO_IPV4 if version == 4 else NFPROTO_IPV6
    found = _expression(
        "lookup",
        text(NFTA_LOOKUP_SET, map_name),
        u32be(NFTA_LOOKUP_SREG, NFT_REG_1),
        u32be(NFTA_LOOKUP_DREG, NFT_REG_1),
    )
    port = NFT_REG32_00 + (1 if version == 4 else 4)
    translated = _expression(
        "nat",
        u32be(NFTA_NAT_TYPE, NFT_NAT_DNAT),
        u32be(NFTA_NAT_FAMILY, family),
        u32be(NFTA_NAT_REG_ADDR_MIN, NFT_REG_1),
        u32be(NFTA_NAT_REG_PROTO_MIN, port),
    )
    words = f"dnat {'ip' if version == 4 else 'ip6'} to {' . '.join(fields)} map @{map_name}"
    return Statement(words, (*of_version(version), *_loads(fields), found, translated))


def interface(field: str, prefix: str) -> Statement:
    """Match when the name of an interface begins with `prefix`."""
    return Statement(f'{field} "{prefix}*"', (*_loads((field,)), _compare(prefix.encode())))


def within(field: str, network: bytes, prefix: int, words: str) -> Statement:
    """Match when an address is in `network`; `words` is how people write the network."""
    length = FIELDS[field].length
    bits = length * 8
    mask = ((1 << bits) - (1 << (bits - prefix))).to_bytes(length, "big")
    expressions = (*_loads((field,)), _mask(mask), _compare(network))
    return Statement(f"{field} {words}", expressions)


def local_destination() -> Statement:
    """Match when the destination is an address of this host."""
    load = _expression(
        "fib",
        u32be(NFTA_FIB_DREG, NFT_REG_1),
        u32be(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE),
        u32be(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR),
    )
    return Statement("fib daddr type local", (load, _compare(_native.pack(RTN_LOCAL))))


def state(*names: str) -> Statement:
    """Match when the connection is in one of the states."""
    bits = sum(STATES[name] for name in names)
    return Statement(f"ct state {','.join(names)}", _connection(NFT_CT_STATE, bits))


def status(name: str) -> Statement:
    """Match when the connection has the status: `dnat` or `snat`."""
    return Statement(f"ct status {name}", _connection(NFT_CT_STATUS, STATUSES[name]))


def masquerade() -> Statement:
    """Replace the source by the address of the interface the packet leaves by."""
    return Statement("masquerade", (_expression("masq"),))


def counter() -> Statement:
    """Count what comes by."""
    return Statement("counter", (_expression("counter"),))


def accept() -> Statement:
    """Let the packet pass this chain's hook at this priority."""
    return Statement("accept", (_verdict(NF_ACCEPT),))


def drop() -> Statement:
    """End the packet."""
    return Statement("drop", (_verdict(NF_DROP),))


def reject() -> Statement:
    """End the packet, and tell the sender that a rule did."""
    data = (
        u32be(NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH),
        u8(NFTA_REJECT_ICMP_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED),
    )
    return Statement("reject with icmpx admin-prohibited", (_expression("reject", *data),))


def discovery() -> Statement:
    """Match the questions and answers by which hosts on one link find each other, with IPv6.

    Spec: RFC 4861, 4 (types 133 to 136)
    """
    first, last = (bytes((kind,)) for kind in _DISCOVERY)
    expressions = (
        *of_version(6),
        *_loads(("meta l4proto",)),
        _compare(bytes((_ICMPV6,))),
        *_loads(("icmpv6 type",)),
        _compare(first, NFT_CMP_GTE),
        _compare(last, NFT_CMP_LTE),
    )
    return Statement("icmpv6 type 133-136", expressions)


def jump(chain: str) -> Statement:
    """Go on in another chain, and come back at its end."""
    return Statement(f"jump {chain}", (_verdict(NFT_JUMP, chain),))


def of_version(version: int) -> tuple[bytes, bytes]:
    """Return the expressions that match packets of IPv4 or IPv6, where both come by."""
    family = NFPROTO_IPV4 if version == 4 else NFPROTO_IPV6
    load = _expression(
        "meta", u32be(NFTA_META_DREG, NFT_REG_1), u32be(NFTA_META_KEY, NFT_META_NFPROTO)
    )
    return load, _compare(bytes((family,)))


def verdict_data(code: int, chain: str = "") -> bytes:
    """Return the attributes of a verdict, for an immediate expression or a map's element."""
    inner = [attribute(NFTA_VERDICT_CODE, code.to_bytes(4, "big", signed=True))]
    if chain:
        inner.append(text(NFTA_VERDICT_CHAIN, chain))
    return nest(NFTA_DATA_VERDICT, *inner)


def _expression(name: str, *data: bytes) -> bytes:
    return nest(NFTA_LIST_ELEM, text(NFTA_EXPR_NAME, name), nest(NFTA_EXPR_DATA, *data))


def _loads(fields: Sequence[str]) -> list[bytes]:
    """Load `fields` one after the other from the first register on, each padded to four bytes."""
    versions = {FIELDS[name].version for name in fields} - {0}
    loads = [expression for version in versions for expression in of_version(version)]
    offset = 0
    for name in fields:
        field = FIELDS[name]
        register = NFT_REG_1 + offset // 16 if offset % 16 == 0 else NFT_REG32_00 + offset // 4
        # The destination register is the first attribute of both kinds of load.
        data = enumerate((register, *field.arguments), 1)
        loads.append(_expression(field.load, *(u32be(kind, value) for kind, value in data)))
        offset += (field.length + 3) & ~3
    return loads


def _connection(key: int, bits: int) -> tuple[bytes, ...]:
    load = _expression("ct", u32be(NFTA_CT_DREG, NFT_REG_1), u32be(NFTA_CT_KEY, key))
    return load, _mask(_native.pack(bits)), _compare(bytes(4), NFT_CMP_NEQ)


def _mask(mask: bytes) -> bytes:
    return _expression(
        "bitwise",
        u32be(NFTA_BITWISE_SREG, NFT_REG_1),
        u32be(NFTA_BITWISE_DREG, NFT_REG_1),
        u32be(NFTA_BITWISE_LEN, len(mask)),
        nest(NFTA_BITWISE_MASK, attribute(NFTA_DATA_VALUE, mask)),
        nest(NFTA_BITWISE_XOR, attribute(NFTA_DATA_VALUE, bytes(len(mask)))),
    )


def _compare(value: bytes, operation: int = NFT_CMP_EQ) -> bytes:
    return _expression(
        "cmp",
        u32be(NFTA_CMP_SREG, NFT_REG_1),
        u32be(NFTA_CMP_OP, operation),
        nest(NFTA_CMP_DATA, attribute(NFTA_DATA_VALUE, value)),
    )


def _verdict(code: int, chain: str = "") -> bytes:
    data = nest(NFTA_IMMEDIATE_DATA, verdict_data(code, chain))
    return _expression("immediate", u32be(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT), data)
