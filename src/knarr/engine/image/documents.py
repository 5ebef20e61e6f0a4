"""What `inspect` says of an image, in the form that Docker gives it."""

from __future__ import annotations

from knarr.oci.config import encode_run_config
from knarr.util.times import ZERO, render_rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.images import Image
    from knarr.oci.config import ImageConfig, RunConfig
    from knarr.oci.digest import Digest


def document(engine: Engine, image: Image) -> dict[str, Any]:
    """Return everything about an image.

    Raises: NotFound, Corrupt
    """
    row = image.row
    config = engine.images.config(row.id)
    stack = engine.images.stack(row.id)
    tagged = [tag.updated_ns for tag in engine.images.tags.of(row.id)]
    return {
        "Id": str(row.id),
        "RepoTags": [reference.familiar() for reference in image.tags],
        "RepoDigests": [reference.familiar() for reference in image.digests],
        "Parent": str(row.parent or ""),
        **describe_config(config),
        "Size": row.size,
        "GraphDriver": {"Data": _directories(engine, stack), "Name": "overlay2"},
        "RootFS": root_fs(config),
        "Metadata": {"LastTagTime": render_rfc3339(max(tagged)) if tagged else ZERO},
    }


def describe_config(config: ImageConfig) -> dict[str, Any]:
    """Return what an image's config says of it."""
    found = {
        "Comment": config.history[-1].comment if config.history else "",
        "Created": config.created or ZERO,
        "DockerVersion": str(config.extra.get("docker_version", "")),
        "Author": config.author,
        "Config": run_config(config.config),
        "Architecture": config.platform.architecture,
        "Variant": config.platform.variant,
        "Os": config.platform.os,
        "OsVersion": config.platform.os_version,
    }
    for key in ("Variant", "OsVersion"):
        if not found[key]:
            del found[key]
    return found


def root_fs(config: ImageConfig) -> dict[str, Any]:
    """Return the object "RootFS"."""
    return {"Type": "layers", "Layers": [str(diff_id) for diff_id in config.diff_ids]}


def run_config(config: RunConfig) -> dict[str, Any]:
    """Return the object "Config": as in the image, and every field that Docker always shows."""
    return {
        "Hostname": "",
        "Domainname": "",
        "User": "",
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": [],
        "Cmd": None,
        "Image": "",
        "Volumes": None,
        "WorkingDir": "",
        "Entrypoint": None,
        "OnBuild": None,
        "Labels": None,
        **encode_run_config(config),
    }


def _directories(engine: Engine, stack: tuple[Digest, ...]) -> dict[str, str]:
    """Return where the image's files lie, as Docker's overlay2 driver tells it."""
    if not stack:
        return {}
    *below, top = [engine.layers.path(chain_id) for chain_id in stack]
    found = {"LowerDir": ":".join(reversed(below))} if below else {}
    return {**found, "UpperDir": top}
