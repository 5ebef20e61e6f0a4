"""The part of a plan that is about files: the root, mounts, devices, masks.

Spec: runtime-spec config.md "Root", "Mounts"; config-linux.md "Devices", "Default Devices"
"""

from __future__ import annotations

import os
import stat

from knarr.linux import mount, namespaces
from knarr.linux.mount import AT_RECURSIVE, MOUNT_ATTR_RDONLY
from knarr.runtime.steps.cgroupfs import CgroupNamespace, SeparateViews, UnifiedView
from knarr.runtime.steps.covers import Mask, ReadonlyPath, ReadonlyRoot
from knarr.runtime.steps.mounts import Bind, FileSystem, MountStep, Remount
from knarr.runtime.steps.options import clean, parse_options
from knarr.runtime.steps.pivot import Pivot
from knarr.runtime.steps.rootfs import (
    KCORE,
    BindRoot,
    Device,
    Link,
    OverlayRoot,
    Propagation,
    WorkingDirectory,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.linux.cgroup import Hierarchy
    from knarr.runtime.document import Node
    from knarr.runtime.errands import Users
    from knarr.runtime.plan import Namespaces
    from knarr.runtime.steps.room import Step

    View = tuple[Hierarchy, str]

# "" is what the reference runtimes do: events of the host come in, none goes out.
PROPAGATION = {
    "": (mount.MS_SLAVE, True),
    "private": (mount.MS_PRIVATE, False),
    "rprivate": (mount.MS_PRIVATE, True),
    "slave": (mount.MS_SLAVE, False),
    "rslave": (mount.MS_SLAVE, True),
    "shared": (mount.MS_SHARED, False),
    "rshared": (mount.MS_SHARED, True),
    "unbindable": (mount.MS_UNBINDABLE, False),
    "runbindable": (mount.MS_UNBINDABLE, True),
}

# "In addition to any devices configured with this setting, the runtime MUST also supply: /dev/null,
# /dev/zero, /dev/full, /dev/random, /dev/urandom, /dev/tty" (config-linux.md, "Default Devices")
DEFAULT_DEVICES = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)
LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    (KCORE, "/dev/core"),
    ("pts/ptmx", "/dev/ptmx"),
)


def plan_mounting(
    spec: Node,
    root: OverlayRoot | BindRoot,
    *,
    bundle_dir: str,
    views: Sequence[View],
    names: Namespaces,
    users: Users | None = None,
) -> list[Step]:
    """Return the steps up to the change of the root; `root` mounts it.

    `views` are the hierarchies to show, each with the container's directory in it; `users` are the
    container's, if it has others than the host.
    """
    linux = spec.node("linux")
    new_cgroup_namespace = bool(names.made & namespaces.CLONE_NEWCGROUP)
    kind, recursive = PROPAGATION[linux.choice("rootfsPropagation", PROPAGATION)]
    if kind == mount.MS_UNBINDABLE:  # in the end: until then things are bound
        kind = mount.MS_PRIVATE
    steps: list[Step] = [root]
    if names.has("mount"):
        steps.insert(0, Propagation(kind, recursive=recursive))
    for node in spec.nodes("mounts"):
        if node.text("type") in ("cgroup", "cgroup2"):
            if new_cgroup_namespace:
                steps.append(CgroupNamespace())
            steps.append(_cgroup_view(node, views, own_namespace=new_cgroup_namespace))
            new_cgroup_namespace = False
            continue
        step = plan_mount(node, bundle_dir, users, root_dir=root.place)
        if isinstance(step, Bind):
            step.number = len(steps)
            step.by_parent = names.has("user")
        if step.target == "/dev" and step.options.set & MOUNT_ATTR_RDONLY:
            step.options.set &= ~MOUNT_ATTR_RDONLY  # later, when it is full: plan_entering
        steps.append(step)
    if new_cgroup_namespace:
        steps.append(CgroupNamespace())
    steps += _plan_devices(linux, steps, bind=names.has("user"))
    cwd = clean(spec.node("process").text("cwd"))
    if cwd != "/":
        steps.append(WorkingDirectory(cwd))
    if linux.text("mountLabel"):
        from knarr.runtime.steps.labels import label_mounts  # noqa: PLC0415 - few specs have any

        steps += label_mounts(steps, linux.text("mountLabel"))
    return steps


def _cgroup_view(node: Node, views: Sequence[View], *, own_namespace: bool) -> MountStep:
    target = clean(node.required("destination"))
    options = parse_options(node.texts("options"))
    separate = [view for view in views if view[0].version == 1]
    if separate:
        return SeparateViews(target, options, separate, own_namespace=own_namespace)
    return UnifiedView(target, options, views[0][1] if views else "/sys/fs/cgroup")


def _plan_devices(linux: Node, steps: list[Step], *, bind: bool) -> list[Step]:
    """Return the nodes and links of /dev; none where the host's /dev is shown as it is."""
    for step in steps:
        if isinstance(step, MountStep) and step.target == "/dev" and step.options.bind:
            return []
    devices = {
        path: Device(path, "c", (major, minor), 0o666, (0, 0))
        for path, major, minor in DEFAULT_DEVICES
    }
    for node in linux.nodes("devices"):
        device = _plan_device(node)
        devices[device.path] = device
    for device in devices.values():
        device.bind = bind
    return [*devices.values(), *(Link(target, path) for target, path in LINKS)]


