"""From the command line to limits: the options that `create`, `run` and `update` share."""

from __future__ import annotations

from knarr.cli.command import parse_each
from knarr.engine.options.values import Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Options

# Option → field, by how its value is read.
NUMBERS = {
    "memory": "memory",
    "memory-reservation": "memory_reservation",
    "oom-score-adj": "oom_score_adj",
    "cpus": "nano_cpus",
    "cpu-shares": "cpu_shares",
    "cpu-period": "cpu_period_us",
    "cpu-quota": "cpu_quota_us",
    "cpu-rt-period": "cpu_rt_period_us",
    "cpu-rt-runtime": "cpu_rt_runtime_us",
    "pids-limit": "pids_limit",
    "blkio-weight": "blkio_weight",
}
TEXTS = {
    "cpuset-cpus": "cpuset_cpus",
    "cpuset-mems": "cpuset_mems",
    "cgroup-parent": "cgroup_parent",
}
DEVICE_LIMITS = {
    "device-read-bps": ("read_bps", True),
    "device-write-bps": ("write_bps", True),
    "device-read-iops": ("read_iops", False),
    "device-write-iops": ("write_iops", False),
}
OTHERS = (
    "oom-kill-disable", "memory-swap", "memory-swappiness", "ulimit", "device",
    "device-cgroup-rule", "blkio-weight-device", "gpus",
)  # fmt: skip
NAMES = (*NUMBERS, *TEXTS, *DEVICE_LIMITS, *OTHERS)


def given_limits(options: Options) -> dict[str, Any]:
    """Return the fields of `Resources` that the command line names; the others are not there.

    Raises: InvalidArgument
    """
    fields: dict[str, Any] = {}
    for name, field in NUMBERS.items():
        if options.given(name):
            fields[field] = options.number(name)
    if fields.get("pids_limit", 0) < -1:  # unlimited too, as with Docker
        fields["pids_limit"] = -1
    for name, field in TEXTS.items():
        if options.given(name):
            fields[field] = options.text(name)
    if options.given("memory-swap"):
        fields["memory_swap"] = _swap(options.text("memory-swap"))
    return fields


def parse_resources(options: Options) -> Resources:
    """Return all limits of a container to be created.

    Raises: InvalidArgument
    """
    from knarr.engine.options import limits  # noqa: PLC0415 - for who limits anything

    fields = given_limits(options)
    if options.flag("oom-kill-disable"):
        fields["oom_kill_disabled"] = True
    if options.number("memory-swappiness") != -1:
        fields["memory_swappiness"] = options.number("memory-swappiness")
    if options.given("ulimit"):
        given = parse_each(options, "ulimit", limits.parse_ulimit)
        fields["ulimits"] = tuple({limit.name: limit for limit in given}.values())
    for name, (field, sized) in DEVICE_LIMITS.items():
        if options.given(name):
            fields[field] = tuple(
                limits.parse_rate(text, option=name, sized=sized) for text in options.texts(name)
            )
    if options.given("blkio-weight-device"):
        weights = options.texts("blkio-weight-device")
        fields["blkio_weights"] = tuple(limits.parse_weight(text) for text in weights)
    if options.given("device"):
        fields |= _devices(options.texts("device"))
    if options.given("gpus"):
        from knarr.engine.options.gpus import parse_gpus  # noqa: PLC0415 - for few

        fields["gpus"] = tuple(parse_each(options, "gpus", parse_gpus))
    if options.given("device-cgroup-rule"):
        rules = options.texts("device-cgroup-rule")
        fields["device_rules"] = tuple(limits.check_device_rule(text) for text in rules)
    return Resources(**fields)


def _devices(texts: list[str]) -> dict[str, Any]:
    """Return the devices of the host, and those that CDI files describe."""
    from knarr.engine.options.devices import is_qualified_device, parse_device  # noqa: PLC0415

    described = [text for text in texts if is_qualified_device(text)]
    return {
        "devices": tuple(parse_device(text) for text in texts if text not in described),
        "cdi_devices": tuple(described),
    }


def _swap(text: str) -> int:
    if text == "-1":
        return -1
    from knarr.cli.command import OptionFault  # noqa: PLC0415
    from knarr.errors import InvalidArgument  # noqa: PLC0415
    from knarr.util.text import parse_size  # noqa: PLC0415 - for few

    try:
        return parse_size(text)
    except InvalidArgument as error:
        message = f'invalid argument "{text}" for "--memory-swap" flag: {error}'
        raise OptionFault(message, hint=error.hint) from None
