"""A connection to nf_tables: transactions, and dumps of what there is.

A transaction is all or nothing, and no packet sees half of it. Others change the rules of the host
too, each in tables of their own, and the kernel takes transactions one after the other. Who plans
on what was dumped passes the generation of the dump: if anybody came in between, the transaction is
refused with ERESTART, and one plans anew.

What costs is removal of tables, chains and rules, for the kernel waits until no packet is in them
(some 16 ms); elements of sets come and go at once. So what changes often belongs in elements.

Man: netlink(7), nft(8)
"""

from __future__ import annotations

import errno
import os

from knarr.linux import netlink, nftables, nftexpr
from knarr.linux.netlink import Message, Request, parse, text, u32be
from knarr.linux.nftables import Chain, Element, Table, nfgenmsg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self


# Above every descriptor.
_DESCRIPTORS = 1 << 30

# Children that wait for the kernel in our place.
_waiting: list[int] = []


class Nftables:
    """The rules of one network namespace, through `socket`, which speaks all of netfilter."""

    def __init__(self) -> None:
        """Open a socket in the network namespace of this thread."""
        self.socket = netlink.Socket(netlink.NETLINK_NETFILTER)

    def __enter__(self) -> Self:
        """Return the open connection."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.socket.close()

    def close(self) -> None:
        """Close the socket; waits until the kernel has got rid of what was just deleted."""
        self.socket.close()

    def abandon(self) -> None:
        """Close the socket without waiting for what was just deleted.

        The kernel makes whoever closes a socket of this protocol wait for pending deletions (10 to
        40 ms), at its exit too. A child that has nothing else open can wait for us.
        """
        global _waiting  # noqa: PLW0603 - children are the process's, not the object's
        _waiting = [child for child in _waiting if not _reaped(child)]
        if len(os.listdir("/proc/self/task")) == 1:  # a process with threads does not fork
            descriptor = self.socket.fileno()
            child = os.fork()
            if child == 0:
                os.closerange(0, descriptor)
                os.closerange(descriptor + 1, _DESCRIPTORS)
                os._exit(0)
            _waiting.append(child)
        self.socket.close()

    def generation(self) -> int:
        """Return the number of the last change that anybody made."""
        request = Request("get generation", nftables.NFT_MSG_GETGEN, 0, nfgenmsg.pack(0, 0, 0))
        (answer,) = self.socket.request(request)
        return netlink.number_be(parse(answer.body, nfgenmsg.size).get(nftables.NFTA_GEN_ID))

    def find_table(self, family: int, name: str) -> Table | None:
        """Return the table's head, or None."""
        table = Table(family, name)
        body = nftables.head(table) + text(nftables.NFTA_TABLE_NAME, name)
        try:
            (answer,) = self.socket.request(
                Request(f"get table {name}", nftables.NFT_MSG_GETTABLE, 0, body)
            )
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        found = parse(answer.body, nfgenmsg.size)
        return table.replace(comment=_read_comment(found.get(nftables.NFTA_TABLE_USERDATA, b"")))

    def chains(self, family: int) -> list[tuple[str, Chain]]:
        """Return every chain of the family with the name of its table."""
        body = nfgenmsg.pack(family, 0, 0)
        found = self.socket.dump(Request("list chains", nftables.NFT_MSG_GETCHAIN, 0, body))
        return [decode_chain(message) for message in found]

    def rules(self, table: Table, chain: str = "") -> list[tuple[str, str, int]]:
        """Return chain, comment and handle of the rules of a table in order, or of one chain."""
        body = nftables.head(table) + text(nftables.NFTA_RULE_TABLE, table.name)
        if chain:
            body += text(nftables.NFTA_RULE_CHAIN, chain)
        found = self.socket.dump(
            Request(f"list rules of {table.name}", nftables.NFT_MSG_GETRULE, 0, body)
        )
        return [decode_rule(message) for message in found]

    def sets(self, table: Table) -> list[str]:
        """Return the names of the sets and maps of a table."""
        body = nftables.head(table) + text(nftables.NFTA_SET_TABLE, table.name)
        found = self.socket.dump(
            Request(f"list sets of {table.name}", nftables.NFT_MSG_GETSET, 0, body)
        )
        return [
            netlink.string(parse(m.body, nfgenmsg.size).get(nftables.NFTA_SET_NAME)) for m in found
        ]

    def elements(self, table: Table, one: str) -> list[Element]:
        """Return what is in a set."""
        return [e for message in self._elements(table, one) for e in decode_elements(message)]

    def counters(self, table: Table, one: str) -> dict[bytes, int]:
        """Return how many packets met each key of a set that is counted."""
        return dict(e for message in self._elements(table, one) for e in decode_counters(message))

    def _elements(self, table: Table, one: str) -> list[Message]:
        body = nftables.head(table) + text(nftables.NFTA_SET_ELEM_LIST_TABLE, table.name)
        body += text(nftables.NFTA_SET_ELEM_LIST_SET, one)
        request = Request(f"list elements of {one}", nftables.NFT_MSG_GETSETELEM, 0, body)
        return self.socket.dump(request)

    def apply(self, requests: Iterable[Request], *, generation: int | None = None) -> None:
        """Do all of `requests`, or nothing; with `generation` only if that is still the last.

        Raises: OSError, with ERESTART when somebody else made a change since `generation`
        """
        parts = list(requests)
        if not parts:
            return
        first = self.socket.number()
        begin = nfgenmsg.pack(0, 0, nftables.NFNL_SUBSYS_NFTABLES)
        if generation is not None:
            begin += u32be(nftables.NFNL_BATCH_GENID, generation)
        datagram = [
            netlink.render(Request("begin", nftables.NFNL_MSG_BATCH_BEGIN, 0, begin), first)
        ]
        sent: dict[int, str] = {first: "begin transaction"}
        last = first
        for position, request in enumerate(parts, 1):
            last = self.socket.number()
            sent[last] = request.what
            if position == len(parts):
                request = request.replace(flags=request.flags | netlink.NLM_F_ACK)
            datagram.append(netlink.render(request, last))
        end = Request(
            "end",
            nftables.NFNL_MSG_BATCH_END,
            0,
            nfgenmsg.pack(0, 0, nftables.NFNL_SUBSYS_NFTABLES),
        )
        datagram.append(netlink.render(end, self.socket.number()))
        self.socket.send(b"".join(datagram))
        self._settle(sent, first, last)

    def _settle(self, sent: dict[int, str], first: int, last: int) -> None:
        """Read answers until that of the last request, or one that refuses the whole."""
        failed: OSError | None = None
        while True:
            for number, message in self.socket.receive():
                if number not in sent or message.type != netlink.NLMSG_ERROR:
                    continue
                error = netlink.failure(message)
                if error is not None and failed is None:
                    error.add_note(f"nftables: {sent[number]}")
                    failed = error
                if number in (first, last):
                    self._drain()
                    if failed is not None:
                        raise failed
                    return

    def _drain(self) -> None:
        """Throw away what else the kernel had to say about a transaction that is over."""
        while any(True for _ in self.socket.receive(wait=False)):
            pass


