"""Documents as the records that templates of `inspect --format` are written for.

Docker runs a template on its record of an object, and JSON leaves out, or calls null, what is empty
in it. A template may ask for it all the same: `{{range .Mounts}}{{.Name}}{{end}}` where a mount is
no volume, `{{if .State.Health}}`, `{{.Config.StopSignal}}`. And some fields go by another name
there. Everything else, `{{json .Config}}` too, is as in the document.
"""

from __future__ import annotations

from knarr.util.gotemplate.expressions import NoValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    Document = dict[str, Any]


class _NoList(list["Any"]):
    """A list that is not there: it prints as an empty one, and is null in JSON."""

    def document(self) -> None:
        """Return what it is in JSON."""


class _NoMap(dict[str, "Any"]):
    """A map that is not there: it prints as an empty one, and is null in JSON."""

    def document(self) -> None:
        """Return what it is in JSON."""


class Record(dict[str, "Any"]):
    """An object of the document. `absent` says what templates see of fields without a value."""

    absent: Mapping[str, object] = {}


NIL = NoValue("<nil>")
_LIST, _MAP = _NoList(), _NoMap()


def _fields(lists: str, maps: str = "", pointers: str = "", texts: str = "") -> Document:
    kinds = ((lists, _LIST), (maps, _MAP), (pointers, NIL), (texts, ""))
    return {name: value for names, value in kinds for name in names.split()}


_CONTAINER = _fields("ExecIDs", pointers="ImageManifestDescriptor SizeRootFs SizeRw")
_IMAGE = _fields("RepoDigests RepoTags", texts="Variant")
_VOLUME = _fields("", maps="Labels Options Status", pointers="UsageData")
_PARTS: dict[str, Document] = {
    "State": _fields("", pointers="Health"),
    "Config": _fields(
        "Cmd Entrypoint Env OnBuild Shell",
        maps="ExposedPorts Labels Volumes",
        pointers="Healthcheck StopTimeout",
        texts="MacAddress StopSignal",
    )
    | {"ArgsEscaped": False, "NetworkDisabled": False},
    "HostConfig": _fields(
        "Binds BlkioDeviceReadBps BlkioDeviceReadIOps BlkioDeviceWriteBps BlkioDeviceWriteIOps "
        "BlkioWeightDevice CapAdd CapDrop DeviceCgroupRules DeviceRequests Devices Dns DnsOptions "
        "DnsSearch ExtraHosts GroupAdd Links MaskedPaths Mounts ReadonlyPaths SecurityOpt Ulimits "
        "VolumesFrom",
        maps="Annotations PortBindings StorageOpt Sysctls Tmpfs",
        pointers="Init MemorySwappiness OomKillDisable PidsLimit",
    ),
    "NetworkSettings": _fields("SecondaryIPAddresses SecondaryIPv6Addresses", maps="Ports"),
}
_MOUNT = _fields("", texts="Driver Name Source")
_NETWORK = _fields("Aliases DNSNames Links", maps="DriverOpts", pointers="IPAMConfig")

# Fields whose names in Docker's records are not those in the documents.
_OTHER_NAMES = {
    "CPUCount": "CpuCount",
    "CPUPercent": "CpuPercent",
    "CPUPeriod": "CpuPeriod",
    "CPUQuota": "CpuQuota",
    "CPURealtimePeriod": "CpuRealtimePeriod",
    "CPURealtimeRuntime": "CpuRealtimeRuntime",
    "CPUShares": "CpuShares",
    "DNS": "Dns",
    "DNSOptions": "DnsOptions",
    "DNSSearch": "DnsSearch",
    "ID": "Id",
    "NanoCPUs": "NanoCpus",
}


def as_record(document: Document) -> Document:
    """Return the document of an object so that templates find what Docker's records have."""
    parts: Document = {
        name: _record(document[name], absent)
        for name, absent in _PARTS.items()
        if isinstance(document.get(name), dict)
    }
    if "HostConfig" not in document:
        return _record(document | parts, _IMAGE if "RootFS" in document else _VOLUME)
    settings = parts["NetworkSettings"]
    parts["Mounts"] = [_record(one, _MOUNT) for one in _each(document["Mounts"])]
    settings["Networks"] = {
        name: _record(one, _NETWORK) for name, one in (settings["Networks"] or {}).items()
    }
    return _record(document | parts, _CONTAINER)


def _each(documents: Iterable[Document] | None) -> Iterable[Document]:
    return documents or ()


def _record(document: Document, absent: Document) -> Record:
    record = Record(document)
    renamed = {ours: document[name] for ours, name in _OTHER_NAMES.items() if name in document}
    record.absent = absent | renamed
    return record
