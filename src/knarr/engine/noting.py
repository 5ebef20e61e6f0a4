"""Noting what happened to containers, with what events say of each. Loaded on the way of `run`."""

from __future__ import annotations

import os

from knarr.util import eventlog, jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.paths import Paths
    from knarr.network.model import Endpoint, Network
    from knarr.store.containers import ContainerRow

# The file that a container has while it is in a network that has no endpoints.
_SHARED = "network"


def attributes(row: ContainerRow) -> dict[str, str]:
    """Return what is said of a container: its labels, its image, its name.

    Read from the record as it is: making all of it options takes four times as long.
    """
    options = jsontext.loads(row.options)
    return {**options.get("labels", {}), "image": options.get("image", ""), "name": row.name}


def note(paths: Paths, row: ContainerRow, action: str, **more: str) -> None:
    """Note what happened to a container."""
    eventlog.append(paths.root, "container", action, row.id, {**attributes(row), **more})


def note_networks(
    paths: Paths, container_id: str, endpoints: Iterable[Endpoint], action: str
) -> None:
    """Note that a container has come into networks, or has left them."""
    for one in endpoints:
        about = {"container": container_id, "name": one.network_name, "type": one.driver}
        eventlog.append(paths.root, "network", action, one.network_id, about)


def note_shared(paths: Paths, container_id: str, network: Network) -> None:
    """Note that a container has come into `host` or `none`, of which no endpoint tells its end.

    A file in the container's directory does, until `note_left`.
    """
    about = {"container": container_id, "name": network.name, "type": network.driver}
    with open(f"{paths.container(container_id)}/{_SHARED}", "w", encoding="utf-8") as file:
        file.write(jsontext.dumps([network.id, about]))
    eventlog.append(paths.root, "network", "connect", network.id, about)


def note_left(paths: Paths, container_id: str) -> None:
    """Note that a container has left `host` or `none`, if it was there."""
    path = f"{paths.container(container_id)}/{_SHARED}"
    try:
        with open(path, encoding="utf-8") as file:
            network_id, about = jsontext.loads(file.read())
        os.unlink(path)
    except (FileNotFoundError, ValueError):  # it was not, or somebody was faster
        return
    eventlog.append(paths.root, "network", "disconnect", network_id, about)


def note_pruned(paths: Paths, kind: str, freed: int) -> None:
    """Note that what is unused of a kind was removed."""
    eventlog.append(paths.root, kind, "prune", "", {"reclaimed": str(freed)})
