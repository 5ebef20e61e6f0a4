"""Texts that limit: `--ulimit`, `--restart`, `--memory-swap`, `--cpuset-cpus`, and how they agree.

Docker: the words of its command line and daemon for what does not fit.
"""

from __future__ import annotations

from knarr.engine.options.values import DeviceLimit, Ulimit
from knarr.errors import InvalidArgument
from knarr.util.text import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.options.values import Resources

MINIMUM_MEMORY = 6 << 20
ULIMIT_NAMES = frozenset((
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc",
    "rss", "rtprio", "rttime", "sigpending", "stack",
))  # fmt: skip


def parse_ulimit(text: str) -> Ulimit:
    """Return the limit of `nofile=1024:2048`, `nofile=1024` or `nofile=-1`.

    Raises: InvalidArgument
    """
    name, equals, limits = text.partition("=")
    if not equals:
        message = f"invalid ulimit argument: {text}"
        raise InvalidArgument(message)
    if name not in ULIMIT_NAMES:
        message = f"invalid ulimit type: {name}"
        raise InvalidArgument(message)
    parts = limits.split(":")
    if len(parts) > 2:
        message = (
            f"too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
        )
        raise InvalidArgument(message)
    soft, hard = parse_integer(parts[0]), parse_integer(parts[-1])
    if hard != -1 and (soft == -1 or soft > hard):
        shown = f"soft: -1 (unlimited), hard: {hard}" if soft == -1 else f"{soft} > {hard}"
        message = f"ulimit soft limit must be less than or equal to hard limit: {shown}"
        raise InvalidArgument(message)
    return Ulimit(name, soft, hard)


def parse_rate(text: str, *, option: str, sized: bool) -> DeviceLimit:
    """Return the limit of `--device-read-bps /dev/sda:1mb`, or if not `sized` of `…:1000`.

    Raises: InvalidArgument
    """
    path, rate = _device_and(text, option)
    form, units = "<device-path>:<number>", ""
    if sized:
        form, units = f"{form}[<unit>]", ". Unit is optional and can be kb, mb, or gb"
    try:
        limit = parse_size(rate) if sized else int(rate)
    except (ValueError, InvalidArgument):
        limit = -1
    if limit < 0:
        message = _bad(
            text,
            option,
            f"invalid rate for device: {text}. The correct format is {form}. "
            f"Number must be a positive integer{units}",
        )
        raise InvalidArgument(message)
    return DeviceLimit(path, limit)


def parse_weight(text: str) -> DeviceLimit:
    """Return the weight of `--blkio-weight-device /dev/sda:500`.

    Raises: InvalidArgument
    """
    option = "blkio-weight-device"
    path, weight = _device_and(text, option)
    if not weight.isdecimal() or (int(weight) and not 10 <= int(weight) <= 1000):
        raise InvalidArgument(_bad(text, option, f"invalid weight for device: {text}"))
    return DeviceLimit(path, int(weight))


def _device_and(text: str, option: str) -> tuple[str, str]:
    path, colon, rest = text.partition(":")
    if not colon or not path or ":" in rest:
        raise InvalidArgument(_bad(text, option, f"bad format: {text}"))
    if not path.startswith("/dev/"):
        raise InvalidArgument(_bad(text, option, f"bad format for device path: {text}"))
    return path, rest


def _bad(text: str, option: str, why: str) -> str:
    return f'invalid argument "{text}" for "--{option}" flag: {why}'


def check_device_rule(text: str) -> str:
    """Return a `--device-cgroup-rule` such as `c 13:* rwm`, whose form is right.

    Raises: InvalidArgument
    """
    kind, _, rest = text.partition(" ")
    numbers, _, access = rest.partition(" ")
    pair = numbers.split(":")
    if (
        kind not in ("a", "b", "c")
        or len(pair) != 2
        or not all(number == "*" or number.isdecimal() for number in pair)
        or not 1 <= len(access) <= 3
        or not set(access) <= set("rwm")
    ):
        message = _bad(text, "device-cgroup-rule", f"invalid device cgroup format '{text}'")
        raise InvalidArgument(message)
    return text


