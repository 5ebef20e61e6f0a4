"""Ports as people write them: `-p [[ip:][host]:]container[/protocol]` and `--expose`.

Docker: the words of go-connections/nat for what does not parse.
"""

from __future__ import annotations

from knarr.engine.options.values import PortRequest
from knarr.errors import InvalidArgument

PROTOCOLS = frozenset(("tcp", "udp", "sctp"))
LAST_PORT = 65535


def parse_publish(text: str) -> list[PortRequest]:
    """Return the ports that one `-p` publishes: several for ranges.

    A range of the host for one port of the container stands for any free port of it.

    Raises: InvalidArgument
    """
    address, _, protocol = text.partition("/")
    protocol = _protocol(protocol or "tcp")
    host_ip, host, container = _split(address)
    if not container:
        message = f"no port specified: {text}<empty>"
        raise InvalidArgument(message)
    if host_ip:
        check_address(host_ip)
    first, last = _range(container, "containerPort")
    if not host:
        return [PortRequest(port, protocol, host_ip) for port in range(first, last + 1)]
    host_first, host_last = _range(host, "hostPort")
    if host_last - host_first == last - first:
        return [
            PortRequest(port, protocol, host_ip, host_first + index, host_first + index)
            for index, port in enumerate(range(first, last + 1))
        ]
    if first != last:
        message = f"invalid ranges specified for container and host Ports: {container} and {host}"
        raise InvalidArgument(message)
    return [PortRequest(first, protocol, host_ip, host_first, host_last)]


def parse_expose(text: str) -> list[str]:
    """Return what `--expose 80`, `80/udp` or `80-82` exposes, each as `80/tcp`.

    Raises: InvalidArgument
    """
    if ":" in text:
        message = f"invalid port format for --expose: {text}"
        raise InvalidArgument(message)
    ports, _, protocol = text.partition("/")
    protocol = _protocol(protocol or "tcp")
    try:
        first, last = _range(ports, "port")
    except InvalidArgument as error:
        message = f"invalid range format for --expose: {text}, error: {error}"
        raise InvalidArgument(message) from None
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def check_address(text: str) -> None:
    """Raise unless `text` is an address, of either family.

    Raises: InvalidArgument
    """
    import _socket  # noqa: PLC0415 - only for who gives an address

    family = _socket.AF_INET6 if ":" in text else _socket.AF_INET
    try:
        _socket.inet_pton(family, text)
    except OSError:
        message = f"invalid IP address: {text}"
        raise InvalidArgument(message) from None


def _split(address: str) -> tuple[str, str, str]:
    """Return host address, host port and container port, those not given empty."""
    if address.startswith("["):
        host_ip, bracket, rest = address[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            message = f"invalid IP address: {address}"
            raise InvalidArgument(message)
        host, _, container = rest[1:].rpartition(":")
        return host_ip, host, container
    parts = address.split(":")
    if len(parts) > 3:  # an address of IPv6 without brackets
        return ":".join(parts[:-2]), parts[-2], parts[-1]
    host_ip, host, container = ["", "", *parts][-3:]
    return host_ip, host, container


def _range(text: str, what: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    low, high = _port(first), _port(last if dash else first)
    if low is None or high is None or high < low:
        message = f"invalid {what}: {text}"
        raise InvalidArgument(message)
    return low, high


def _port(text: str) -> int | None:
    if text.isascii() and text.isdecimal() and int(text) <= LAST_PORT:
        return int(text)
    return None


def _protocol(text: str) -> str:
    if text.lower() not in PROTOCOLS:
        message = f"invalid proto: {text}"
        raise InvalidArgument(message)
    return text.lower()
