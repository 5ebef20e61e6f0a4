"""What HostConfig mounts: Binds, Mounts, Tmpfs, VolumesFrom."""

from __future__ import annotations

from knarr.engine.options.storage import make_mount, parse_tmpfs, parse_volume
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.options.values import MountRequest
    from knarr.oci.document import Fields


def parse_storage(host: Fields) -> dict[str, Any]:
    """Return the fields of the options that say what is mounted.

    Raises: InvalidArgument
    """
    driver = host.text("VolumeDriver")
    binds = tuple(dict.fromkeys(host.texts("Binds") or ()))
    volumes = [parse_volume(text) for text in binds]
    tmpfs = host.mapping("Tmpfs")
    return {
        "volumes_from": host.texts("VolumesFrom") or (),
        "volume_driver": driver,
        "storage_opt": host.mapping("StorageOpt"),
        "binds": tuple(text for text in binds if ":" in text),
        "mounts": (
            *(one.replace(driver=driver) if one.kind == "volume" else one for one in volumes),
            *(_mount(one) for one in host.children("Mounts")),
            *(parse_tmpfs(f"{path}:{options}") for path, options in tmpfs.items()),
        ),
    }


def _mount(fields: Fields) -> MountRequest:
    kind = fields.text("Type")
    found: dict[str, Any] = {"readonly": fields.boolean("ReadOnly") or kind == "image"}
    for name, read in (
        ("BindOptions", _bind), ("VolumeOptions", _volume), ("TmpfsOptions", _tmpfs),
        ("ImageOptions", _image),
    ):  # fmt: skip
        given = fields.child(name)
        if given is None:
            continue
        if name != f"{kind.title()}Options":
            message = f'invalid mount config for type "{kind}": field {name} must not be specified'
            raise InvalidArgument(message)
        found |= read(given)
    return make_mount(kind, fields.text("Source"), fields.text("Target"), found)


def _bind(fields: Fields) -> dict[str, Any]:
    return {
        "propagation": fields.text("Propagation"),
        "recursive": not fields.boolean("NonRecursive"),
        "writable_below": fields.boolean("ReadOnlyNonRecursive"),
        "creates_source": fields.boolean("CreateMountpoint"),
    }


def _volume(fields: Fields) -> dict[str, Any]:
    driver = fields.child("DriverConfig")
    return {
        "nocopy": fields.boolean("NoCopy"),
        "labels": fields.mapping("Labels"),
        "subpath": fields.text("Subpath"),
        "driver": driver.text("Name") if driver else "",
        "driver_options": driver.mapping("Options") if driver else {},
    }


def _image(fields: Fields) -> dict[str, Any]:
    return {"subpath": fields.text("Subpath")}


def _tmpfs(fields: Fields) -> dict[str, Any]:
    mode = fields.object.get("Mode")
    return {
        "tmpfs_size": fields.integer("SizeBytes"),
        "tmpfs_mode": fields.integer("Mode") if mode else None,
    }
