"""Where the control groups of containers are, and those that belong to nobody any more.

Who makes them is a setting, `runtime.cgroup_manager`:

    cgroupfs    we do: directories /<realm>/<ID> in each hierarchy
    systemd     systemd does: scopes <realm>-<ID>.scope in system.slice, on cgroup v2 alone

What runs keeps what it was made with, whatever the setting says later: its spec tells which. Roots
other than the default one have a realm of their own, so that none takes the groups of another for
its leftovers. Groups below a parent that was asked for are the business of who asked.

Docker: the daemon's `native.cgroupdriver`, `--cgroup-parent`
"""

from __future__ import annotations

import os

from knarr.engine import settings
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.engine.engine import Engine
    from knarr.engine.options.values import Options
    from knarr.engine.paths import Paths
    from knarr.runtime.cgroups import Cgroup

DEFAULT_SLICE = "system.slice"


def by_systemd(engine: Engine) -> bool:
    """Tell whether systemd makes the control groups of new containers.

    Raises: InvalidArgument
    """
    return engine.settings.get(settings.CGROUP_MANAGER) == "systemd"


def path_of(engine: Engine, options: Options, container_id: str) -> str:
    """Return the cgroupsPath of a container that is to be made.

    Raises: InvalidArgument
    """
    if not by_systemd(engine):
        return f"{parent_of(engine.paths, options)}/{container_id}"
    slice_name = options.resources.cgroup_parent or DEFAULT_SLICE
    if not slice_name.endswith(".slice") or "/" in slice_name:
        message = 'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"'
        hint = f'{settings.CGROUP_MANAGER.name} = "systemd" stands in {engine.settings.in_use}.'
        raise InvalidArgument(message, hint=hint)
    return f"{slice_name}:{engine.paths.realm}:{container_id}"


def parent_of(paths: Paths, options: Options) -> str:
    """Return the directory in which a container's is made, as a path from a hierarchy's root."""
    if options.resources.cgroup_parent:
        return f"/{options.resources.cgroup_parent.strip('/')}"
    return f"/{paths.realm}"


def find(paths: Paths, container_id: str) -> Cgroup:
    """Return the control group that a container was made with.

    Raises: Unsupported (systemd has no cgroup v2 here any more)
    """
    from knarr.runtime import cgroups  # noqa: PLC0415 - loads what runs containers
    from knarr.util.jsontext import loads  # noqa: PLC0415

    with open(f"{paths.container(container_id)}/config.json", "rb", buffering=0) as file:
        spec = loads(file.read())
    return cgroups.find(spec["linux"].get("cgroupsPath", ""), container_id)


def strays(engine: Engine, at_work: Callable[[Engine], set[str]]) -> list[str]:
    """Return the control groups of this root, as a spec names them, of who is not `at_work`.

    That is asked for when the groups have been listed: a container that comes later has none there.
    """
    from knarr.runtime import cgroups  # noqa: PLC0415 - loads what runs containers

    realm = engine.paths.realm
    places = cgroups.locate(f"/{realm}", "").places
    names = {name for place in places for name in _children(place.directory)}
    alone = len(places) == 1 and places[0].version == 2
    scopes = _children(f"{places[0].root}/{DEFAULT_SLICE}") if alone else set()
    kept = at_work(engine)
    found = [f"/{realm}/{name}" for name in names - kept]
    prefix, suffix = f"{realm}-", ".scope"
    for name in scopes:
        container_id = name.removeprefix(prefix).removesuffix(suffix)
        ours = name == f"{prefix}{container_id}{suffix}" and "-" not in container_id
        if ours and container_id not in kept:  # a dash: another realm's, which begins as ours
            found.append(f"{DEFAULT_SLICE}:{realm}:{container_id}")
    return sorted(found)


def _children(directory: str) -> set[str]:
    """Return the names of the control groups in another."""
    try:
        with os.scandir(directory) as entries:
            return {entry.name for entry in entries if entry.is_dir()}
    except FileNotFoundError:
        return set()


def remove(path: str) -> None:
    """Kill what is left in a control group, and remove it.

    Raises: Conflict
    """
    from knarr.runtime import cgroups, lifecycle  # noqa: PLC0415 - loads what runs containers

    lifecycle.take_down(cgroups.find(path, os.path.basename(path)))
