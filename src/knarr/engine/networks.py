"""Networks and the sandboxes that join them.

What `run` does with a sandbox (a container, or a step of a build):

    prepared = engine.networks.prepare(container_id, SandboxOptions(network="bridge", …))
        # one transaction: addresses and host ports are ours; files and sockets are in `prepared`
    attach(prepared, pid)      # the kernel: interface, addresses, routes, rules; a few milliseconds
    prepared.close()           # after the sockets went to the supervisor
    …
    engine.networks.detach(container_id)    # at its end, whoever comes first; twice does no harm

`prepare` needs no namespace yet, and may run while the supervisor starts. When anything fails
between the two, `detach` takes everything back; so does recovery after a crash, for records are
made before the kernel's state and go after it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.network.model import Endpoint, Network, PortMapping, SandboxOptions


class Prepared:
    """What a sandbox will have. Owns `sockets`, descriptors that hold its host ports.

    `mode` is `bridge` or `none` (a network namespace of its own), `host` (the host's), or
    `container` (that of the container `shared_with`, whose hosts, hostname and resolv.conf files
    serve both: the texts here are empty then).
    """

    __slots__ = (
        "endpoints", "hostname", "hosts", "mode", "ports", "resolv_conf", "sandbox_id",
        "shared_with", "sockets",
    )  # fmt: skip

    mode: str
    sandbox_id: str
    shared_with: str
    endpoints: tuple[Endpoint, ...]
    ports: tuple[PortMapping, ...]
    sockets: list[int]
    hostname: str
    hosts: str
    resolv_conf: str

    def close(self) -> None:
        """Let go of the sockets: the supervisor holds its own copies, or nothing came of it."""
        while self.sockets:
            os.close(self.sockets.pop())


class Networks:
    """The networks of one engine, and who is in them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ensure_default(self) -> Network:
        """Return the network named `bridge`, recorded now if this root never had it."""
        raise NotImplementedError

    def prepare(self, sandbox_id: str, options: SandboxOptions) -> Prepared:
        """Give `sandbox_id` addresses and host ports, and write its files' contents.

        Idempotent: what an earlier start of the sandbox left is released first.

        Raises: NotFound, Conflict, InvalidArgument
        """
        raise NotImplementedError

    def attach(self, prepared: Prepared, pid: int) -> None:
        """Set up the network namespace of the process `pid`, and the host's side of it."""
        raise NotImplementedError

    def detach(self, sandbox_id: str) -> None:
        """Release addresses, ports and rules of a sandbox; its interfaces die with its namespace.

        Idempotent; nothing to do for an unknown sandbox.
        """
        raise NotImplementedError

    def endpoints(self, sandbox_id: str) -> tuple[Endpoint, ...]:
        """Return the sandbox's places in networks, the one with the default route first."""
        raise NotImplementedError

    def published(self, sandbox_id: str = "") -> dict[str, tuple[PortMapping, ...]]:
        """Return the published ports by sandbox, of all sandboxes or one."""
        raise NotImplementedError
