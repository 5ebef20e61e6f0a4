"""Devices that a vendor describes in files, by the Container Device Interface: `nvidia.com/gpu=0`.

    devices = Registry().find(["nvidia.com/gpu=all"])
    apply(spec, devices)

A file names one kind of device (`vendor/class`) and says for each device, and for all of them,
what a container needs to use it: nodes, mounts, variables, hooks, groups. Files are JSON or YAML.
Those of a later directory go before those of an earlier one; two devices of one name in one
directory are in conflict, and neither can be used.

Spec: CDI SPEC.md 0.3 to 1.1
"""

from __future__ import annotations

import os

from knarr.engine.container.devices import find_node
from knarr.engine.options.devices import is_qualified_device
from knarr.errors import Conflict, InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from knarr.engine.options.values import Resources
    from knarr.oci.runtime import Spec

DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
GPU_VENDORS = ("nvidia.com", "amd.com", "intel.com")
_UNKNOWN_EDITS = ("intelRdt", "netDevices")
_HOOKS = (
    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
)  # fmt: skip

Edits = dict[str, "Any"]


class Registry:
    """All devices that the files in some directories describe."""

    def __init__(self, directories: Sequence[str] = DIRECTORIES) -> None:
        self.faults: list[str] = []  # files that cannot be read, and why
        self._devices: dict[str, tuple[int, Edits, str]] = {}
        self._common: dict[str, Edits] = {}
        self._conflicts: set[str] = set()
        for rank, directory in enumerate(directories):
            try:
                names = sorted(os.listdir(directory))
            except OSError:
                continue
            for name in names:
                if name.endswith((".json", ".yaml", ".yml")):
                    self._add(f"{directory}/{name}", rank)

    def _add(self, path: str, rank: int) -> None:
        try:
            document = _read(path)
            kind, devices = document["kind"], document["devices"]
            named = {f"{kind}={device['name']}": device["containerEdits"] for device in devices}
        except (OSError, ValueError, TypeError, KeyError) as error:
            self.faults.append(f"{path}: {_reason(error)}")
            return
        self._common[path] = document.get("containerEdits") or {}
        for name, edits in named.items():
            known = self._devices.get(name)
            if known is not None and known[0] == rank:
                self._conflicts.add(name)
            else:
                self._conflicts.discard(name)
                self._devices[name] = (rank, edits or {}, path)

    def has(self, kind: str) -> bool:
        """Tell whether there is any device of `vendor/class`."""
        return any(name.startswith(f"{kind}=") for name in self._devices)

    def find(self, names: Iterable[str]) -> list[Edits]:
        """Return what the devices need: of each file first what all of its devices do.

        Raises: InvalidArgument
        """
        wanted = list(dict.fromkeys(names))
        unknown = [n for n in wanted if n not in self._devices or n in self._conflicts]
        if unknown:
            message = f"CDI device injection failed: unresolvable CDI devices {', '.join(unknown)}"
            hint = "; ".join(self.faults)
            if not hint:
                hint = f"They are described by files in {' and '.join(DIRECTORIES)}."
            raise InvalidArgument(message, hint=hint)
        found: list[Edits] = []
        seen = set()
        for name in wanted:
            _, edits, path = self._devices[name]
            found += [edits] if path in seen else [self._common[path], edits]
            seen.add(path)
        return found


def _read(path: str) -> dict[str, Any]:
    """Return the document in a file.

    Raises: OSError, ValueError
    """
    from knarr.util.files import read_file  # noqa: PLC0415 - for few containers

    content = read_file(path)
    document: Any
    if path.endswith(".json"):
        from knarr.util.jsontext import loads  # noqa: PLC0415 - loaded by then

        document = loads(content)
    else:
        import yaml  # noqa: PLC0415 - dear, and for CDI alone

        try:
            document = yaml.safe_load(content)
        except yaml.YAMLError as error:
            raise ValueError(str(error).partition("\n")[0]) from None
    if not isinstance(document, dict):
        message = "it is no mapping"
        raise ValueError(message)
    return document


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)


