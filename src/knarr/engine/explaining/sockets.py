"""Who listens where: in a container's network, and on the host.

Man: proc_net(5)
"""

from __future__ import annotations

import os

TCP, UDP = ("tcp", "tcp6"), ("udp", "udp6")
_WAITING = {"0A", "07"}  # TCP_LISTEN, and how an unconnected UDP socket is shown


def listening(
    pid: int | str = "self", kinds: tuple[str, ...] = TCP
) -> tuple[tuple[str, int, str], ...] | None:
    """Return (address, port, inode) of the sockets that wait for others where `pid` lives.

    None if that cannot be read.
    """
    found = []
    try:
        for name in kinds:
            with open(f"/proc/{pid}/net/{name}", encoding="ascii") as file:
                found += [line.split() for line in list(file)[1:]]
    except FileNotFoundError:  # a kernel without IPv6
        if not found:
            return None
    except OSError:
        return None
    return tuple(
        (*parse_address(fields[1]), fields[9])
        for fields in found
        if len(fields) > 9 and fields[3] in _WAITING
    )


def parse_address(text: str) -> tuple[str, int]:
    """Return address and port of `0100007F:1F90`: words of the host's byte order."""
    from ipaddress import ip_address  # noqa: PLC0415 - dear, and only after a failure
    from sys import byteorder  # noqa: PLC0415

    digits, _, port = text.partition(":")
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    packed = b"".join(word.to_bytes(4, byteorder) for word in words)
    address = ip_address(packed)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address), int(port, 16)


def holder(port: int) -> str:
    """Return in words which process of the host listens on a port; empty if none is found."""
    sockets = listening(kinds=(*TCP, *UDP)) or ()
    inodes = {f"socket:[{inode}]" for _, number, inode in sockets if number == port}
    for name in os.listdir("/proc") if inodes else ():
        if name.isdecimal() and _has_open(name, inodes):
            return f"{_command(name)} (process {name})"
    return "another program" if inodes else ""


def _has_open(pid: str, targets: set[str]) -> bool:
    try:
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            if os.readlink(f"/proc/{pid}/fd/{descriptor}") in targets:
                return True
    except OSError:  # it has ended, or is not ours to look into
        return False
    return False


def _command(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "a process that has just ended"