def _reaped(child: int) -> bool:
    try:
        return os.waitpid(child, os.WNOHANG) != (0, 0)
    except ChildProcessError:  # somebody else has waited for it
        return True


def decode_chain(message: Message) -> tuple[str, Chain]:
    """Return the table's name and the chain of an NFT_MSG_NEWCHAIN message."""
    found = parse(message.body, nfgenmsg.size)
    name = netlink.string(found.get(nftables.NFTA_CHAIN_NAME))
    hook = parse(found.get(nftables.NFTA_CHAIN_HOOK, b""))
    chain = Chain(name)
    if hook:
        number = netlink.number_be(hook.get(nftables.NFTA_HOOK_HOOKNUM))
        names = [key for key, value in nftables.NF_INET_HOOKS.items() if value == number]
        chain = Chain(
            name,
            netlink.string(found.get(nftables.NFTA_CHAIN_TYPE)),
            names[0] if names else str(number),
            int.from_bytes(hook.get(nftables.NFTA_HOOK_PRIORITY, bytes(4)), "big", signed=True),
            netlink.number_be(found.get(nftables.NFTA_CHAIN_POLICY)) == nftexpr.NF_ACCEPT,
        )
    return netlink.string(found.get(nftables.NFTA_CHAIN_TABLE)), chain


def decode_rule(message: Message) -> tuple[str, str, int]:
    """Return chain, comment and handle of an NFT_MSG_NEWRULE message."""
    found = parse(message.body, nfgenmsg.size)
    return (
        netlink.string(found.get(nftables.NFTA_RULE_CHAIN)),
        _read_comment(found.get(nftables.NFTA_RULE_USERDATA, b"")),
        netlink.number_be(found.get(nftables.NFTA_RULE_HANDLE)),
    )


def decode_elements(message: Message) -> Iterator[Element]:
    """Yield the elements of an NFT_MSG_NEWSETELEM message."""
    found = parse(message.body, nfgenmsg.size)
    for _, one in netlink.walk(found.get(nftables.NFTA_SET_ELEM_LIST_ELEMENTS, b"")):
        parts = parse(one)
        key = parse(parts.get(nftables.NFTA_SET_ELEM_KEY, b"")).get(nftexpr.NFTA_DATA_VALUE, b"")
        data = parse(parts.get(nftables.NFTA_SET_ELEM_DATA, b"")).get(nftexpr.NFTA_DATA_VALUE, b"")
        flags = netlink.number_be(parts.get(nftables.NFTA_SET_ELEM_FLAGS))
        last = parse(parts.get(nftables.NFTA_SET_ELEM_KEY_END, b""))
        yield Element(
            key,
            data,
            bool(flags & nftables.NFT_SET_ELEM_INTERVAL_END),
            last.get(nftexpr.NFTA_DATA_VALUE, b""),
        )


def decode_counters(message: Message) -> Iterator[tuple[bytes, int]]:
    """Yield each key of an NFT_MSG_NEWSETELEM message, and how many packets met it."""
    found = parse(message.body, nfgenmsg.size)
    for _, one in netlink.walk(found.get(nftables.NFTA_SET_ELEM_LIST_ELEMENTS, b"")):
        parts = parse(one)
        key = parse(parts.get(nftables.NFTA_SET_ELEM_KEY, b"")).get(nftexpr.NFTA_DATA_VALUE, b"")
        expression = parse(parts.get(nftables.NFTA_SET_ELEM_EXPR, b""))
        counter = parse(expression.get(nftexpr.NFTA_EXPR_DATA, b""))
        yield key, netlink.number_be(counter.get(nftables.NFTA_COUNTER_PACKETS))


def _read_comment(data: bytes) -> str:
    offset = 0
    while offset + 2 <= len(data):
        kind, length = data[offset], data[offset + 1]
        if kind == 0:
            return netlink.string(data[offset + 2 : offset + 2 + length])
        offset += 2 + length
    return ""
