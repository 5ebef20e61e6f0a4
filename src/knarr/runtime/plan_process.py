"""The part of a plan that is about the process: who it is and what it may.

Spec: runtime-spec config.md "Process", "POSIX process", "Linux Process", "User"
"""

from __future__ import annotations

from knarr.linux import capabilities, namespaces, process
from knarr.runtime.steps.identity import (
    Capabilities,
    DomainName,
    HostName,
    Identity,
    Loopback,
    Personality,
    Sysctl,
    sysctl_path,
)
from knarr.runtime.steps.outside import OomScore, ResourceLimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.document import Node
    from knarr.runtime.plan import Namespaces
    from knarr.runtime.steps.outside import OutsideStep
    from knarr.runtime.steps.room import Step

LAST_ID = (1 << 32) - 2  # the next one is -1, which setresuid(2) takes for "leave it as it is"

# Below /proc/sys: what belongs to which namespace. Everything else is the whole machine's.
_SYSCTL_NAMESPACES = (
    ("net/", "network"),
    ("fs/mqueue/", "ipc"),
    ("kernel/msgmax", "ipc"),
    ("kernel/msgmnb", "ipc"),
    ("kernel/msgmni", "ipc"),
    ("kernel/sem", "ipc"),
    ("kernel/shmall", "ipc"),
    ("kernel/shmmax", "ipc"),
    ("kernel/shmmni", "ipc"),
    ("kernel/shm_rmid_forced", "ipc"),
    ("kernel/domainname", "uts"),
)


class Program:
    """What is run, and where."""

    __slots__ = ("arguments", "columns", "cwd", "environment", "rows", "terminal")

    def __init__(self, node: Node) -> None:
        """Take the fields of `process` that describe the program."""
        self.arguments = node.texts("args")
        if not self.arguments:
            node.refuse("args", "is required")
        self.environment = _unique(node.texts("env"))
        self.cwd = node.required("cwd")
        if not self.cwd.startswith("/"):
            node.refuse("cwd", f'"{self.cwd}" is not an absolute path')
        self.terminal = node.boolean("terminal")
        size = node.node("consoleSize")
        self.rows = size.natural("height", limit=65535)
        self.columns = size.natural("width", limit=65535)

    def variable(self, name: str) -> str | None:
        """Return the value of an environment variable, the last if it is there twice."""
        prefix = f"{name}="
        for entry in reversed(self.environment):
            if entry.startswith(prefix):
                return entry[len(prefix) :]
        return None

    def lines(self) -> list[str]:
        """Return the program, for a plan."""
        lines = [f"env {variable}" for variable in self.environment]
        lines.append(f"cwd {self.cwd}")
        if self.terminal:
            lines.append(f"terminal {self.rows}x{self.columns}")
        return [*lines, f"run {' '.join(map(repr, self.arguments))}"]


def _unique(environment: list[str]) -> list[str]:
    """Return the variables without those that a later one of the same name replaces."""
    last = {entry.partition("=")[0]: at for at, entry in enumerate(environment)}
    return [environment[at] for at in sorted(last.values())]


def plan_limits(node: Node) -> list[OutsideStep]:
    """Return the steps for what `process` says of limits."""
    steps: list[OutsideStep] = []
    seen = set()
    for entry in node.nodes("rlimits"):
        name = entry.required("type").removeprefix("RLIMIT_")
        if name not in process.RLIMITS or not entry.text("type").startswith("RLIMIT_"):
            entry.refuse("type", f'"{entry.text("type")}" is no resource limit')
        most = process.RLIM_INFINITY
        soft, hard = (entry.natural(key, limit=most) for key in ("soft", "hard"))
        if soft > hard:
            entry.refuse("soft", f"the soft limit {soft} is above the hard limit {hard}")
        if name in seen:
            entry.refuse("type", f'"RLIMIT_{name}" is given twice')
        seen.add(name)
        steps.append(ResourceLimit(name, soft, hard))
    if "scheduler" in node or "ioPriority" in node:
        from knarr.runtime.steps import scheduling  # noqa: PLC0415 - few specs have them

        if "scheduler" in node:
            steps.append(scheduling.Scheduling(node.node("scheduler")))
        if "ioPriority" in node:
            steps.append(scheduling.IoPriority(node.node("ioPriority")))
    return steps


def plan_oom_score(node: Node) -> list[OutsideStep]:
    """Return the step for what `process` says of the OOM killer, if it says anything."""
    score = node.integer("oomScoreAdj")
    if score is not None:
        if not -1000 <= score <= 1000:
            node.refuse("oomScoreAdj", f"must be from -1000 to 1000, not {score}")
        return [OomScore(score)]
    return []


