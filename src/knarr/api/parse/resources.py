"""The limits in HostConfig and in the body of `update`."""

from __future__ import annotations

from knarr.api.parse.reading import number
from knarr.engine.options.limits import check_device_rule, parse_ulimit
from knarr.engine.options.values import (
    Device,
    DeviceLimit,
    GpuRequest,
    Resources,
    RestartPolicy,
    Ulimit,
)
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.oci.document import Fields

# Docker's name → field of `Resources`.
NUMBERS = {
    "BlkioWeight": "blkio_weight",
    "CpuPeriod": "cpu_period_us",
    "CpuQuota": "cpu_quota_us",
    "CpuRealtimePeriod": "cpu_rt_period_us",
    "CpuRealtimeRuntime": "cpu_rt_runtime_us",
    "CpuShares": "cpu_shares",
    "Memory": "memory",
    "MemoryReservation": "memory_reservation",
    "MemorySwap": "memory_swap",
    "NanoCpus": "nano_cpus",
}
TEXTS = {"CpusetCpus": "cpuset_cpus", "CpusetMems": "cpuset_mems"}
RATES = {
    "BlkioDeviceReadBps": "read_bps",
    "BlkioDeviceWriteBps": "write_bps",
    "BlkioDeviceReadIOps": "read_iops",
    "BlkioDeviceWriteIOps": "write_iops",
}
# Docker's name of a time in nanoseconds → field of `RestartPolicy` in seconds; Docker has none.
TUNING = {
    "MinimumDelay": "minimum_delay",
    "MaximumDelay": "maximum_delay",
    "ResetAfter": "reset_after",
}
SECOND = 10**9


def parse_limits(fields: Fields) -> dict[str, Any]:
    """Return the fields of `Resources` that `update` may change and that are asked for.

    Raises: InvalidArgument
    """
    found: dict[str, Any] = {field: number(fields, name) for name, field in NUMBERS.items()}
    found |= {field: fields.text(name) for name, field in TEXTS.items()}
    found["pids_limit"] = max(-1, number(fields, "PidsLimit"))
    return {field: value for field, value in found.items() if value}


def parse_resources(fields: Fields) -> Resources:
    """Return all limits of a container to be created.

    Raises: InvalidArgument
    """
    found = parse_limits(fields)
    swappiness = fields.object.get("MemorySwappiness")
    if swappiness is not None and swappiness != -1:
        found["memory_swappiness"] = number(fields, "MemorySwappiness")
    found["oom_kill_disabled"] = fields.boolean("OomKillDisable")
    found["oom_score_adj"] = number(fields, "OomScoreAdj")
    found["cgroup_parent"] = fields.text("CgroupParent")
    found["ulimits"] = tuple(_ulimit(one) for one in fields.children("Ulimits"))
    for name, field in RATES.items():
        found[field] = tuple(_device_limit(one, "Rate") for one in fields.children(name))
    weights = fields.children("BlkioWeightDevice")
    found["blkio_weights"] = tuple(_device_limit(one, "Weight") for one in weights)
    found["devices"] = tuple(_device(one) for one in fields.children("Devices"))
    rules = fields.texts("DeviceCgroupRules") or ()
    found["device_rules"] = tuple(check_device_rule(text) for text in rules)
    requests = fields.children("DeviceRequests")
    found["gpus"] = tuple(_gpu(one) for one in requests if one.text("Driver") != "cdi")
    found["cdi_devices"] = tuple(
        name
        for one in requests
        if one.text("Driver") == "cdi"
        for name in one.texts("DeviceIDs") or ()
    )
    return Resources(**found)


def _ulimit(fields: Fields) -> Ulimit:
    soft, hard = number(fields, "Soft"), number(fields, "Hard")
    return parse_ulimit(f"{fields.text('Name')}={soft}:{hard}")


def _device_limit(fields: Fields, key: str) -> DeviceLimit:
    return DeviceLimit(fields.text("Path"), fields.integer(key))


def _device(fields: Fields) -> Device:
    source = fields.text("PathOnHost")
    target = fields.text("PathInContainer") or source
    if not source.startswith("/") or not target.startswith("/"):
        message = f"bad format for path: {source}"
        raise InvalidArgument(message)
    return Device(source, target, fields.text("CgroupPermissions") or "rwm")


def _gpu(fields: Fields) -> GpuRequest:
    wanted = fields.object.get("Capabilities") or [["gpu"]]
    if not isinstance(wanted, list) or not all(isinstance(one, list) for one in wanted):
        fields.refuse("Capabilities", "a list of lists of strings")
    return GpuRequest(
        number(fields, "Count"),
        fields.texts("DeviceIDs") or (),
        fields.text("Driver"),
        tuple(str(word) for word in wanted[0]),
        fields.mapping("Options"),
    )


def parse_restart_policy(fields: Fields | None) -> RestartPolicy:
    """Return a restart policy; without one, or without its name, `no`."""
    if fields is None:
        return RestartPolicy()
    found: dict[str, Any] = {
        field: number(fields, name) / SECOND
        for name, field in TUNING.items()
        if fields.object.get(name) is not None
    }
    if fields.object.get("DelayFactor") is not None:
        found["factor"] = float(fields.object["DelayFactor"])
    name = fields.text("Name") or "no"
    return RestartPolicy(name, number(fields, "MaximumRetryCount"), **found)
