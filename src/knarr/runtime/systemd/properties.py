"""What systemd is told of a container: properties of its unit, from planned limits and annotations.

Pure. The limits come from `resources.plan_resources`, so that what is converted from v1 and what
`linux.resources.unified` names take the same way. systemd rounds a share of processor time up to
hundredths; so it is told the next one, and the file gets the exact value afterwards.

Man: systemd.resource-control(5), org.freedesktop.systemd1(5)
"""

from __future__ import annotations

from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from knarr.runtime.resources import Write

    Property = tuple[str, tuple[str, Any]]

INFINITY = (1 << 64) - 1
PREFIX = "org.systemd.property."
_AMOUNTS = {
    "memory.max": "MemoryMax",
    "memory.low": "MemoryLow",
    "memory.min": "MemoryMin",
    "memory.high": "MemoryHigh",
    "memory.swap.max": "MemorySwapMax",
    "cpu.weight": "CPUWeight",
    "pids.max": "TasksMax",
}
_SETS = {"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}


def of_scope(slice_name: str, container_id: str) -> list[Property]:
    """Return what each container's unit has."""
    accounted = ("CPUAccounting", "MemoryAccounting", "IOAccounting", "TasksAccounting")
    slices = [("Slice", ("s", slice_name))] if slice_name.endswith(".slice") else []
    return [
        ("Description", ("s", f"container {container_id}")),
        *slices,
        ("Delegate", ("b", True)),
        ("DefaultDependencies", ("b", False)),
        ("CollectMode", ("s", "inactive-or-failed")),
        *((name, ("b", True)) for name in accounted),
    ]


def of_limits(writes: Iterable[Write]) -> list[Property]:
    """Return the properties for those of the planned limits that systemd knows."""
    found: list[Property] = []
    for write in writes:
        if write.file in _AMOUNTS:
            amount = INFINITY if write.value == "max" else int(write.value)
            found.append((_AMOUNTS[write.file], ("t", amount)))
        elif write.file in _SETS:
            found.append((_SETS[write.file], ("ay", bits(write.value))))
        elif write.file == "cpu.max":
            found += _share(write.value)
    return found


def _share(value: str) -> list[Property]:
    quota, _, period = value.partition(" ")
    length = int(period or 100_000)
    second = INFINITY
    if quota != "max":
        exact = -(-int(quota) * 1_000_000 // length)
        second = -(-exact // 10_000) * 10_000
    return [("CPUQuotaPerSecUSec", ("t", second)), ("CPUQuotaPeriodUSec", ("t", length))]


def bits(text: str) -> bytes:
    """Return a set such as `0-2,7` as bits, the lowest first.

    Raises: InvalidArgument
    """
    number = 0
    try:
        for part in text.split(","):
            first, _, last = part.strip().partition("-")
            for each in range(int(first), int(last or first) + 1):
                number |= 1 << each
    except ValueError:
        message = f'"{text}" is no list of processors or memory nodes'
        raise InvalidArgument(message) from None
    return number.to_bytes((number.bit_length() + 7) // 8, "little")


def of_annotations(annotations: Mapping[str, str]) -> list[Property]:
    """Return the properties that `org.systemd.property.NAME` annotations ask for.

    Raises: InvalidArgument
    """
    found = []
    for key, text in annotations.items():
        if key.startswith(PREFIX):
            found.append(_annotated(key, key[len(PREFIX) :], text))
    return found


def _annotated(key: str, name: str, text: str) -> Property:
    """Return one property; spans named …Sec are those named …USec, in seconds."""
    if len(name) < 3 or not name.isascii() or not name.isalpha():
        message = f"annotation {key}: {name} is no name of a property"
        raise InvalidArgument(message)
    try:
        kind, value = variant(text)
        if name.endswith("Sec") and not name.endswith("USec"):
            if kind not in _INTEGERS.values() and kind != "d":
                raise ValueError
            return f"{name[:-3]}USec", ("t", int(value * 1_000_000))
    except ValueError:
        message = f"annotation {key}={text}: is no value that can be told to systemd"
        raise InvalidArgument(message) from None
    if kind == "d":
        message = f"annotation {key}={text}: only spans in seconds can have a fraction"
        raise InvalidArgument(message)
    return name, (kind, value)


_INTEGERS = {"byte": "y", "int16": "n", "uint16": "q", "int32": "i", "uint32": "u"}
_INTEGERS |= {"int64": "x", "uint64": "t"}
_RANGES = {"y": (0, 8), "n": (1, 15), "q": (0, 16), "i": (1, 31), "u": (0, 32)}
_RANGES |= {"x": (1, 63), "t": (0, 64)}


def variant(text: str) -> tuple[str, Any]:
    """Return the type and the value of what GLib calls the text of a variant.

    Booleans, numbers with or without a type before them, texts in quotes, lists of texts.

    Raises: ValueError
    """
    text = text.strip()
    word, _, rest = text.partition(" ")
    if text in ("true", "false"):
        return "b", text == "true"
    if word in _INTEGERS:
        return _integer(_INTEGERS[word], rest)
    if text[:1] == "[" and text[-1:] == "]":
        inner = text[1:-1].strip()
        return "as", [_quoted(part.strip()) for part in inner.split(",")] if inner else []
    if text[:1] in ("'", '"'):
        return "s", _quoted(text)
    if "." in text:
        return "d", float(text)
    return _integer("i", text)


def _integer(kind: str, text: str) -> tuple[str, int]:
    value = int(text, 0)
    signed, width = _RANGES[kind]
    if not -(signed << width) <= value < 1 << width:
        raise ValueError
    return kind, value


def _quoted(text: str) -> str:
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"" or text[0] in text[1:-1]:
        raise ValueError
    return text[1:-1]
