"""Netlink: requests to the kernel as bytes, and its answers.

A `Request` is one message: what it is for in words, its type, flags and body. Bodies are a fixed
struct, which every family declares beside the C one, and attributes:

    struct nlattr { __u16 nla_len; __u16 nla_type; }   followed by nla_len - 4 bytes, padded to 4

`u8` to `u64be`, `text`, `attribute` and `nest` make attributes; `parse` takes them apart again.
Numbers are in the byte order of the machine, except where a name says `be`.

A `Socket` sends any number of requests in one datagram, each with a sequence number of its own,
and waits for the answer to each. The kernel works through all of them, also after one has failed
(nf_tables alone has transactions); what is raised is the first failure, with the words of its
request and the kernel's own explanation (the extended acknowledgement) in the notes.

A socket belongs to the network namespace in which it was opened, wherever the process goes
afterwards.

Man: netlink(7)
"""

from __future__ import annotations

import _socket
import errno
import os
import sys
from struct import Struct

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

# <linux/netlink.h>, protocols
NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

# <linux/netlink.h>, types of every family
NLMSG_ERROR = 2
NLMSG_DONE = 3

# <linux/netlink.h>, flags
NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
NLM_F_DUMP = 0x300
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200

# <linux/netlink.h>, attributes of an acknowledgement
NLMSGERR_ATTR_MSG = 1
NLMSGERR_ATTR_OFFS = 2

# <linux/netlink.h>, options of the socket
SOL_NETLINK = 270
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
NETLINK_GET_STRICT_CHK = 12

NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF

AF_NETLINK = 16

# struct nlmsghdr { __u32 nlmsg_len; __u16 nlmsg_type; __u16 nlmsg_flags;
#                   __u32 nlmsg_seq; __u32 nlmsg_pid; }
nlmsghdr = Struct("=IHHII")
# struct nlattr { __u16 nla_len; __u16 nla_type; }
nlattr = Struct("=HH")
_int = Struct("=i")

_ORDER = sys.byteorder

# The largest answer the kernel builds for a dump when the reader offers as much (netlink_dump).
_DATAGRAM = 32768 + 4096

# How often a dump is begun anew because the kernel says that it was changed in the middle.
_DUMPS = 20


class Request(Value):
    """One message to the kernel; `what` names it in an error ("set eth0 up")."""

    what: str
    type: int
    flags: int
    body: bytes


class Message(Value):
    """One message from the kernel."""

    type: int
    flags: int
    body: bytes


