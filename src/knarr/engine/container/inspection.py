"""`inspect` of a container, in Docker's shape: what programs have been written against.

Docker: `docker inspect` of version 28, API 1.50
"""

from __future__ import annotations

import os

from knarr.engine.container import apparmor, tasks
from knarr.engine.container.hostconfig import host_config
from knarr.engine.container.orders import log_path
from knarr.engine.network.naming import names_in
from knarr.engine.options.values import NetworkJoin
from knarr.network.model import BUILT_IN, PREDEFINED
from knarr.store.layers import LayerRecords
from knarr.store.ports import PortRecords
from knarr.util.times import ZERO, render_rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from knarr.engine.container.tasks import State
    from knarr.engine.containers import Container
    from knarr.network.model import Endpoint

    Document = dict[str, Any]


def inspect(container: Container, *, size: bool = False) -> Document:
    """Return the document of a container, with `size` also what it takes on the disk."""
    options, row, paths = container.options, container.row, container.engine.paths
    state, log = container.state, options.log
    arguments = options.process_arguments()
    directory = paths.container(row.id)
    document: Document = {
        "Id": row.id,
        "Created": render_rfc3339(row.created_ns),
        "Path": arguments[0],
        "Args": list(arguments[1:]),
        "State": _state(state),
        "Image": str(row.image or ""),
        "ResolvConfPath": f"{directory}/resolv.conf",
        "HostnamePath": f"{directory}/hostname",
        "HostsPath": f"{directory}/hosts",
        "LogPath": log_path(paths, row.id, log) if log.driver == "json-file" else "",
        "Name": f"/{row.name}",
        "RestartCount": state.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": apparmor.shown(options.security),
        "ExecIDs": _exec_ids(container, state),
        "HostConfig": host_config(options),
        "GraphDriver": _graph_driver(container),
        "Mounts": mounts(container),
        "Config": config(container),
        "NetworkSettings": _network_settings(container),
    }
    for name in ("ResolvConfPath", "HostnamePath", "HostsPath"):
        if not os.path.exists(document[name]):  # until the first start
            document[name] = ""
    if options.healthcheck is not None:
        from knarr.supervise.task import read_health  # noqa: PLC0415 - for few containers

        health = read_health(directory)
        if health is not None:
            document["State"]["Health"] = health
    if size:
        from knarr.engine.container.usage import container_size  # noqa: PLC0415 - walks the whole tree

        document["SizeRw"], document["SizeRootFs"] = container_size(container)
    return document


def _state(state: State) -> Document:
    document = {
        "Status": state.status,
        "Running": state.active,
        "Paused": state.status == tasks.PAUSED,
        "Restarting": state.status == tasks.RESTARTING,
        "OOMKilled": state.oom_killed,
        "Dead": False,
        "Pid": state.pid if state.active else 0,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": _time(state.started_ns),
        "FinishedAt": _time(state.finished_ns),
    }
    if state.status == tasks.RESTARTING:
        document["NextStartAt"] = _time(state.next_start_ns)  # Docker does not say
    return document


def _time(when_ns: int) -> str:
    return render_rfc3339(when_ns) if when_ns else ZERO


def _exec_ids(container: Container, state: State) -> list[str] | None:
    if state.status != tasks.RUNNING:
        return None
    from knarr.errors import KnarrError  # noqa: PLC0415 - for what runs
    from knarr.supervise import control  # noqa: PLC0415

    try:
        with control.connect(container.engine.paths.task(container.id)) as client:
            answer = client.request("exec-inspect")
    except KnarrError:  # it ended in between
        return None
    running = [one["id"] for one in answer["states"] if one["running"]]
    return running or None


def config(container: Container) -> Document:
    """Return the object Config: what runs, merged with what the image says."""
    options, streams = container.options, container.options.streams
    document: Document = {
        "Hostname": options.hostname or container.id[:12],
        "Domainname": options.domainname,
        "User": options.user,
        "AttachStdin": streams.attach_stdin,
        "AttachStdout": streams.attach_stdout,
        "AttachStderr": streams.attach_stderr,
        "Tty": streams.tty,
        "OpenStdin": streams.open_stdin,
        "StdinOnce": streams.stdin_once,
        "Env": list(options.env),
        "Cmd": None if options.command is None else list(options.command),
        "Image": options.image,
        "Volumes": {path: {} for path in options.volumes} or None,
        "WorkingDir": options.working_dir,
        "Entrypoint": None if options.entrypoint is None else list(options.entrypoint),
        "OnBuild": None,
        "Labels": dict(options.labels),
    }
    if options.exposed:
        document["ExposedPorts"] = {_whole(port): {} for port in options.exposed}
    if options.stop_signal:
        document["StopSignal"] = options.stop_signal
    if options.stop_timeout is not None:
        document["StopTimeout"] = options.stop_timeout
    check = options.healthcheck
    if check is not None:
        given = {
            "Test": list(check.test or ()),
            "Interval": check.interval_ns,
            "Timeout": check.timeout_ns,
            "StartPeriod": check.start_period_ns,
            "StartInterval": check.start_interval_ns,
            "Retries": check.retries,
        }
        document["Healthcheck"] = {name: value for name, value in given.items() if value}
    if options.health_on_failure:
        document["HealthcheckOnFailureAction"] = options.health_on_failure  # as Podman has it
    if options.secrets:
        document["Secrets"] = [  # as Podman has it, and never the data
            {"Name": one.name, "Type": one.kind, "Target": one.target, "UID": one.uid,
             "GID": one.gid, "Mode": one.mode}
            for one in options.secrets
        ]  # fmt: skip
    if options.shell:
        document["Shell"] = list(options.shell)
    return document


