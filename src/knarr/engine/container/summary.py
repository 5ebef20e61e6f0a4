"""One container in a list of many, in Docker's shape: what is asked for all of them at once.

Docker: the list of containers of API 1.55
"""

from __future__ import annotations

from knarr.engine.container.inspection import mounts, networks
from knarr.engine.container.usage import command_words, container_size, image_words
from knarr.store.ports import PortRecords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.container.tasks import State
    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine

    Document = dict[str, Any]


class Summaries:
    """Describes containers of one moment."""

    def __init__(self, engine: Engine, now_ns: int) -> None:
        """Read at once what is of all containers."""
        self._engine = engine
        self._now_ns = now_ns
        self._published: dict[str, list[Document]] = {}
        for row in PortRecords(engine.database).all():
            port = {
                "IP": row.host_ip,
                "PrivatePort": row.container_port,
                "PublicPort": row.host_port,
                "Type": row.protocol,
            }
            self._published.setdefault(row.container, []).append(port)
        rows = engine.database.rows("SELECT DISTINCT container FROM endpoints")
        self._connected = {container_id for (container_id,) in rows}

    def document(self, container: Container, *, size: bool = False) -> Document:
        """Return the object of one container, with `size` also what it takes on the disk."""
        options, state = container.options, container.state
        connected = container.id in self._connected
        endpoints = self._engine.networks.endpoints(container.id) if connected else ()
        found: Document = {
            "Id": container.id,
            "Names": [f"/{container.name}"],
            "Image": image_words(container, full=True),
            "ImageID": str(container.row.image or ""),
            "Command": command_words(options),
            "Created": container.row.created_ns // 10**9,
            "Ports": self._ports(container) if state.active else [],
            "Labels": dict(options.labels),
            "State": state.status,
            "Status": state.words(self._now_ns),
            "HostConfig": {"NetworkMode": options.networking.mode},
            "NetworkSettings": {"Networks": networks(container, endpoints, active=state.active)},
            "Mounts": mounts(container),
        }
        if options.annotations:
            found["HostConfig"]["Annotations"] = dict(options.annotations)
        if state.health:
            found["Health"] = self._health(container, state)
        if size:
            found["SizeRw"], found["SizeRootFs"] = container_size(container)
        return found

    def _ports(self, container: Container) -> list[Document]:
        """Return the published ports, and those that are only exposed, without a host's."""
        found = self._published.get(container.id, [])
        inside = {(port["PrivatePort"], port["Type"]) for port in found}
        if not container.options.networking.has_ports:
            return found
        exposed = []
        for text in container.options.exposed:
            number, _, protocol = text.partition("/")
            if (int(number), protocol or "tcp") not in inside:
                exposed.append({"PrivatePort": int(number), "Type": protocol or "tcp"})
        return [*found, *exposed]

    def _health(self, container: Container, state: State) -> Document:
        from knarr.supervise.task import read_health  # noqa: PLC0415 - for few containers

        record = read_health(self._engine.paths.container(container.id)) or {}
        return {"Status": state.health, "FailingStreak": record.get("FailingStreak", 0)}
