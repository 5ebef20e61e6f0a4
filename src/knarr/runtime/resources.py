"""Limits: what the spec's `linux.resources` means for the control files of each cgroup version.

Pure: a spec and the controllers there are go in, `Write`s come out, in the order in which they
have to be done. A limit whose controller is missing is an error before anything is created; what
asks for no limit (0 where the reference runtimes take 0 for "not given", null) is left out.

The spec speaks cgroup v1. For v2 its values are converted as the reference runtimes do:

    cpu.shares          cpu.weight        a curve through (2, 1), (1024, 100), (262144, 10000)
    memory.swap         memory.swap.max   v1 counts memory + swap, v2 swap alone: the difference
    blkio.weight        io.weight         10 … 1000 on 1 … 10000
    quota and period    cpu.max           both in one file

Spec: runtime-spec config-linux.md, "Control groups"; config-linux.md, "Unified"
"""

from __future__ import annotations

from knarr.errors import Unsupported
from knarr.runtime import device_rules
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from knarr.runtime.document import Node

    Versions = Mapping[str, int]


class Write(Value):
    """One line for one control file of the container's cgroup."""

    controller: str
    file: str
    value: str
    instead: Write | None = None  # for kernels without the file

    def __str__(self) -> str:
        """Show the write as a shell would."""
        shown = f"cgroup {self.controller}: {self.file} = {self.value}"
        if self.instead is not None:
            shown += f", or {self.instead.file} = {self.instead.value}"
        return shown


class Sink:
    """Collects writes, and knows which controllers there are in which version."""

    __slots__ = ("versions", "writes")

    def __init__(self, versions: Versions) -> None:
        """Collect for the controllers in `versions`."""
        self.versions = versions
        self.writes: list[Write] = []

    def version(self, controller: str, what: str) -> int:
        """Return the version of `controller`, which is needed to limit `what`.

        Raises: Unsupported
        """
        version = self.versions.get(controller)
        if version is None:
            message = f"cannot limit {what}: there is no cgroup with the {controller} controller"
            hint = "The host's kernel or its cgroup mounts lack it; see /proc/cgroups."
            raise Unsupported(message, hint=hint)
        return version

    def add(self, controller: str, file: str, value: object) -> None:
        """Write `value` to `file`."""
        self.writes.append(Write(controller, file, str(value)))

    def add_either(self, controller: str, *files: tuple[str, object]) -> None:
        """Write the first that there is of several files, each with its value."""
        write = None
        for file, value in reversed(files):
            write = Write(controller, file, str(value), write)
        assert write is not None
        self.writes.append(write)


def plan_resources(resources: Node, versions: Versions) -> list[Write]:
    """Return the writes for `linux.resources`.

    Raises: InvalidArgument, Unsupported
    """
    sink = Sink(versions)
    _cpuset(sink, resources.node("cpu"))
    _memory(sink, resources.node("memory"))
    _cpu(sink, resources.node("cpu"))
    _pids(sink, resources.node("pids"))
    _block_io(sink, resources.node("blockIO"))
    _huge_pages(sink, resources.nodes("hugepageLimits"))
    _network(sink, resources.node("network"))
    _rdma(sink, resources)
    _unified(sink, resources)
    sink.writes += device_writes(resources.nodes("devices"), versions)
    return sink.writes


def device_writes(rules: Iterable[Node], versions: Versions) -> list[Write]:
    """Return the writes for cgroup v1's device controller; v2 has a program instead."""
    if versions.get("devices") != 1:
        return []
    planned = device_rules.plan_rules(rules)
    return [
        Write("devices", "devices.allow" if rule.allow else "devices.deny", rule.line())
        for rule in planned
    ]


def _cpuset(sink: Sink, cpu: Node) -> None:
    for key in ("cpus", "mems"):
        value = cpu.text(key)
        if value:
            sink.version("cpuset", f"the {key} to use")
            sink.add("cpuset", f"cpuset.{key}", value)