def parse_integer(text: str) -> int:
    """Return the decimal number `text`, with Go's words when it is none.

    Raises: InvalidArgument
    """
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        message = f'strconv.ParseInt: parsing "{text}": invalid syntax'
        raise InvalidArgument(message)
    return int(text)


def parse_cpu_list(text: str, what: str = "cpus") -> list[int]:
    """Return the numbers in a list such as `0-2,4`, of processors or (`mems`) memory nodes.

    Raises: InvalidArgument
    """
    numbers: set[int] = set()
    for part in text.split(","):
        low, _, high = part.partition("-")
        high = high or low
        if not (low.strip().isdecimal() and high.strip().isdecimal()) or int(low) > int(high):
            message = f"invalid value {text} for cpuset {what}"
            raise InvalidArgument(message, hint='Lists look like "0-2,4".')
        numbers.update(range(int(low), int(high) + 1))
    return sorted(numbers)


def check_resources(resources: Resources, *, processors: int) -> None:
    """Raise for limits that contradict each other, or that no machine could keep.

    Raises: InvalidArgument
    """
    _check_memory(resources)
    _check_processors(resources, processors)
    _check_realtime(resources)
    if resources.blkio_weight and not 10 <= resources.blkio_weight <= 1000:
        message = "range of blkio weight is from 10 to 1000"
        raise InvalidArgument(message)


def _check_memory(resources: Resources) -> None:
    memory, swap = resources.memory, resources.memory_swap
    message = ""
    if memory and memory < MINIMUM_MEMORY:
        message = "minimum memory limit allowed is 6MB"
    elif memory and swap > 0 and swap < memory:
        message = "minimum memoryswap limit should be larger than memory limit, see usage"
    elif not memory and swap > 0:
        message = "you should always set the memory limit when using memoryswap limit, see usage"
    elif resources.memory_reservation and resources.memory_reservation < MINIMUM_MEMORY:
        message = "minimum memory reservation allowed is 6MB"
    elif memory and resources.memory_reservation > memory:
        message = "minimum memory limit can not be less than memory reservation limit, see usage"
    elif not -1 <= (resources.memory_swappiness or 0) <= 100:
        message = (
            f"invalid value: {resources.memory_swappiness}, valid memory swappiness range is 0-100"
        )
    if message:
        raise InvalidArgument(message)


def _check_realtime(resources: Resources) -> None:
    period, runtime = resources.cpu_rt_period_us, resources.cpu_rt_runtime_us
    if runtime and period and runtime > period:
        message = "cpu real-time runtime cannot be higher than cpu real-time period"
        raise InvalidArgument(message)


def _check_processors(resources: Resources, processors: int) -> None:
    message = ""
    if resources.nano_cpus and (resources.cpu_period_us or resources.cpu_quota_us):
        other = "period" if resources.cpu_period_us else "quota"
        message = f"conflicting options: --cpus and --cpu-{other} cannot both be set"
    elif resources.nano_cpus and not 10_000_000 <= resources.nano_cpus <= processors * 10**9:
        message = (
            f"range of CPUs is from 0.01 to {processors}.00, as there are only {processors} "
            "CPUs available"
        )
    elif resources.cpu_period_us and not 1000 <= resources.cpu_period_us <= 1_000_000:
        message = (
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    elif resources.cpu_quota_us and 0 < resources.cpu_quota_us < 1000:
        message = "CPU cfs quota can not be less than 1ms (i.e. 1000)"
    elif resources.cpu_shares < 0:
        message = f"invalid CPU shares ({resources.cpu_shares}): value must be a positive integer"
    elif resources.cpuset_cpus:
        wanted = parse_cpu_list(resources.cpuset_cpus)
        if wanted[-1] >= processors:
            message = (
                f"requested CPUs are not available - requested {resources.cpuset_cpus}, "
                f"available: 0-{processors - 1}"
            )
    if message:
        raise InvalidArgument(message)
