"""From config.json to a plan: what will be done, in which order, before anything is.

`make_plan` is pure: it reads a spec and the facts given with it, and either returns a `Plan` or
raises InvalidArgument with the place in the spec that cannot be right. Nothing exists yet when it
raises. A plan prints as one line for each deed, in the order in which they will be done; that is
what `--debug` shows and what the golden tests compare.

    namespaces   which are made and which joined
    mounting     steps in init before the root changes
    entering     steps in init from the change of the root on
    settling     steps that want privileges but no files: keyring, names, sysctls
    limits       of the process; `scores` for the OOM killer; `writes` for the cgroups
    identity     user, groups, capabilities, filter
    program      what is run

Spec: runtime-spec config.md, config-linux.md
"""

from __future__ import annotations

import os

from knarr.errors import Unsupported
from knarr.linux import namespaces
from knarr.runtime import device_rules, plan_process, plan_rootfs
from knarr.runtime.document import Node
from knarr.runtime.resources import plan_resources
from knarr.runtime.steps.identity import SessionKeyring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from knarr.linux.cgroup import Hierarchy
    from knarr.runtime.device_rules import Rule
    from knarr.runtime.errands import Users
    from knarr.runtime.hooks import Hook
    from knarr.runtime.plan_process import Program
    from knarr.runtime.resources import Write
    from knarr.runtime.steps.identity import Identity
    from knarr.runtime.steps.outside import OutsideStep
    from knarr.runtime.steps.room import Step


class Namespaces:
    """Which namespaces are made, and which are entered through a file."""

    __slots__ = ("gid_map", "joined", "made", "time_offsets", "uid_map")

    def __init__(self) -> None:
        """Start with those of the caller."""
        self.made = 0
        self.joined: list[tuple[str, str]] = []
        self.uid_map: list[tuple[int, int, int]] = []
        self.gid_map: list[tuple[int, int, int]] = []
        self.time_offsets: list[tuple[str, int, int]] = []

    def has(self, name: str) -> bool:
        """Tell whether the container has a namespace `name` other than the caller's."""
        return bool(self.made & namespaces.FLAGS[name]) or any(n == name for n, _ in self.joined)

    def lines(self) -> list[str]:
        """Return what is made and joined, for a plan."""
        lines = [f"namespace {n}: new" for n, flag in namespaces.FLAGS.items() if self.made & flag]
        lines += [f"namespace {name}: {path}" for name, path in self.joined]
        for kind, entries in (("uid", self.uid_map), ("gid", self.gid_map)):
            lines += [f"map {kind} {inside} to {outside}, {n}" for inside, outside, n in entries]
        lines += [f"time offset {c} {seconds}.{nano:09d}" for c, seconds, nano in self.time_offsets]
        return lines


class Plan:
    """All that will be done for one container."""

    __slots__ = (
        "device_rules",
        "entering",
        "hooks",
        "identity",
        "limits",
        "mounting",
        "namespaces",
        "net_devices",
        "program",
        "root_path",
        "scores",
        "settling",
        "warnings",
        "writes",
    )

    def __init__(self, names: Namespaces, identity: Identity, program: Program) -> None:
        """Begin with nothing to do."""
        self.namespaces = names
        self.root_path = ""
        self.mounting: list[Step] = []
        self.entering: list[Step] = []
        self.settling: list[Step] = []
        self.scores: list[OutsideStep] = []
        self.net_devices: Sequence[OutsideStep] = ()
        self.limits: list[OutsideStep] = []
        self.writes: list[Write] = []
        self.device_rules: list[Rule] = []
        self.hooks: dict[str, list[Hook]] = {}
        self.warnings: list[str] = []
        self.identity = identity
        self.program = program

    def controllers(self) -> set[str]:
        """Return the cgroup controllers without which the container cannot be."""
        return {write.controller for write in self.writes}

    def lines(self) -> list[str]:
        """Return the deeds, one a line, in their order."""
        steps = (
            *self.writes,
            *self.mounting,
            *self.net_devices,
            *self.scores,
            *self.entering,
            *self.settling,
            *self.limits,
        )
        hooks = (hook for moment in self.hooks.values() for hook in moment)
        return [
            *self.namespaces.lines(),
            *map(str, steps),
            *self.identity.lines(),
            *map(str, hooks),
            *self.program.lines(),
        ]

    def __str__(self) -> str:
        """Show the deeds, one a line."""
        return "\n".join(self.lines())


class Surroundings:
    """What a plan must know that is not in the spec."""

    __slots__ = (
        "bundle_dir",
        "keyring",
        "no_pivot",
        "overlay",
        "root_path",
        "versions",
        "views",
    )

    def __init__(
        self,
        bundle_dir: str,
        *,
        root_path: str = "",
        overlay: Sequence[tuple[str, str]] = (),
        views: Sequence[tuple[Hierarchy, str]] = (),
        versions: Mapping[str, int] | None = None,
        no_pivot: bool = False,
        keyring: str = "",
    ) -> None:
        """Describe where the bundle is and what the caller adds to it.

        With `overlay` options the root is that overlay, hung on the directory `root_path`; without
        them it is the spec's `root.path`. `views` are the cgroup hierarchies with the container's
        directory in each, `versions` that of each controller; `keyring` is the name of its session
        keyring, none when empty.
        """
        self.bundle_dir = bundle_dir
        self.root_path = root_path
        self.overlay = overlay
        self.views = views
        self.versions = versions or {}
        self.no_pivot = no_pivot
        self.keyring = keyring


