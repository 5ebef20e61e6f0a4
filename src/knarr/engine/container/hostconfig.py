"""The object HostConfig of `inspect`: how a container runs here, in Docker's shape.

Docker: `docker inspect` of version 28, API 1.50
"""

from __future__ import annotations

from knarr.engine.container.specify import hidden_paths
from knarr.engine.options.security import normalised
from knarr.engine.options.values import DEFAULT_SHM_SIZE, UNACCOUNTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from knarr.engine.options.values import (
        DeviceLimit,
        MountRequest,
        Options,
        PortRequest,
        Resources,
    )

    Document = dict[str, Any]


def host_config(options: Options) -> Document:
    """Return the object HostConfig: how it runs here."""
    return {
        **_host_storage(options),
        **_host_network(options),
        **_host_security(options),
        **_host_resources(options),
    }


def _host_storage(options: Options) -> Document:
    mounts = [_host_mount(mount) for mount in options.mounts if not _is_bind_text(options, mount)]
    tmpfs = {
        mount.target: mount.tmpfs_options
        for mount in options.mounts
        if mount.kind == "tmpfs" and not mount.tmpfs_size and mount.tmpfs_mode is None
    }
    document: Document = {
        "Binds": list(options.binds) or None,
        "ContainerIDFile": options.cidfile,
        "LogConfig": {"Type": options.log.driver, "Config": dict(options.log.options)},
        "RestartPolicy": _restart_policy(options),
        "AutoRemove": options.auto_remove,
        "VolumeDriver": options.volume_driver,
        "VolumesFrom": list(options.volumes_from) or None,
        "ConsoleSize": list(options.streams.window),
        "Annotations": dict(options.annotations) or None,
        "ShmSize": options.shm_size or DEFAULT_SHM_SIZE,
        "Runtime": options.runtime or "knarr",
        "Isolation": options.isolation,
        "Init": options.init or None,
        "Sysctls": dict(options.sysctls) or None,
        "Mounts": mounts or None,
        "Tmpfs": tmpfs or None,
        "StorageOpt": dict(options.storage_opt) or None,
    }
    optional = ("Annotations", "Init", "Sysctls", "Mounts", "Tmpfs", "StorageOpt")
    return {name: v for name, v in document.items() if v is not None or name not in optional}


def _restart_policy(options: Options) -> Document:
    """Return Docker's object, and what Docker does not know only where it was asked for."""
    policy, usual = options.restart, type(options.restart)()
    document: Document = {"Name": policy.name, "MaximumRetryCount": policy.maximum_retries}
    for field, name in _TUNING.items():
        value = getattr(policy, field)
        if value != getattr(usual, field):
            document[name] = value if field == "factor" else int(value * 1e9)
    return document


_TUNING = {
    "minimum_delay": "MinimumDelay",
    "maximum_delay": "MaximumDelay",
    "reset_after": "ResetAfter",
    "factor": "DelayFactor",
}


def _is_bind_text(options: Options, mount: MountRequest) -> bool:
    """Tell whether a mount came from `-v`, `--tmpfs` or the image, and is shown there."""
    plain_tmpfs = mount.kind == "tmpfs" and not mount.tmpfs_size and mount.tmpfs_mode is None
    in_binds = any(text.split(":")[1].rstrip("/") == mount.target for text in options.binds)
    return plain_tmpfs or in_binds or mount.image_volume or mount.anonymous or mount.inherited


def _host_mount(mount: MountRequest) -> Document:
    document: Document = {"Type": mount.kind, "Source": mount.source, "Target": mount.target}
    given = {"ReadOnly": mount.readonly, f"{mount.kind.title()}Options": _mount_options(mount)}
    named = {name: value for name, value in document.items() if value}
    return {**named, **{name: value for name, value in given.items() if value}}


def _mount_options(mount: MountRequest) -> Document:
    """Return what was said of a mount of its kind alone."""
    driver = {"Name": mount.driver, "Options": dict(mount.driver_options)}
    options: dict[str, Document] = {
        "bind": {
            "Propagation": mount.propagation,
            "NonRecursive": not mount.recursive,
            "CreateMountpoint": mount.creates_source,
            "ReadOnlyNonRecursive": mount.writable_below,
        },
        "image": {"Subpath": mount.subpath},
        "tmpfs": {"SizeBytes": mount.tmpfs_size, "Mode": mount.tmpfs_mode},
        "volume": {
            "NoCopy": mount.nocopy,
            "Labels": dict(mount.labels),
            "DriverConfig": {name: value for name, value in driver.items() if value},
            "Subpath": mount.subpath,
        },
    }
    return {name: value for name, value in options.get(mount.kind, {}).items() if value}