def _plan_device(node: Node) -> Device:
    kind = node.choice("type", ("c", "b", "u", "p"))
    path = node.required("path")
    if not path.startswith("/"):
        node.refuse("path", f'"{path}" is not an absolute path')
    if kind != "p" and not ("major" in node and "minor" in node):
        node.refuse("major", "and minor are required")
    number = (node.natural("major"), node.natural("minor"))
    owner = (node.natural("uid"), node.natural("gid"))
    mode = stat.S_IMODE(node.natural("fileMode", 0o666))
    return Device(clean(path), kind, number, mode, owner)


def plan_entering(spec: Node, change: str) -> list[Step]:
    """Return the steps from the change of the root on, which is done as `Pivot` says."""
    linux = spec.node("linux")
    steps: list[Step] = [Pivot(change)]
    for node in spec.nodes("mounts"):
        options = parse_options(node.texts("options"))
        target = clean(node.text("destination"))
        if target == "/dev" and options.set & MOUNT_ATTR_RDONLY and not options.bind:
            steps.append(Remount("/dev", parse_options(["ro"])))
    kind, recursive = PROPAGATION[linux.choice("rootfsPropagation", PROPAGATION)]
    own = change != "chroot"
    if own and kind == mount.MS_SHARED:
        steps.append(Propagation(kind, recursive=recursive))
    if spec.node("root").boolean("readonly"):
        steps.append(ReadonlyRoot())
    steps += [ReadonlyPath(path) for path in _paths(linux, "readonlyPaths")]
    steps += [Mask(path) for path in _paths(linux, "maskedPaths")]
    if own and kind == mount.MS_UNBINDABLE:  # last: paths are made read-only by binding them
        steps.append(Propagation(kind, recursive=recursive))
    return steps


def _paths(linux: Node, key: str) -> list[str]:
    """Return paths inside the container, which "MUST be absolute"."""
    paths = linux.texts(key)
    for path in paths:
        if not path.startswith("/"):
            linux.refuse(key, f'"{path}" is not an absolute path')
    return list(dict.fromkeys(paths))


def plan_root(
    spec: Node,
    root_path: str,
    overlay: Sequence[tuple[str, str]],
    bundle_dir: str,
    users: Users | None = None,
) -> OverlayRoot | BindRoot:
    """Return the step that mounts the root; the owners in an overlay are mapped by `users`."""
    if overlay:
        return OverlayRoot(overlay, root_path, users)
    return BindRoot(root_path or os.path.join(bundle_dir, spec.node("root").required("path")))


def plan_mount(
    node: Node, bundle_dir: str, users: Users | None = None, *, root_dir: str = ""
) -> MountStep:
    """Return the step for one mount.

    `users` are those of the container, if it has its own; `root_dir` is the root's own directory on
    the host.

    Raises: InvalidArgument
    """
    target = clean(node.required("destination"))
    if _is_below(target, root_dir):  # so runc reads it, and callers rely on that
        target = target[len(root_dir) :] or "/"
    options = parse_options(node.texts("options"))
    fstype = node.text("type")
    source = node.text("source")
    if options.remount:
        return Remount(target, options)
    if options.bind or fstype in ("bind", "rbind"):
        if not source:
            node.refuse("source", "is required for a bind mount")
        if fstype == "rbind":
            options.bind = AT_RECURSIVE
        mapped = options.idmap or "uidMappings" in node or "gidMappings" in node
        users = _mapping(node, users) if mapped else None
        if "fileSystem" in node:
            from knarr.runtime.steps.carried import Carried  # noqa: PLC0415 - for few containers

            return Carried(node.node("fileSystem"), target, options, users)
        return Bind(os.path.join(bundle_dir, source), target, options, users)
    if options.idmap or "uidMappings" in node or "gidMappings" in node:
        node.refuse("options", "only bind mounts can map owners")
    if options.idmap:
        node.refuse("options", f"{options.idmap} is for bind mounts alone")
    if not fstype:
        node.refuse("type", "is required where neither bind nor rbind is an option")
    return FileSystem(fstype, source, target, options)


def _mapping(node: Node, users: Users | None) -> Users:
    """Return the mapping of a mount: its own, or that of the container.

    Spec: runtime-spec config.md, "Mounts": "If the field is not present, the uidMappings of the
    container's user namespace" are those of an idmapped mount
    """
    own = [parse_mappings(node, key) for key in ("uidMappings", "gidMappings")]
    if all(own):
        from knarr.runtime.errands import Users as Mapping  # noqa: PLC0415 - few mounts are mapped

        return Mapping(own[0], own[1])
    if any(own):
        node.refuse("uidMappings", "and gidMappings go together")
    if users is None:
        node.refuse("options", "idmap needs mappings of the mount or of the container")
    return users


def parse_mappings(node: Node, key: str) -> list[tuple[int, int, int]]:
    """Return the ranges of IDs at `key`."""
    return [
        (entry.natural("containerID"), entry.natural("hostID"), entry.natural("size"))
        for entry in node.nodes(key)
    ]


def _is_below(directory: str, root_dir: str) -> bool:
    """Tell whether a directory is `root_dir` or below it."""
    return bool(root_dir) and f"{directory}/".startswith(f"{root_dir.rstrip('/')}/")