def gpu_devices(registry: Registry, driver: str, count: int, names: Sequence[str]) -> list[str]:
    """Return the devices that one `--gpus` asks for: `names`, or `count` of them, -1 for all.

    Raises: Conflict
    """
    if driver == "cdi":
        return list(names)
    vendors = {"": GPU_VENDORS, "nvidia": ("nvidia.com",), "amd": ("amd.com",)}.get(driver, ())
    for vendor in vendors:
        kind = f"{vendor}/gpu"
        if registry.has(kind):
            chosen = names or (["all"] if count < 0 else [str(index) for index in range(count)])
            return [name if is_qualified_device(name) else f"{kind}={name}" for name in chosen]
    message = f'could not select device driver "{driver}" with capabilities: [[gpu]]'
    hint = "No GPU is described in /etc/cdi or /var/run/cdi; nvidia-ctk cdi generate does that."
    raise Conflict(message, hint=hint)


def supply(spec: Spec, asked: Resources) -> None:
    """Put the devices of `--device` and `--gpus` into the spec of a container.

    Raises: InvalidArgument, Conflict, Unsupported
    """
    registry = Registry()
    names = list(asked.cdi_devices)
    for gpu in asked.gpus:
        names += gpu_devices(registry, gpu.driver, gpu.count, gpu.names)
    apply(spec, registry.find(names))


def apply(spec: Spec, found: Iterable[Edits]) -> None:
    """Put what devices need into the spec of a container.

    Raises: InvalidArgument, Unsupported
    """
    for edits in found:
        unknown = [name for name in _UNKNOWN_EDITS if edits.get(name)]
        if unknown:
            message = f"cannot use a CDI device: {unknown[0]} is not supported"
            raise Unsupported(message)
        try:
            _apply(spec, edits)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            message = f"cannot use a CDI device: its description is wrong: {_reason(error)}"
            raise InvalidArgument(message) from error


def _apply(spec: Spec, edits: Edits) -> None:
    process: Any = spec["process"]
    linux: Any = spec["linux"]
    for entry in edits.get("env") or ():
        name = entry.partition("=")[0]
        kept = [other for other in process["env"] if other.partition("=")[0] != name]
        process["env"] = [*kept, entry]
    for node in edits.get("deviceNodes") or ():
        _add_node(linux, process["user"], node)
    for mount in edits.get("mounts") or ():
        added: Any = {
            "destination": mount["containerPath"],
            "source": mount["hostPath"],
            "type": mount.get("type") or "bind",
            "options": list(mount.get("options") or ("rbind", "rprivate")),
        }
        spec["mounts"].append(added)
    for hook in edits.get("hooks") or ():
        if hook["hookName"] not in _HOOKS:
            message = f"there is no hook {hook['hookName']}"
            raise ValueError(message)
        planned = {name: hook[name] for name in ("path", "args", "env", "timeout") if name in hook}
        hooks: Any = spec.setdefault("hooks", {})
        hooks.setdefault(hook["hookName"], []).append(planned)
    groups = process["user"].setdefault("additionalGids", [])
    groups += [int(g) for g in edits.get("additionalGids") or () if g and g not in groups]


def _add_node(linux: Any, user: Any, node: Any) -> None:
    """Add a device node, completed with what the host's own says, and the right to use it."""
    device: Any = {"path": node["path"], "type": node.get("type") or ""}
    if not device["type"] or (device["type"] != "p" and "major" not in node):
        found = find_node(node.get("hostPath") or node["path"])
        device |= {name: found[name] for name in ("type", "major", "minor")}
    for name in ("major", "minor", "fileMode", "uid", "gid"):
        if node.get(name) is not None:
            device[name] = int(node[name])
    for name in ("uid", "gid"):
        if user.get(name):
            device.setdefault(name, user[name])
    devices = [other for other in linux.get("devices", ()) if other["path"] != device["path"]]
    linux["devices"] = [*devices, device]
    if device["type"] in ("b", "c"):
        rules = linux.setdefault("resources", {}).setdefault("devices", [])
        rules.append(
            {
                "allow": True,
                "type": device["type"],
                "major": device["major"],
                "minor": device["minor"],
                "access": node.get("permissions") or "rwm",
            }
        )