def attribute(kind: int, data: bytes) -> bytes:
    """Return an attribute with `data`, padded."""
    return nlattr.pack(len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def nest(kind: int, *attributes: bytes) -> bytes:
    """Return an attribute that holds `attributes`."""
    data = b"".join(attributes)
    return nlattr.pack(len(data) + 4, kind | NLA_F_NESTED) + data


def u8(kind: int, value: int) -> bytes:
    """Return an attribute with one byte."""
    return attribute(kind, value.to_bytes(1, "little"))


def u16(kind: int, value: int) -> bytes:
    """Return an attribute with a number of two bytes."""
    return attribute(kind, _native(value, 2))


def u32(kind: int, value: int) -> bytes:
    """Return an attribute with a number of four bytes."""
    return attribute(kind, _native(value, 4))


def u32be(kind: int, value: int) -> bytes:
    """Return an attribute with a number of four bytes in network order, as netfilter wants them."""
    return attribute(kind, value.to_bytes(4, "big"))


def u64be(kind: int, value: int) -> bytes:
    """Return an attribute with a number of eight bytes in network order."""
    return attribute(kind, value.to_bytes(8, "big"))


def text(kind: int, value: str) -> bytes:
    """Return an attribute with a string and its final NUL."""
    return attribute(kind, os.fsencode(value) + b"\0")


def parse(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Return the attributes in `data` from `offset` by type; of several of a type the last one."""
    return dict(walk(data, offset))


def walk(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield type and data of each attribute in `data` from `offset`.

    Raises: OSError when a length cannot be right
    """
    end = len(data)
    while offset + 4 <= end:
        length, kind = nlattr.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            raise _malformed(f"attribute {kind} of {length} bytes at {offset} of {end}")
        yield kind & NLA_TYPE_MASK, data[offset + 4 : offset + length]
        offset += _padded(length)


def string(data: bytes | None) -> str:
    """Return the text of an attribute, empty when there is none."""
    return os.fsdecode(data.rstrip(b"\0")) if data else ""


def number(data: bytes | None) -> int:
    """Return the number in an attribute in the machine's byte order, 0 when there is none."""
    return int.from_bytes(data, _ORDER) if data else 0


def number_be(data: bytes | None) -> int:
    """Return the number in an attribute in network order, 0 when there is none."""
    return int.from_bytes(data, "big") if data else 0


def messages(datagram: bytes) -> Iterator[tuple[int, Message]]:
    """Yield sequence number and message for each message in a datagram.

    Raises: OSError when a length cannot be right
    """
    offset, end = 0, len(datagram)
    while offset + 16 <= end:
        length, kind, flags, sequence, _ = nlmsghdr.unpack_from(datagram, offset)
        if length < 16 or offset + length > end:
            raise _malformed(f"message {kind} of {length} bytes at {offset} of {end}")
        yield sequence, Message(kind, flags, datagram[offset + 16 : offset + length])
        offset += _padded(length)


def render(request: Request, sequence: int) -> bytes:
    """Return the bytes of `request`."""
    body = request.body
    flags = request.flags | NLM_F_REQUEST
    header = nlmsghdr.pack(len(body) + 16, request.type, flags, sequence, 0)
    return header + body + b"\0" * (-len(body) % 4)


def failure(message: Message) -> OSError | None:
    """Return the error of an acknowledgement, or None if it acknowledges success."""
    (code,) = _int.unpack_from(message.body)
    if code == 0:
        return None
    error = OSError(-code, os.strerror(-code))
    if message.flags & NLM_F_ACK_TLVS:
        offset = 4  # after a failed dump; an acknowledgement repeats the request or its header
        if message.type == NLMSG_ERROR:
            capped = message.flags & NLM_F_CAPPED
            offset += 16 if capped else _padded(nlmsghdr.unpack_from(message.body, 4)[0])
        explained = string(parse(message.body, offset).get(NLMSGERR_ATTR_MSG))
        if explained:
            error.add_note(f"kernel: {explained}")
    return error


class Socket:
    """A netlink socket of one protocol in the network namespace of the thread that opens it."""

    def __init__(self, protocol: int) -> None:
        """Open the socket; what the kernel explains is asked for."""
        kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
        self._socket = _socket.socket(AF_NETLINK, kind, protocol)
        self._sequence = 0
        for option in (NETLINK_EXT_ACK, NETLINK_CAP_ACK):
            self._socket.setsockopt(SOL_NETLINK, option, 1)
        if protocol == NETLINK_ROUTE:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def __enter__(self) -> Self:
        """Return the open socket."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def number(self) -> int:
        """Return the next sequence number."""
        self._sequence += 1
        return self._sequence

    def send(self, datagram: bytes) -> None:
        """Send `datagram` to the kernel, in a buffer as large as it needs."""
        try:
            self._socket.send(datagram)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            # SO_SNDBUFFORCE: beyond the limit for everybody, as a large rule set needs.
            self._socket.setsockopt(_socket.SOL_SOCKET, 32, len(datagram) * 2)
            self._socket.send(datagram)

    def receive(self, *, wait: bool = True) -> Iterator[tuple[int, Message]]:
        """Return the messages of the next datagram; none if there is none and `wait` is false."""
        try:
            datagram = self._socket.recv(_DATAGRAM, 0 if wait else _socket.MSG_DONTWAIT)
        except BlockingIOError:
            datagram = b""
        return messages(datagram)

    def request(self, *requests: Request) -> list[Message]:
        """Send `requests` at once, wait until all are done, and return what they brought.

        Raises: OSError, of the first that failed, after all were tried
        """
        pending: dict[int, Request] = {}
        datagram = b""
        for request in requests:
            sequence = self.number()
            pending[sequence] = request
            datagram += render(request.replace(flags=request.flags | NLM_F_ACK), sequence)
        if datagram:
            self.send(datagram)
        answers: list[Message] = []
        failed: OSError | None = None
        while pending:
            for sequence, message in self.receive():
                if sequence not in pending:
                    continue
                if message.type != NLMSG_ERROR:
                    answers.append(message)
                    continue
                error = failure(message)
                done = pending.pop(sequence)
                if error is not None and failed is None:
                    error.add_note(f"netlink: {done.what}")
                    failed = error
        if failed is not None:
            raise failed
        return answers

    def dump(self, request: Request) -> list[Message]:
        """Return all objects that `request` asks for, from one consistent state of the kernel.

        Raises: OSError, with EINTR when they changed at every try
        """
        for _ in range(_DUMPS):
            found, consistent = self._dump(request)
            if consistent:
                return found
        raise _error(errno.EINTR, request.what)

    def _dump(self, request: Request) -> tuple[list[Message], bool]:
        sequence = self.number()
        self.send(render(request.replace(flags=request.flags | NLM_F_DUMP), sequence))
        found: list[Message] = []
        consistent = True
        while True:
            for number, message in self.receive():
                if number != sequence:
                    continue
                consistent = consistent and not message.flags & NLM_F_DUMP_INTR
                if message.type in (NLMSG_DONE, NLMSG_ERROR):
                    error = failure(message)
                    if error is not None:
                        error.add_note(f"netlink: {request.what}")
                        raise error
                    return found, consistent
                found.append(message)


def _padded(length: int) -> int:
    return (length + 3) & ~3


def _native(value: int, size: int) -> bytes:
    return value.to_bytes(size, _ORDER)


def _malformed(what: str) -> OSError:
    return _error(errno.EBADMSG, what)


def _error(number: int, what: str) -> OSError:
    error = OSError(number, os.strerror(number))
    error.add_note(f"netlink: {what}")
    return error
