"""The policies of iptables' tables that are in the kernel by themselves, not in nf_tables.

Only looking: changing anything means replacing a whole table, which is left to its program.

Man: iptables(8)
"""

from __future__ import annotations

import _socket
import ctypes
import errno
from ctypes import c_int, c_void_p
from struct import Struct

from knarr.linux import libc
from knarr.util.files import read_file

# <linux/netfilter_ipv4/ip_tables.h>
IPT_SO_GET_INFO = 64
IPT_SO_GET_ENTRIES = 65

NF_INET_FORWARD = 2

# struct ipt_getinfo { char name[32]; unsigned valid_hooks, hook_entry[5], underflow[5],
#                      num_entries, size; }
ipt_getinfo = Struct("=32sI5I5III")
# struct ipt_get_entries { char name[32]; unsigned size; struct ipt_entry entrytable[]; }
ipt_get_entries = Struct("=32sI4x")
_u16 = Struct("=H")
_int = Struct("=i")

# Where struct ipt_entry has the offset of its target, and a target its verdict.
_TARGET_OFFSET = 88
_VERDICT = 32

# A verdict is written as its negative, less one.
DROP = -1

_getsockopt = libc.function("getsockopt", c_int, c_int, c_int, c_void_p, c_void_p)


def drops_forwarded() -> bool:
    """Tell whether the policy of the chain FORWARD of IPv4's table `filter` is DROP.

    False when there is no such table, or the kernel has no such tables at all.
    """
    try:
        if b"filter" not in read_file("/proc/thread-self/net/ip_tables_names").split():
            return False
    except FileNotFoundError:
        return False
    raw = _socket.socket(_socket.AF_INET, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, 255)
    try:
        head = ipt_getinfo.pack(b"filter", *[0] * 13)
        info = ipt_getinfo.unpack(_get(raw.fileno(), IPT_SO_GET_INFO, head, ipt_getinfo.size))
        underflow, size = info[7:12], info[13]
        head = ipt_get_entries.pack(b"filter", size)
        table = _get(raw.fileno(), IPT_SO_GET_ENTRIES, head, ipt_get_entries.size + size)
    except OSError as error:
        if error.errno in (errno.ENOPROTOOPT, errno.EAGAIN):  # none, or changed meanwhile
            return False
        raise
    finally:
        raw.close()
    entry = ipt_get_entries.size + underflow[NF_INET_FORWARD]
    target = entry + _u16.unpack_from(table, entry + _TARGET_OFFSET)[0]
    (verdict,) = _int.unpack_from(table, target + _VERDICT)
    return bool(verdict == DROP)


def _get(descriptor: int, option: int, head: bytes, size: int) -> bytes:
    buffer = ctypes.create_string_buffer(head, size)
    length = ctypes.c_uint32(size)
    _getsockopt(descriptor, _socket.IPPROTO_IP, option, buffer, ctypes.byref(length))
    return buffer.raw
