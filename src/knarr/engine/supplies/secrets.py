"""How a container gets secrets: as files below /run/secrets, or in its environment.

    <run>/secrets/<container ID>/<number>     a copy for the time that the container runs

The run directory is a tmpfs on most machines and gone after a reboot. /run/secrets is a tmpfs of
the container's own, and the copies are bound into it, so that nothing of them is in the container's
layer, and `commit` finds nothing. Variables go into the process that is handed to the supervisor,
never into config.json, the record, or what `inspect` shows.

A secret is looked up by its name at each start: one that was replaced is the new one after a
restart by hand.

Podman: keeps what a secret was when the container was created
"""

from __future__ import annotations

import os

from knarr.engine.secrets import Secrets
from knarr.linux.tree import remove_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.options.values import IdRange, Options
    from knarr.engine.paths import Paths
    from knarr.oci.runtime import Mount

PLACE = "/run/secrets"
_PLAIN = ["nosuid", "nodev", "noexec"]


def check(engine: Engine, options: Options) -> None:
    """Raise unless all secrets that a container asks for are there.

    Raises: NotFound
    """
    secrets = Secrets(engine)
    for request in options.secrets:
        secrets.get(request.name)


def lay_out(engine: Engine, container_id: str, options: Options) -> list[Mount]:
    """Write copies of the secrets that are mounted, and return the mounts.

    Raises: NotFound
    """
    wanted = [request for request in options.secrets if request.kind == "mount"]
    directory = _directory(engine.paths, container_id)
    forget(engine.paths, container_id)
    if not wanted:
        return []
    secrets = Secrets(engine)
    # Nobody on the host gets below, whatever the modes of the copies say.
    os.makedirs(os.path.dirname(directory), 0o700, exist_ok=True)
    os.mkdir(directory, 0o711)
    mounts: list[Mount] = []
    for number, request in enumerate(wanted):
        secret = secrets.get(request.name)
        target = os.path.normpath(f"{PLACE}/{request.target or secret.name}")
        if request.target.startswith("/"):
            target = os.path.normpath(request.target)
        copy = f"{directory}/{number}"
        owner = (
            _outside(request.uid, options.namespaces.uid_map),
            _outside(request.gid, options.namespaces.gid_map),
        )
        _write(copy, secrets.read(secret), owner, request.mode)
        bound = ["bind", "rprivate", "ro", *_PLAIN]
        mounts.append({"destination": target, "type": "bind", "source": copy, "options": bound})
    if any(mount["destination"].startswith(f"{PLACE}/") for mount in mounts):
        words = [*_PLAIN, "mode=755", "size=64k"]
        own: Mount = {
            "destination": PLACE, "type": "tmpfs", "source": "tmpfs", "options": words,
        }  # fmt: skip
        mounts.insert(0, own)
    return mounts


def _outside(number: int, ranges: Iterable[IdRange]) -> int:
    """Return which ID of the host a container's ID is."""
    for one in ranges:
        if one.inside <= number < one.inside + one.size:
            return one.outside + number - one.inside
    return number


def _write(path: str, data: bytes, owner: tuple[int, int], mode: int) -> None:
    from knarr.util.files import write_all  # noqa: PLC0415 - loaded by then

    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, data)
        os.fchown(descriptor, *owner)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def variables(engine: Engine, options: Options) -> dict[str, str]:
    """Return the variables that are secrets.

    Raises: NotFound
    """
    secrets = Secrets(engine)
    found = {}
    for request in options.secrets:
        if request.kind == "env":
            secret = secrets.get(request.name)
            data = secrets.read(secret).decode("utf-8", "surrogateescape")
            found[request.target or secret.name] = data
    return found


def revealed(spec: Any, variables: Mapping[str, str]) -> Any:
    """Return the spec with the variables that are secrets; `spec` itself stays without them."""
    process = dict(spec["process"])
    kept = [one for one in process["env"] if one.partition("=")[0] not in variables]
    process["env"] = [*kept, *(f"{name}={value}" for name, value in variables.items())]
    return {**spec, "process": process}


def forget(paths: Paths, container_id: str) -> None:
    """Remove the copies for a container, if there are any."""
    directory = _directory(paths, container_id)
    if os.path.isdir(directory):
        remove_path(directory)


def _directory(paths: Paths, container_id: str) -> str:
    return f"{paths.run}/secrets/{container_id}"
