"""From options to limits of the runtime spec: what a container's control group is told. Pure.

The spec speaks cgroup v1, and the runtime translates for v2. Given as v2's own file is only what
the spec has no word for in which both mean the same.

Docker: daemon_unix of moby, getMemoryResources and its kin
Spec: runtime-spec config-linux.md, "Control groups"
"""

from __future__ import annotations

from knarr.engine.options.values import UNACCOUNTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from knarr.engine.options.values import DeviceLimit, Options, Resources
    from knarr.oci.runtime import Device, DeviceCgroup
    from knarr.oci.runtime import Resources as CgroupResources

    Numbers = Mapping[str, tuple[int, int]]

# What every container may use, whatever else is denied: its own nodes, and making nodes at all.
# null, zero, full, random, urandom, tty, console, ptmx, pseudo terminals.
DEVICE_RULES = (
    ("c", None, None, "m"), ("b", None, None, "m"), ("c", 1, 3, "rwm"), ("c", 1, 5, "rwm"),
    ("c", 1, 7, "rwm"), ("c", 1, 8, "rwm"), ("c", 1, 9, "rwm"), ("c", 5, 0, "rwm"),
    ("c", 5, 1, "rwm"), ("c", 5, 2, "rwm"), ("c", 136, None, "rwm"),
)  # fmt: skip
THROTTLES = {
    "read_bps": "throttleReadBpsDevice",
    "write_bps": "throttleWriteBpsDevice",
    "read_iops": "throttleReadIOPSDevice",
    "write_iops": "throttleWriteIOPSDevice",
}


def resources(
    options: Options, devices: Sequence[tuple[Device, str]], numbers: Numbers
) -> CgroupResources:
    """Return the limits of a container that gets `devices`, each with its permissions.

    `numbers` are major and minor of the block devices that limits name.
    """
    return {
        "devices": _device_rules(options, devices),
        **changeable(options.resources),
        **_block_devices(options.resources, numbers),
    }


def changeable(asked: Resources) -> CgroupResources:
    """Return the limits that can be changed while a container runs."""
    found: CgroupResources = {}
    _add_memory(found, asked)
    _add_processors(found, asked)
    if asked.pids_limit:
        found["pids"] = {"limit": asked.pids_limit if asked.pids_limit > 0 else -1}
    if asked.blkio_weight:
        found["blockIO"] = {"weight": asked.blkio_weight}
    return found


def _add_memory(found: CgroupResources, asked: Resources) -> None:
    memory: dict[str, Any] = {}
    if asked.memory:
        memory["limit"] = asked.memory
        if asked.memory_swap != UNACCOUNTED:
            memory["swap"] = asked.memory_swap or 2 * asked.memory
    if asked.memory_reservation:
        memory["reservation"] = asked.memory_reservation
    if asked.memory_swappiness is not None and asked.memory_swappiness >= 0:
        memory["swappiness"] = asked.memory_swappiness
    if asked.oom_kill_disabled:
        memory["disableOOMKiller"] = True
    if memory:
        found["memory"] = memory  # type: ignore[typeddict-item] # names and types are those above


def _add_processors(found: CgroupResources, asked: Resources) -> None:
    period, quota = asked.cpu_period_us, asked.cpu_quota_us
    if asked.nano_cpus:
        period = 100_000
        quota = asked.nano_cpus * period // 10**9
    fields = {
        "shares": asked.cpu_shares,
        "period": period,
        "quota": quota,
        "realtimePeriod": asked.cpu_rt_period_us,
        "realtimeRuntime": asked.cpu_rt_runtime_us,
        "cpus": asked.cpuset_cpus,
        "mems": asked.cpuset_mems,
    }
    given = {name: value for name, value in fields.items() if value}
    if given:
        found["cpu"] = given  # type: ignore[typeddict-item] # names and types are those above


def _block_devices(asked: Resources, numbers: Numbers) -> CgroupResources:
    """Return what is said of single block devices, with the weight that `changeable` gives."""
    found: dict[str, Any] = {}
    for field, name in THROTTLES.items():
        limits: tuple[DeviceLimit, ...] = getattr(asked, field)
        if limits:
            found[name] = [{**_numbered(one, numbers), "rate": one.limit} for one in limits]
    if asked.blkio_weights:
        found["weightDevice"] = [
            {**_numbered(one, numbers), "weight": one.limit} for one in asked.blkio_weights
        ]
    if not found:
        return {}
    if asked.blkio_weight:
        found["weight"] = asked.blkio_weight
    return {"blockIO": found}  # type: ignore[typeddict-item] # names and types are those above


def _numbered(limit: DeviceLimit, numbers: Numbers) -> dict[str, int]:
    major, minor = numbers[limit.path]
    return {"major": major, "minor": minor}


def _device_rules(options: Options, devices: Sequence[tuple[Device, str]]) -> list[DeviceCgroup]:
    if options.security.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[DeviceCgroup] = [{"allow": False, "access": "rwm"}]
    rules += [_rule(*rule) for rule in DEVICE_RULES]
    for device, access in devices:
        rules.append(_rule(device["type"], device["major"], device["minor"], access))
    rules += [_parse_rule(text) for text in options.resources.device_rules]
    return rules


def _rule(kind: str, major: int | None, minor: int | None, access: str) -> DeviceCgroup:
    rule: DeviceCgroup = {"allow": True, "type": kind, "access": access}
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule


def _parse_rule(text: str) -> DeviceCgroup:
    """Return the rule of `--device-cgroup-rule "c 13:* rwm"`, whose form was checked before."""
    kind, numbers, access = text.split()
    major, _, minor = numbers.partition(":")
    return _rule(
        kind,
        None if major == "*" else int(major),
        None if minor == "*" else int(minor),
        access,
    )
