"""Ports as `docker ps` shows them: `0.0.0.0:8080-8081->80-81/tcp, 53/udp`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    # (host address, host port, container port, protocol); no host port is 0
    Port = tuple[str, int, int, str]


def port_words(ports: Iterable[Port]) -> str:
    """Return the ports, runs of neighbours joined.

    Docker: DisplayablePorts of its command line
    """
    runs: list[list[Port]] = []
    for port in sorted(set(ports), key=_order):
        if runs and _follows(runs[-1][-1], port):
            runs[-1].append(port)
        else:
            runs.append([port])
    return ", ".join(_run(run) for run in runs)


def _order(port: Port) -> tuple[bool, str, str, int, int]:
    address, host, container, protocol = port
    return (not host, protocol, address, container, host)


def _follows(last: Port, port: Port) -> bool:
    same = (last[0], last[3], bool(last[1])) == (port[0], port[3], bool(port[1]))
    return same and port[2] == last[2] + 1 and (not port[1] or port[1] == last[1] + 1)


def _run(run: list[Port]) -> str:
    address, host, container, protocol = run[0]
    last_host, last_container = run[-1][1], run[-1][2]
    inside = f"{_range(container, last_container)}/{protocol}"
    if not host:
        return inside
    shown = f"[{address}]" if ":" in address and address != "::" else address
    return f"{shown}:{_range(host, last_host)}->{inside}"


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
