"""The ports of EXPOSE: `80`, `53/udp`, `8000-8010/tcp`, and the old forms with host parts."""

from __future__ import annotations

from knarr.build.dockerfile.fault import Fault
from knarr.util.quoting import quote
from knarr.util.value import Value

_PROTOCOLS = ("tcp", "udp", "sctp")


class Port(Value):
    """One word of EXPOSE: the `port/protocol`s it stands for, and what is unwise about it."""

    exposed: tuple[str, ...]
    odd_case: bool = False
    has_host_part: bool = False


def parse_port(word: str) -> Port:
    """Return what a word of EXPOSE stands for. Raises: Fault"""
    address, host, container = _split(word)
    ports, _, protocol = container.partition("/")
    if not ports:
        message = f"invalid port: {quote(word)}: no port specified"
        raise Fault(message, word=word)
    if protocol and protocol.lower() not in _PROTOCOLS:
        message = f"invalid port: {quote(word)}: invalid proto: {protocol}"
        raise Fault(message, word=word)
    if address:
        _check_address(address)
    first, last = _range("containerPort", ports)
    if host:
        host_first, host_last = _range("hostPort", host)
        if last != first and last - first != host_last - host_first:
            message = f"invalid ranges specified for container and host Ports: {ports} and {host}"
            raise Fault(message, word=word)
    kind = protocol.lower() or "tcp"
    return Port(
        exposed=tuple(f"{number}/{kind}" for number in range(first, last + 1)),
        odd_case=protocol != protocol.lower(),
        has_host_part=bool(address or host),
    )


def _split(word: str) -> tuple[str, str, str]:
    rest, _, container = word.rpartition(":")
    address, _, host = rest.rpartition(":")
    return address, host, container


def _range(what: str, text: str) -> tuple[int, int]:
    start, dash, end = text.partition("-")
    numbers = [start, end] if dash else [start, start]
    if not all(_is_port(number) for number in numbers) or int(numbers[1]) < int(numbers[0]):
        message = f"invalid {what}: {text}"
        raise Fault(message, word=text)
    return int(numbers[0]), int(numbers[1])


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= 65535


def _check_address(address: str) -> None:
    from ipaddress import ip_address  # noqa: PLC0415 - a form nobody should use

    try:
        ip_address(address.removeprefix("[").removesuffix("]"))
    except ValueError:
        message = f"invalid IP address: {address}"
        raise Fault(message, word=address) from None
