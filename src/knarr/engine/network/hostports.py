"""Host ports for a sandbox: chosen, recorded, and held by sockets.

Part of the transaction that prepares the sandbox. Of two that want one port, the records tell the
second; a program of the host is met when the port is bound. A record whose sandbox is gone is no
obstacle: it is released by the way.
"""

from __future__ import annotations

import os
import time

from knarr.errors import Conflict, InvalidArgument
from knarr.network import ports
from knarr.network.address import version_of
from knarr.network.model import PortMapping
from knarr.store.ports import EVERYWHERE, PortRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from knarr.engine.network.sandboxes import Prepared
    from knarr.engine.networks import Networks
    from knarr.network.model import Endpoint, SandboxOptions

EVERY_IPV4, EVERY_IPV6 = EVERYWHERE
LOOPBACK_IPV6 = "::1"

# How long a supervisor that lives no more than its container may take to close a port's socket.
_PATIENCE = 0.05
_ATTEMPTS = 5


class HostPorts:
    """The host ports of the sandbox that is `prepared`.

    `reap` releases those of the sandboxes given to it that are gone.
    """

    def __init__(
        self, networks: Networks, prepared: Prepared, reap: Callable[[list[str]], None]
    ) -> None:
        self._records = networks.ports
        self._marks = networks.marks
        self._prepared = prepared
        self._reap = reap

    def hold(self, options: SandboxOptions) -> None:
        """Record the published ports, each held by a socket."""
        endpoint = self._prepared.endpoints[0]
        resolved: list[PortMapping] = []
        for mapping in _wanted(options):
            resolved += self._open_directly(mapping, endpoint)
            host_ips = [
                host_ip
                for host_ip in _host_ips(mapping, endpoint, self._prepared.binding)
                if version_of(host_ip) not in self._prepared.direct
            ]
            if not host_ips:
                continue
            port = self._choose(mapping, host_ips)
            for host_ip in host_ips:
                resolved.append(port.replace(host_ip=host_ip))
                address = endpoint.address6 if ":" in host_ip else endpoint.address
                row = PortRow(
                    endpoint.sandbox_id, port.protocol, port.container_port,
                    host_ip, port.host_port, address,
                )  # fmt: skip
                self._records.add((row,))
        self._prepared.ports = tuple(resolved)

    def _open_directly(self, mapping: PortMapping, endpoint: Endpoint) -> list[PortMapping]:
        """Record a port that is published at the sandbox's own address, on networks that route."""
        port = mapping.container_port
        found = [
            mapping.replace(host_ip=address, host_port=port, host_port_end=port)
            for address in endpoint.addresses
            if version_of(address) in self._prepared.direct
        ]
        self._records.add(
            PortRow(endpoint.sandbox_id, one.protocol, port, one.host_ip, port, one.host_ip)
            for one in found
        )
        return found

    def _choose(self, mapping: PortMapping, host_ips: Sequence[str]) -> PortMapping:
        """Return the mapping with the first host port it allows that all addresses have free."""
        if mapping.host_port and mapping.host_port_end <= mapping.host_port:
            for host_ip in host_ips:
                one = mapping.replace(host_ip=host_ip)
                self._check_clash(one)
                self._prepared.sockets.append(_hold_soon(one))
            return mapping.replace(host_port_end=mapping.host_port)
        first, last = mapping.host_port, mapping.host_port_end
        after = -1
        if not first:
            first, last = ports.ephemeral_range()
            after = int(self._marks.find("port") or -1)
        for port in ports.free_ports(first, last, after):
            one = mapping.replace(host_port=port, host_port_end=port)
            if not self._hold_all(one, host_ips):
                continue
            if not mapping.host_port:
                self._marks.set("port", str(port))
            return one
        message = f"Bind for {host_ips[0]}:{first}-{last} failed: all ports are allocated"
        raise Conflict(message)

    def _hold_all(self, mapping: PortMapping, host_ips: Sequence[str]) -> bool:
        """Hold a port of each address, or none of them; tell which."""
        held: list[int] = []
        for host_ip in host_ips:
            try:
                self._check_clash(mapping.replace(host_ip=host_ip))
                held.append(ports.hold(mapping.protocol, host_ip, mapping.host_port))
            except Conflict:
                for descriptor in held:
                    os.close(descriptor)
                return False
        self._prepared.sockets += held
        return True

    def _check_clash(self, mapping: PortMapping) -> None:
        clash = (mapping.protocol, mapping.host_ip, mapping.host_port)
        rows = self._records.clashing(*clash)
        if rows:
            self._reap([row.container for row in rows])
            rows = self._records.clashing(*clash)
        if rows:
            where = f"{mapping.host_ip}:{mapping.host_port}"
            message = f"Bind for {where} failed: port is already allocated"
            raise Conflict(message, hint=f"The container {rows[0].container[:12]} has it.")


def _host_ips(mapping: PortMapping, endpoint: Endpoint, binding: str) -> tuple[str, ...]:
    """Return the host's addresses to publish on; `binding` is the network's own default.

    Raises: InvalidArgument
    """
    host_ip = mapping.host_ip or binding
    if not host_ip:
        every = ((EVERY_IPV4, endpoint.address), (EVERY_IPV6, endpoint.address6))
        return tuple(host_ip for host_ip, address in every if address)
    fault = _unpublishable(host_ip, endpoint)
    if fault:
        shown = f"[{host_ip}]" if ":" in host_ip else host_ip
        message = f"cannot publish port {mapping.container_port} on {shown}"
        raise InvalidArgument(message, hint=fault)
    return (host_ip,)


def _unpublishable(host_ip: str, endpoint: Endpoint) -> str:
    """Return why a host's address cannot lead to an endpoint, or an empty text."""
    if not (endpoint.address6 if ":" in host_ip else endpoint.address):
        version = "IPv6" if ":" in host_ip else "IPv4"
        return f"The network {endpoint.network_name} has no {version} addresses."
    if host_ip == LOOPBACK_IPV6:
        return "The kernel lets nothing that is sent there leave the host: publish on 127.0.0.1."
    return ""


def _wanted(options: SandboxOptions) -> Iterator[PortMapping]:
    """Yield the ports to publish: those named, then with `publish_all` the other exposed ones."""
    yield from options.ports
    if options.publish_all:
        named = {(mapping.container_port, mapping.protocol) for mapping in options.ports}
        for exposed in options.exposed:
            port, _, protocol = exposed.partition("/")
            if (int(port), protocol or "tcp") not in named:
                yield PortMapping(int(port), protocol or "tcp")


def _hold_soon(mapping: PortMapping) -> int:
    """Hold a host port that no record speaks of, though its last holder may just be leaving.

    Raises: Conflict, PermissionDenied, InvalidArgument, Failed
    """
    for attempt in range(_ATTEMPTS):
        try:
            return ports.hold(mapping.protocol, mapping.host_ip, mapping.host_port)
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
        time.sleep(_PATIENCE / _ATTEMPTS)
    raise AssertionError