def _host_network(options: Options) -> Document:
    networking = options.networking
    return {
        "NetworkMode": networking.mode,
        "Egress": None if networking.egress is None else list(networking.egress),
        "PortBindings": _bindings(networking.ports),
        "PublishAllPorts": networking.publish_all,
        "Dns": list(networking.dns),
        "DnsOptions": list(networking.dns_options),
        "DnsSearch": list(networking.dns_search),
        "ExtraHosts": list(networking.extra_hosts) or None,
        "Links": [link for place in networking.joins for link in place.links] or None,
    }


def _bindings(ports: Iterable[PortRequest]) -> Document:
    found: Document = {}
    for port in ports:
        host = str(port.host_port or "")
        if port.host_port_end > port.host_port:
            host = f"{port.host_port}-{port.host_port_end}"
        binding = {"HostIp": port.host_ip, "HostPort": host}
        found.setdefault(f"{port.container_port}/{port.protocol}", []).append(binding)
    return found


def _host_security(options: Options) -> Document:
    security, spaces = options.security, options.namespaces
    masked, readonly = hidden_paths(options)
    return {
        "CapAdd": normalised(security.cap_add, "CapAdd") or None,
        "CapDrop": normalised(security.cap_drop, "CapDrop") or None,
        "CgroupnsMode": spaces.cgroup or "private",
        "GroupAdd": list(options.group_add) or None,
        "IpcMode": spaces.ipc or "private",
        "Cgroup": "",
        "PidMode": spaces.pid,
        "Privileged": security.privileged,
        "ReadonlyRootfs": options.readonly,
        "SecurityOpt": list(security.texts) or None,
        "UTSMode": spaces.uts,
        "UsernsMode": spaces.user,
        "MaskedPaths": masked or None,
        "ReadonlyPaths": readonly or None,
    }


def _host_resources(options: Options) -> Document:
    asked = options.resources
    swap = -1 if asked.memory_swap == UNACCOUNTED else asked.memory_swap or 2 * asked.memory
    return {
        "OomScoreAdj": asked.oom_score_adj,
        "CpuShares": asked.cpu_shares,
        "Memory": asked.memory,
        "NanoCpus": asked.nano_cpus,
        "CgroupParent": asked.cgroup_parent,
        "BlkioWeight": asked.blkio_weight,
        "BlkioWeightDevice": [
            {"Path": one.path, "Weight": one.limit} for one in asked.blkio_weights
        ],
        "BlkioDeviceReadBps": _rates(asked.read_bps),
        "BlkioDeviceWriteBps": _rates(asked.write_bps),
        "BlkioDeviceReadIOps": _rates(asked.read_iops),
        "BlkioDeviceWriteIOps": _rates(asked.write_iops),
        "CpuPeriod": asked.cpu_period_us,
        "CpuQuota": asked.cpu_quota_us,
        "CpuRealtimePeriod": asked.cpu_rt_period_us,
        "CpuRealtimeRuntime": asked.cpu_rt_runtime_us,
        "CpusetCpus": asked.cpuset_cpus,
        "CpusetMems": asked.cpuset_mems,
        "Devices": [
            {
                "PathOnHost": device.source,
                "PathInContainer": device.target,
                "CgroupPermissions": device.permissions,
            }
            for device in asked.devices
        ],
        "DeviceCgroupRules": list(asked.device_rules) or None,
        "DeviceRequests": _device_requests(asked) or None,
        "MemoryReservation": asked.memory_reservation,
        "MemorySwap": swap,
        "MemorySwappiness": asked.memory_swappiness,
        "OomKillDisable": asked.oom_kill_disabled or None,
        "PidsLimit": asked.pids_limit or None,
        "Ulimits": [
            {"Name": limit.name, "Hard": limit.hard, "Soft": limit.soft} for limit in asked.ulimits
        ],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    }


def _device_requests(asked: Resources) -> list[Document]:
    """Return what is asked of drivers: GPUs, and the devices that a CDI file describes."""
    found: list[Document] = [
        {
            "Driver": gpu.driver,
            "Count": gpu.count,
            "DeviceIDs": list(gpu.names) or None,
            "Capabilities": [list(gpu.capabilities)],
            "Options": dict(gpu.driver_options),
        }
        for gpu in asked.gpus
    ]
    if asked.cdi_devices:
        found.append(
            {
                "Driver": "cdi",
                "Count": 0,
                "DeviceIDs": list(asked.cdi_devices),
                "Capabilities": None,
                "Options": None,
            }
        )
    return found


def _rates(limits: Iterable[DeviceLimit]) -> list[Document]:
    return [{"Path": one.path, "Rate": one.limit} for one in limits]