def plan_names(spec: Node, planned: Namespaces) -> list[Step]:
    """Return the steps for names, sysctls, personality, and the interface of a new namespace."""
    steps: list[Step] = []
    if planned.made & namespaces.CLONE_NEWNET:
        steps.append(Loopback())
    for key, step in (("hostname", HostName), ("domainname", DomainName)):
        name = spec.text(key)
        if name:
            if not planned.has("uts"):
                spec.refuse(key, "needs a uts namespace of the container's own")
            steps.append(step(name))
    linux = spec.node("linux")
    for name, value in linux.items("sysctl"):
        _check_sysctl(linux, name, planned)
        steps.append(Sysctl(name, value))
    return [*steps, *plan_habits(linux, spec.node("process"))]


def refuse_labels(process: Node, linux: Node) -> None:
    """Refuse labels of security modules that this kernel does not have.

    Raises: Unsupported
    """
    if "apparmorProfile" in process or "selinuxLabel" in process or "mountLabel" in linux:
        from knarr.runtime.steps import labels  # noqa: PLC0415 - few specs have any

        labels.refuse_unknown(process, linux)


def plan_habits(linux: Node, process_node: Node) -> list[Step]:
    """Return the steps for what is kept: personality and memory policy of the container, labels."""
    steps: list[Step] = []
    if "personality" in linux:
        node = linux.node("personality")
        steps.append(Personality(node.choice("domain", ("LINUX", "LINUX32"))))
        if node.texts("flags"):
            node.refuse("flags", "none is defined")
    if "memoryPolicy" in linux:
        from knarr.runtime.steps.scheduling import MemoryPolicy  # noqa: PLC0415 - few specs have it

        steps.append(MemoryPolicy(linux.node("memoryPolicy")))
    if "apparmorProfile" in process_node or "selinuxLabel" in process_node:
        from knarr.runtime.steps.labels import plan_labels  # noqa: PLC0415 - few specs have any

        steps += plan_labels(process_node)
    return steps


def _check_sysctl(linux: Node, name: str, planned: Namespaces) -> None:
    """Refuse a parameter that is not of a namespace of the container's own."""
    path = sysctl_path(name)
    if ".." in path.split("/") or path.startswith("/"):
        linux.refuse(f"sysctl.{name}", "is no parameter")
    if path == "kernel/hostname":
        linux.refuse(f"sysctl.{name}", "is set by hostname")
    for prefix, namespace in _SYSCTL_NAMESPACES:
        if path == prefix or (prefix.endswith("/") and path.startswith(prefix)):
            if not planned.has(namespace):
                why = f"needs a {namespace} namespace of the container's own"
                linux.refuse(f"sysctl.{name}", why)
            return
    linux.refuse(f"sysctl.{name}", "is not of a namespace: it would change the whole machine")


def plan_identity(node: Node) -> Identity:
    """Return the user and the capabilities that `process` asks for; the filter comes later."""
    identity = Identity()
    user = node.node("user")
    identity.uid = user.natural("uid", limit=LAST_ID)
    identity.gid = user.natural("gid", limit=LAST_ID)
    identity.groups = user.integers("additionalGids")
    if any(not 0 <= group <= LAST_ID for group in identity.groups):
        user.refuse("additionalGids", f"must be from 0 to {LAST_ID}")
    identity.umask = user.natural("umask", 0o022, limit=0o777)
    identity.no_new_privileges = node.boolean("noNewPrivileges")
    identity.capabilities = plan_capabilities(node.node("capabilities"))
    return identity


def plan_capabilities(node: Node) -> Capabilities:
    """Return the five sets.

    "Any value which cannot be mapped to a relevant kernel interface, or cannot be granted
    otherwise, MUST be logged as a warning by the runtime" (config.md, capabilities): a name nobody
    knows is left out here, `capability_warnings` names it.
    """
    sets = {}
    for name in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        known = (word for word in node.texts(name) if word in capabilities.NUMBERS)
        sets[name] = capabilities.mask(known)
    return Capabilities(sets)


def capability_warnings(node: Node) -> list[str]:
    """Return what is to be said of capabilities that cannot be granted as asked."""
    sets = ("bounding", "effective", "permitted", "inheritable", "ambient")
    words = {word for name in sets for word in node.texts(name)}
    warnings = []
    unknown = sorted(words - capabilities.NUMBERS.keys())
    if unknown:
        warnings.append(f"ignoring unknown or unavailable capabilities: {' '.join(unknown)}")
    planned = plan_capabilities(node)
    stuck = planned.ambient & ~(planned.permitted & planned.inheritable)
    for name in capabilities.names(stuck):
        why = "it is not both permitted and inheritable"
        warnings.append(f"can't raise ambient capability {name}: {why}")
    return warnings
