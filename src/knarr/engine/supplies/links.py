"""`--link`: names and variables for who reaches other containers of the same network.

Docker: on the default network the linked container's name, ID and alias stand in /etc/hosts, and
its ports and environment in variables, as they are at the start; on others the alias is a name
alone, which is answered for like all names there (`engine.network.naming`), whoever has it by then.
"""

from __future__ import annotations

from knarr.errors import Conflict, InvalidArgument, KnarrError
from knarr.network.model import DEFAULT_NETWORK
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine
    from knarr.engine.options.values import Options

SHORT_ID = 12
# What builds leave in an environment, and says nothing of a container.
_MEANINGLESS = ("HOME", "PATH")


class Linked(Value):
    """A container that another one is linked to, as it runs now."""

    alias: str
    id: str
    name: str
    address: str
    ports: tuple[str, ...]
    env: tuple[str, ...]


def requests(options: Options) -> tuple[str, ...]:
    """Return the links that were asked for on the default network, each as `container:alias`."""
    return tuple(
        link
        for place in options.networking.joins
        if place.network == DEFAULT_NETWORK
        for link in place.links
    )


def check(engine: Engine, options: Options) -> None:
    """Raise unless the containers are there, and the network is one with names.

    Raises: InvalidArgument
    """
    networking = options.networking
    if networking.shared or networking.mode == "none":
        message = "conflicting options: links and a network mode without names"
        if networking.on_host:
            message = "conflicting options: host type networking can't be used with links"
        raise InvalidArgument(message)
    for link in requests(options):
        name = link.partition(":")[0]
        try:
            engine.containers.get(name)
        except KnarrError as error:
            message = f"could not get container for {name}: {error.message}"
            raise InvalidArgument(message, hint=error.hint) from None


def find(engine: Engine, options: Options, own_name: str) -> list[Linked]:
    """Return the linked containers.

    Raises: Conflict, NotFound
    """
    found = []
    for link in requests(options):
        name, _, alias = link.partition(":")
        other = engine.containers.get(name)
        if not other.state.active:
            message = (
                f"Cannot link to a non running container: /{other.name} AS /{own_name}/{alias}"
            )
            raise Conflict(message)
        found.append(_linked(engine, other, alias))
    return found


def _linked(engine: Engine, other: Container, alias: str) -> Linked:
    for endpoint in engine.networks.endpoints(other.id):
        if endpoint.network_name == DEFAULT_NETWORK:
            options = other.options
            return Linked(
                alias, other.id, other.name, endpoint.address, options.exposed, options.env
            )
    message = f"Cannot link to /{other.name}, as it does not belong to the default network"
    raise Conflict(message)


def hosts(linked: list[Linked]) -> tuple[str, ...]:
    """Return the names of the linked containers for /etc/hosts, each as `name:address`."""
    entries = []
    for one in linked:
        names = (one.alias, one.id[:SHORT_ID], one.name)
        entries += [f"{name}:{one.address}" for name in dict.fromkeys(names)]
    return tuple(entries)


def variables(linked: list[Linked], own_name: str) -> list[str]:
    """Return the variables about what is linked.

    Docker: Link.ToEnv of moby, without its short forms for ranges of ports
    """
    return [entry for one in linked for entry in _variables(one, own_name)]


def _variables(one: Linked, own_name: str) -> Iterator[str]:
    prefix = one.alias.upper().replace("-", "_")
    ports = sorted((int(port), protocol) for port, protocol in map(_split, one.ports))
    for index, (port, protocol) in enumerate(ports):
        whole = f"{protocol}://{one.address}:{port}"
        if index == 0:
            yield f"{prefix}_PORT={whole}"
        name = f"{prefix}_PORT_{port}_{protocol.upper()}"
        yield f"{name}={whole}"
        yield f"{name}_ADDR={one.address}"
        yield f"{name}_PORT={port}"
        yield f"{name}_PROTO={protocol}"
    yield f"{prefix}_NAME=/{own_name}/{one.alias}"
    for entry in one.env:
        name, _, value = entry.partition("=")
        if name not in _MEANINGLESS:
            yield f"{prefix}_ENV_{name}={value}"


def _split(port: str) -> tuple[str, str]:
    number, _, protocol = port.partition("/")
    return number, protocol or "tcp"


def add(env: list[str], variables: list[str]) -> list[str]:
    """Return the environment with the variables of links; what else was said goes before."""
    said = {entry.partition("=")[0] for entry in env}
    return [*env, *(entry for entry in variables if entry.partition("=")[0] not in said)]
