"""Network interfaces through the old calls: enough for one that has only to be set up.

Init does this between fork and exec for the loopback interface; `rtnetlink` has everything else.

Man: netdevice(7)
"""

from __future__ import annotations

import _socket
import fcntl
from struct import Struct

# <linux/sockios.h>, <linux/if.h>
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1

# struct ifreq { char ifr_name[IFNAMSIZ]; union { short ifr_flags; … 24 bytes } }
ifreq = Struct("=16sH22x")


def set_up(name: str) -> None:
    """Set up the interface `name` of this network namespace."""
    any_socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        request = fcntl.ioctl(any_socket.fileno(), SIOCGIFFLAGS, ifreq.pack(name.encode(), 0))
        _, flags = ifreq.unpack(request)
        request = ifreq.pack(name.encode(), flags | IFF_UP)
        fcntl.ioctl(any_socket.fileno(), SIOCSIFFLAGS, request)
    finally:
        any_socket.close()