def _whole(port: str) -> str:
    return port if "/" in port else f"{port}/tcp"


def _graph_driver(container: Container) -> Document:
    engine, row = container.engine, container.row
    directory = engine.paths.container(row.id)
    lowers = engine.layers.lowers(LayerRecords(engine.database).stack(row.chain))
    return {
        "Data": {
            "ID": row.id,
            "LowerDir": ":".join(lowers),
            "MergedDir": f"{engine.paths.task(row.id)}/rootfs",
            "UpperDir": f"{directory}/upper",
            "WorkDir": f"{directory}/work",
        },
        "Name": "overlay2",
    }


def mounts(container: Container) -> list[Document]:
    """Return the objects of what is mounted."""
    found = []
    for mount in container.options.mounts:
        if mount.kind == "tmpfs" and not (mount.tmpfs_size or mount.tmpfs_mode is not None):
            continue  # of --tmpfs: Docker shows it in HostConfig alone
        source = mount.source
        document: Document = {"Type": mount.kind}
        if mount.kind == "volume":
            document["Name"] = mount.source
            source = container.engine.volumes.path(mount.source)
        document |= {"Source": source, "Destination": mount.target}
        if mount.kind == "volume":
            document["Driver"] = mount.driver or "local"
        document |= {
            "Mode": mount.mode_text,
            "RW": not mount.readonly,
            "Propagation": "" if mount.kind == "volume" else mount.propagation or "rprivate",
        }
        found.append(document)
    return found


def _network_settings(container: Container) -> Document:
    engine = container.engine
    endpoints: tuple[Endpoint, ...] = ()
    query = "SELECT 1 FROM endpoints WHERE container = ?"
    if engine.database.row(query, (container.id,)):
        endpoints = engine.networks.endpoints(container.id)
    first = _address(endpoints[0]) if endpoints else _address(None)
    return {
        "Bridge": "",
        "SandboxID": container.id if container.state.active else "",
        "SandboxKey": _sandbox_key(container),
        "Ports": _ports(container) if container.state.active else {},
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **first,
        "Networks": networks(container, endpoints, active=container.state.active),
    }


def networks(container: Container, endpoints: Sequence[Endpoint], *, active: bool) -> Document:
    """Return the object of its networks by name: with `endpoints` in them, or as asked for."""
    if endpoints:
        return {
            one.network_name: _network(container, _asked(container, one), one) for one in endpoints
        }
    mode = container.options.networking.mode
    if mode in BUILT_IN:
        return {mode: _network(container, NetworkJoin(mode), None)}
    places = () if active else container.options.networking.places
    return {place.network: _network(container, place, None) for place in places}


def _sandbox_key(container: Container) -> str:
    state = container.state
    return f"/proc/{state.pid}/ns/net" if state.active and state.pid else ""


def _address(endpoint: Endpoint | None, mac: str = "") -> Document:
    return {
        "EndpointID": endpoint.id if endpoint else "",
        "Gateway": endpoint.gateway if endpoint else "",
        "GlobalIPv6Address": endpoint.address6 if endpoint else "",
        "GlobalIPv6PrefixLen": endpoint.prefix6 if endpoint else 0,
        "IPAddress": endpoint.address if endpoint else "",
        "IPPrefixLen": endpoint.prefix if endpoint else 0,
        "IPv6Gateway": endpoint.gateway6 if endpoint else "",
        "MacAddress": endpoint.mac if endpoint else mac,
    }


def _asked(container: Container, endpoint: Endpoint) -> NetworkJoin:
    """Return what was asked of the container's place in the endpoint's network."""
    places = container.options.networking.places
    for place in places:
        if place.network == endpoint.network_name or endpoint.network_id.startswith(place.network):
            return place
    return NetworkJoin(endpoint.network_name)


def _network(container: Container, asked: NetworkJoin, endpoint: Endpoint | None) -> Document:
    addresses: Document = {"IPv4Address": asked.address, "IPv6Address": asked.address6}
    addresses["LinkLocalIPs"] = list(asked.link_local)
    custom = asked.network not in PREDEFINED
    return {
        "IPAMConfig": {key: text for key, text in addresses.items() if text} or None,
        "Links": list(asked.links) or None,
        "Aliases": list(asked.aliases) or None,
        "DriverOpts": dict(one.split("=", 1) for one in asked.driver_options) or None,
        "GwPriority": asked.priority,
        "NetworkID": endpoint.network_id if endpoint else "",
        **_address(endpoint, asked.mac_address),
        "DNSNames": list(names_in(container.row, container.options, asked.aliases))
        if custom
        else None,
    }


def _ports(container: Container) -> Mapping[str, Any]:
    if not container.options.networking.has_ports:
        return {}
    found: dict[str, Any] = {_whole(port): None for port in container.options.exposed}
    for port in PortRecords(container.engine.database).of(container.id):
        name = f"{port.container_port}/{port.protocol}"
        binding = {"HostIp": port.host_ip, "HostPort": str(port.host_port)}
        found[name] = [*(found.get(name) or ()), binding]
    return found