def make_plan(spec: Mapping[str, Any], around: Surroundings) -> Plan:
    """Return the plan for `spec`.

    Raises: InvalidArgument, Unsupported
    """
    node = Node(spec)
    linux = node.node("linux")
    process = node.node("process")
    names = plan_namespaces(linux)
    if around.overlay and not names.has("mount"):
        linux.refuse("namespaces", "a mount namespace is required: the host's is not to be changed")
    if "intelRdt" in linux:
        message = "linux.intelRdt: is not supported"
        raise Unsupported(message, hint="No processor's cache can be divided by knarr.")
    program = plan_process.Program(process)
    plan = Plan(names, plan_process.plan_identity(process), program)
    users = plan_users(names) if names.uid_map else None
    root = plan_rootfs.plan_root(node, around.root_path, around.overlay, around.bundle_dir, users)
    plan.root_path = root.place
    plan.mounting = plan_rootfs.plan_mounting(
        node,
        root,
        bundle_dir=around.bundle_dir,
        views=around.views,
        names=names,
        users=users or (plan_users(names) if names.has("user") else None),
    )
    change = "move" if around.no_pivot else "pivot"
    plan.entering = plan_rootfs.plan_entering(node, change if names.has("mount") else "chroot")
    if around.keyring:
        plan.settling.append(SessionKeyring(around.keyring))
    plan.settling += plan_process.plan_names(node, names)
    if linux.node("netDevices").fields:
        from knarr.runtime.steps.netdev import plan_devices  # noqa: PLC0415 - few specs have any

        if not names.has("network"):
            linux.refuse("netDevices", "needs a network namespace of the container's own")
        plan.net_devices = plan_devices(linux)
    plan.scores = plan_process.plan_oom_score(process)
    plan.limits = plan_process.plan_limits(process)
    plan.warnings = plan_process.capability_warnings(process.node("capabilities"))
    plan.writes = plan_resources(linux.node("resources"), around.versions)
    plan.device_rules = device_rules.plan_rules(linux.node("resources").nodes("devices"))
    if "hooks" in node:
        from knarr.runtime.hooks import plan_hooks  # noqa: PLC0415 - few specs have any

        plan.hooks = plan_hooks(node.node("hooks"))
    return plan


def plan_users(names: Namespaces) -> Users:
    """Return the mapping of the container's users, which may be one that it joins."""
    from knarr.runtime.errands import Users  # noqa: PLC0415 - for few containers

    joined = next((path for name, path in names.joined if name == "user"), "")
    return Users(names.uid_map, names.gid_map, "" if names.uid_map else joined)


def plan_namespaces(linux: Node) -> Namespaces:
    """Return what `linux.namespaces` and the mappings say.

    Raises: InvalidArgument
    """
    planned = Namespaces()
    seen = set()
    for node in linux.nodes("namespaces"):
        name = node.choice("type", namespaces.FLAGS)
        if name in seen:
            node.refuse("type", f'"{name}" is given twice')
        seen.add(name)
        path = node.text("path")
        if not path:
            planned.made |= namespaces.FLAGS[name]
        elif not path.startswith("/"):
            node.refuse("path", f'"{path}" is not an absolute path')
        else:
            planned.joined.append((name, os.path.normpath(path)))
    planned.uid_map = plan_rootfs.parse_mappings(linux, "uidMappings")
    planned.gid_map = plan_rootfs.parse_mappings(linux, "gidMappings")
    _check_mappings(linux, planned)
    planned.time_offsets = _plan_offsets(linux.node("timeOffsets"))
    if planned.time_offsets and not planned.made & namespaces.CLONE_NEWTIME:
        linux.refuse("timeOffsets", "needs a new time namespace")
    return planned


def _check_mappings(linux: Node, planned: Namespaces) -> None:
    new_user = planned.made & namespaces.CLONE_NEWUSER
    if new_user and not (planned.uid_map and planned.gid_map):
        linux.refuse("uidMappings", "and gidMappings are required for a new user namespace")
    if (planned.uid_map or planned.gid_map) and not planned.has("user"):
        linux.refuse("uidMappings", "needs a user namespace")


def _plan_offsets(node: Node) -> list[tuple[str, int, int]]:
    offsets = []
    for clock in ("monotonic", "boottime"):
        if clock in node:
            offset = node.node(clock)
            nanoseconds = offset.natural("nanosecs", limit=999_999_999)
            offsets.append((clock, offset.integer("secs") or 0, nanoseconds))
    return offsets