def _memory(sink: Sink, memory: Node) -> None:
    limit, swap = memory.integer("limit"), memory.integer("swap")
    reservation = memory.integer("reservation")
    if limit or swap or reservation:
        if sink.version("memory", "memory") == 1:
            _memory_v1(sink, limit, swap)
        else:
            _memory_v2(sink, memory, limit, swap)
        if reservation:
            v1 = sink.versions["memory"] == 1
            name = "memory.soft_limit_in_bytes" if v1 else "memory.low"
            sink.add("memory", name, reservation if reservation > 0 or v1 else "max")
    swappiness = memory.integer("swappiness")
    if swappiness is not None:
        if not 0 <= swappiness <= 100:
            memory.refuse("swappiness", f"must be from 0 to 100, not {swappiness}")
        if sink.version("memory", "swappiness") == 1:
            sink.add("memory", "memory.swappiness", swappiness)
    tcp = memory.integer("kernelTCP")
    if tcp and sink.version("memory", "memory of TCP buffers") == 1:
        sink.add("memory", "memory.kmem.tcp.limit_in_bytes", tcp)
    if memory.boolean("disableOOMKiller") and sink.version("memory", "the OOM killer") == 1:
        sink.add("memory", "memory.oom_control", 1)


def _memory_v1(sink: Sink, limit: int | None, swap: int | None) -> None:
    """Set both limits; memory + swap can never be below memory, so unlimited memory comes last."""
    if limit == -1 and not swap:
        swap = -1
    first = [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", swap)]
    for file, value in reversed(first) if swap == -1 else first:
        if value:
            sink.add("memory", file, value)


def _memory_v2(sink: Sink, memory: Node, limit: int | None, swap: int | None) -> None:
    if swap is not None and swap > 0 and not (limit and limit > 0):
        memory.refuse("swap", "needs a memory limit, which it includes")
    if limit:
        sink.add("memory", "memory.max", limit if limit > 0 else "max")
        if limit == -1 and not swap:
            swap = -1
    if swap and swap < 0:
        sink.add("memory", "memory.swap.max", "max")
    elif swap and limit:
        if swap < limit:
            memory.refuse("swap", f"{swap} is below the memory limit {limit}, which it includes")
        sink.add("memory", "memory.swap.max", swap - limit)


def _cpu(sink: Sink, cpu: Node) -> None:
    wanted = ("shares", "quota", "period", "burst", "idle", "realtimeRuntime", "realtimePeriod")
    given = {key: cpu.integer(key) for key in wanted}
    if not any(given.values()) and given["idle"] is None:
        return
    shares, quota, period = given["shares"], given["quota"], given["period"]
    if sink.version("cpu", "processor time") == 2:
        _cpu_v2(sink, shares, quota, period)
        burst = ("cpu.max.burst", given["burst"])
    else:
        for file, value in (
            ("cpu.shares", shares),
            ("cpu.rt_period_us", given["realtimePeriod"]),
            ("cpu.rt_runtime_us", given["realtimeRuntime"]),
            ("cpu.cfs_period_us", period),
            ("cpu.cfs_quota_us", quota),
        ):
            if value:
                sink.add("cpu", file, value)
        burst = ("cpu.cfs_burst_us", given["burst"])
    if burst[1] is not None:
        sink.add("cpu", *burst)
    if given["idle"] is not None:
        sink.add("cpu", "cpu.idle", given["idle"])


def _cpu_v2(sink: Sink, shares: int | None, quota: int | None, period: int | None) -> None:
    if shares:
        sink.add("cpu", "cpu.weight", weight_of_shares(shares))
    if quota or period:
        most = str(quota) if quota and quota > 0 else "max"
        sink.add("cpu", "cpu.max", f"{most} {period or 100_000}")


def weight_of_shares(shares: int) -> int:
    """Return v2's weight for v1's shares.

    A parabola in the logarithm through the least, the default and the greatest of both scales, so
    that the default stays the default: what the reference runtimes agreed on in 2025.
    """
    if shares <= 2:
        return 1
    if shares >= 1 << 18:
        return 10_000
    import math  # noqa: PLC0415 - only for a limit of v2

    level = math.log2(shares)
    return math.ceil(10 ** ((level * level + 125 * level) / 612 - 7 / 34))


def _pids(sink: Sink, pids: Node) -> None:
    limit = pids.integer("limit")
    if limit is not None:
        sink.version("pids", "the number of processes")
        # The container is one process at least: 0 would be a limit that it never obeyed.
        sink.add("pids", "pids.max", max(limit, 1) if limit >= 0 else "max")


_THROTTLES = (
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"),
)


def _block_io(sink: Sink, block: Node) -> None:
    controller = "blkio" if "blkio" in sink.versions else "io"
    unified = sink.versions.get(controller) == 2
    weight = block.natural("weight", limit=1000)
    if weight:
        if weight < 10:
            block.refuse("weight", f"must be from 10 to 1000, not {weight}")
        sink.version(controller, "the share of block I/O")
        if unified:
            scaled = ("io.weight", f"default {io_weight(weight)}")
            sink.add_either(controller, ("io.bfq.weight", weight), scaled)
        else:
            sink.add_either(controller, ("blkio.weight", weight), ("blkio.bfq.weight", weight))
    for node in block.nodes("weightDevice"):
        if node.natural("weight"):
            sink.version(controller, "the share of block I/O")
            value, device = node.natural("weight"), _number(node)
            plain = f"{device} {value}"
            if unified:
                scaled = ("io.weight", f"{device} {io_weight(value)}")
                sink.add_either(controller, ("io.bfq.weight", plain), scaled)
            else:
                bfq = ("blkio.bfq.weight_device", plain)
                sink.add_either(controller, ("blkio.weight_device", plain), bfq)
    for key, file, name in _THROTTLES:
        for node in block.nodes(key):
            sink.version(controller, "the rate of block I/O")
            rate = node.natural("rate", limit=(1 << 64) - 1)
            if unified:
                sink.add(controller, "io.max", f"{_number(node)} {name}={rate or 'max'}")
            else:
                sink.add(controller, file, f"{_number(node)} {rate}")


def io_weight(weight: int) -> int:
    """Return v2's io.weight (1 to 10000) for v1's blkio.weight (10 to 1000)."""
    return 1 + (weight - 10) * 9999 // 990


def _number(node: Node) -> str:
    return f"{node.natural('major')}:{node.natural('minor')}"


def _huge_pages(sink: Sink, nodes: Iterable[Node]) -> None:
    for node in nodes:
        # Others read keys whatever their case, and so bundles have this one in small letters.
        size = node.text("pagesize") or node.required("pageSize")
        limit = node.natural("limit", limit=(1 << 64) - 1)
        version = sink.version("hugetlb", "huge pages")
        suffix = "limit_in_bytes" if version == 1 else "max"
        used, reserved = f"hugetlb.{size}.{suffix}", f"hugetlb.{size}.rsvd.{suffix}"
        sink.add("hugetlb", used, limit)
        sink.add_either("hugetlb", (reserved, limit), (used, limit))  # reserved: since Linux 5.7


def _network(sink: Sink, network: Node) -> None:
    class_id = network.natural("classID")
    if class_id:
        sink.version("net_cls", "the class of network packets")
        sink.add("net_cls", "net_cls.classid", class_id)
    for node in network.nodes("priorities"):
        sink.version("net_prio", "network priorities")
        line = f"{node.required('name')} {node.natural('priority')}"
        sink.add("net_prio", "net_prio.ifpriomap", line)


def _rdma(sink: Sink, resources: Node) -> None:
    devices = resources.raw("rdma") or {}
    for name in devices:
        limits = resources.node("rdma").node(name)
        words = [name]
        for key, word in (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object")):
            if key in limits:
                words.append(f"{word}={limits.natural(key)}")
        sink.version("rdma", "RDMA")
        sink.add("rdma", "rdma.max", " ".join(words))


def _unified(sink: Sink, resources: Node) -> None:
    """Pass files of v2 on as they are named.

    "runtimes … MUST generate an error when … cgroup v1 is used"; here that is a fact of each
    controller, the part of the name before the dot.
    """
    for file, value in resources.items("unified"):
        controller = file.partition(".")[0]
        if "/" in file or "." not in file:
            resources.refuse(f"unified.{file}", "is no file of a cgroup")
        if controller == "cgroup" and 2 in sink.versions.values():
            sink.add(controller, file, value)
            continue
        if sink.version(controller, file) != 2:
            why = f"invalid configuration: {controller} is a controller of cgroup v1 here"
            resources.refuse(f"unified.{file}", why)
        for line in value.splitlines():
            sink.add(controller, file, line)
