"""From options to the runtime spec: what Docker's daemon writes into config.json. Pure.

`specify` takes the merged options of a container and a `Place`: what only the host knows, found out
before. Nothing here looks at anything else, so that golden tests can hold the whole of it.
The same functions make the spec of a build step and the process of an exec.

Docker: oci/defaults and daemon/oci_linux of moby
Spec: runtime-spec config.md, config-linux.md
"""

from __future__ import annotations

from knarr.engine.container.users import Identity
from knarr.engine.options.environment import merge_env
from knarr.engine.options.security import capabilities
from knarr.engine.options.values import DEFAULT_SHM_SIZE
from knarr.oci.runtime import VERSION
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.engine.options.values import Options, Resources
    from knarr.oci.runtime import (
        Capabilities,
        Device,
        DeviceCgroup,
        Linux,
        Mount,
        Namespace,
        Process,
        Seccomp,
        Spec,
    )
    from knarr.oci.runtime import Resources as CgroupResources

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
INIT = "/sbin/docker-init"  # where images and their users know it from Docker
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# What every container may use, whatever else is denied: its own nodes, and making nodes at all.
# null, zero, full, random, urandom, tty, console, ptmx, pseudo terminals.
DEVICE_RULES = (
    ("c", None, None, "m"), ("b", None, None, "m"), ("c", 1, 3, "rwm"), ("c", 1, 5, "rwm"),
    ("c", 1, 7, "rwm"), ("c", 1, 8, "rwm"), ("c", 1, 9, "rwm"), ("c", 5, 0, "rwm"),
    ("c", 5, 1, "rwm"), ("c", 5, 2, "rwm"), ("c", 136, None, "rwm"),
)  # fmt: skip

# Parameters of the namespaces that Docker sets: binding port 80 and ping need no capability.
NETWORK_SYSCTLS = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}


class Place(Value):
    """What the host knows of a container: where it is to run, and with what.

    `mounts` are the user's and the engine's own (hosts and the like), resolved, in order.
    `devices` are nodes of the host to make. `init_path` is the host's file of the program that is
    to be process 1 before the container's own. `network` is the path of a network namespace to
    join, `host`, or empty for a new one. `bounding` is the mask of capabilities that there are to
    give.
    """

    id: str
    rootfs: str
    hostname: str = ""
    domainname: str = ""
    identity: Identity = Identity()
    mounts: Sequence[Mount] = ()
    devices: Sequence[tuple[Device, str]] = ()
    cgroups_path: str = ""
    network: str = ""
    init_path: str = ""
    architecture: str = "amd64"
    kernel: tuple[int, int] = (5, 15)
    processors: int = 0
    bounding: int = -1


def specify(options: Options, place: Place) -> Spec:
    """Return the spec of a container with the merged `options` at `place`.

    Raises: InvalidArgument
    """
    bounding = capabilities(options.security, mask=place.bounding)
    own_uts = options.namespaces.uts != "host"
    spec: Spec = {
        "ociVersion": VERSION,
        "process": process(options, place, bounding),
        "root": {"path": place.rootfs, "readonly": options.readonly},
        "mounts": _mounts(options, place),
        "linux": _linux(options, place, bounding),
    }
    if own_uts:
        spec["hostname"] = place.hostname
        if place.domainname:
            spec["domainname"] = place.domainname
    if options.annotations:
        spec["annotations"] = dict(options.annotations)
    return spec


def process(options: Options, place: Place, bounding: Sequence[str]) -> Process:
    """Return the process that a container starts with, or with other options an exec."""
    identity = place.identity
    found: Process = {
        "terminal": options.streams.tty,
        "user": {"uid": identity.uid, "gid": identity.gid, "additionalGids": [*identity.groups]},
        "args": [*([INIT, "--"] if place.init_path else ()), *options.process_arguments()],
        "env": environment(
            options.env, hostname=place.hostname, home=identity.home, tty=options.streams.tty
        ),
        "cwd": options.working_dir or "/",
        "capabilities": _capabilities(bounding, identity.uid),
        "noNewPrivileges": options.security.no_new_privileges,
    }
    if options.resources.oom_score_adj:
        found["oomScoreAdj"] = options.resources.oom_score_adj
    if options.resources.ulimits:
        found["rlimits"] = [
            {
                "type": f"RLIMIT_{limit.name.upper()}",
                "soft": _unlimited(limit.soft),
                "hard": _unlimited(limit.hard),
            }
            for limit in options.resources.ulimits
        ]
    return found


def environment(entries: Iterable[str], *, hostname: str, home: str, tty: bool) -> list[str]:
    """Return the environment of a process: what every container has, then `entries`, then HOME.

    Docker: an entry replaces a default in its place
    """
    base = [f"PATH={DEFAULT_PATH}", f"HOSTNAME={hostname}"]
    if tty:
        base.append("TERM=xterm")
    merged = merge_env(base, entries)
    if not any(entry.startswith("HOME=") for entry in merged):
        merged = (*merged, f"HOME={home}")
    return list(merged)


def _capabilities(bounding: Sequence[str], uid: int) -> Capabilities:
    """Return the sets as execve(2) leaves them: only root has more than the bounding set."""
    if uid:
        return {"bounding": list(bounding)}
    return {"bounding": list(bounding), "effective": list(bounding), "permitted": list(bounding)}


def _unlimited(limit: int) -> int:
    return (1 << 64) - 1 if limit == -1 else limit


def _mounts(options: Options, place: Place) -> list[Mount]:
    """Return the file systems of the kernel, less what the user mounts in their place, then those.

    Mounts that are nearer to the root come first: the others hang below them.
    """
    targets = {mount["destination"] for mount in place.mounts}
    defaults = [
        mount
        for mount in kernel_mounts(options)
        if mount["destination"] not in targets
        and not ("/dev" in targets and mount["destination"].startswith("/dev/"))
    ]
    own = sorted(place.mounts, key=lambda mount: mount["destination"].count("/"))
    if place.init_path:
        bound = ["bind", "rprivate", "ro"]
        own.append(
            {"destination": INIT, "type": "bind", "source": place.init_path, "options": bound}
        )
    return defaults + own


def kernel_mounts(options: Options) -> list[Mount]:
    """Return the mounts that every container has."""
    plain = ["nosuid", "noexec", "nodev"]
    system = plain if options.security.privileged else [*plain, "ro"]
    shm_size = options.shm_size or DEFAULT_SHM_SIZE
    mounts = [
        _mount("/proc", "proc", plain),
        _mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts", "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        _mount("/sys", "sysfs", system),
        _mount("/sys/fs/cgroup", "cgroup", system),
    ]  # fmt: skip
    # Of the host's queues too, where the namespace is the host's.
    mounts.append(_mount("/dev/mqueue", "mqueue", plain))
    if options.namespaces.ipc == "host":
        return [*mounts, _bind("/dev/shm")]
    if options.namespaces.ipc != "none":
        mounts.append(_mount("/dev/shm", "tmpfs", [*plain, "mode=1777", f"size={shm_size}"]))
    return mounts


def _mount(destination: str, kind: str, options: list[str]) -> Mount:
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


def _bind(path: str) -> Mount:
    return {"destination": path, "type": "bind", "source": path, "options": ["rbind", "rprivate"]}


def _linux(options: Options, place: Place, bounding: Sequence[str]) -> Linux:
    privileged = options.security.privileged
    linux: Linux = {
        "namespaces": _namespaces(options, place),
        "resources": resources(options, place),
        "sysctl": _sysctls(options, place),
    }
    if place.cgroups_path:
        linux["cgroupsPath"] = place.cgroups_path
    if place.devices:
        linux["devices"] = [device for device, _ in place.devices]
    if not privileged and not options.security.unmasked:
        linux["maskedPaths"] = list(MASKED_PATHS)
        linux["readonlyPaths"] = list(READONLY_PATHS)
    seccomp = _seccomp(options, place, bounding)
    if seccomp is not None:
        linux["seccomp"] = seccomp
    if any(_propagates(mount, "shared") for mount in place.mounts):
        linux["rootfsPropagation"] = "shared"
    elif any(_propagates(mount, "slave") for mount in place.mounts):
        linux["rootfsPropagation"] = "rslave"
    return linux


def _propagates(mount: Mount, word: str) -> bool:
    return any(option in (word, f"r{word}") for option in mount.get("options", ()))


def _namespaces(options: Options, place: Place) -> list[Namespace]:
    wanted = options.namespaces
    found: list[Namespace] = [{"type": "mount"}]
    if place.network != "host":
        found.append(
            {"type": "network", "path": place.network} if place.network else {"type": "network"}
        )
    for kind, mode in (
        ("uts", wanted.uts), ("pid", wanted.pid), ("ipc", wanted.ipc), ("cgroup", wanted.cgroup)
    ):  # fmt: skip
        if mode != "host":
            found.append({"type": kind})
    return found


def _sysctls(options: Options, place: Place) -> dict[str, str]:
    defaults = NETWORK_SYSCTLS if place.network == "" else {}
    return {**defaults, **options.sysctls}


def _seccomp(options: Options, place: Place, bounding: Sequence[str]) -> Seccomp | None:
    profile = options.security.seccomp
    if profile == "unconfined" or (options.security.privileged and not profile):
        return None
    from knarr.oci import seccomp  # noqa: PLC0415 - not for unconfined ones

    if not profile:
        return seccomp.seccomp_for(bounding, place.architecture, place.kernel)
    decoded = seccomp.decode_profile(profile.encode())
    if decoded is None:
        return None
    return seccomp.resolve(decoded, bounding, place.architecture, place.kernel)


def resources(options: Options, place: Place) -> CgroupResources:
    """Return the limits of the container's control group."""
    asked = options.resources
    found: CgroupResources = {"devices": _device_rules(options, place)}
    if asked.memory or asked.memory_reservation or asked.memory_swappiness is not None:
        found["memory"] = {}
        if asked.memory:
            found["memory"]["limit"] = asked.memory
            found["memory"]["swap"] = asked.memory_swap or 2 * asked.memory
        if asked.memory_reservation:
            found["memory"]["reservation"] = asked.memory_reservation
        if asked.memory_swappiness is not None and asked.memory_swappiness >= 0:
            found["memory"]["swappiness"] = asked.memory_swappiness
        if asked.oom_kill_disabled:
            found["memory"]["disableOOMKiller"] = True
    _add_processors(found, asked)
    if asked.pids_limit:
        found["pids"] = {"limit": asked.pids_limit if asked.pids_limit > 0 else -1}
    if asked.blkio_weight:
        found["blockIO"] = {"weight": asked.blkio_weight}
    return found


def _add_processors(found: CgroupResources, asked: Resources) -> None:
    period, quota = asked.cpu_period_us, asked.cpu_quota_us
    if asked.nano_cpus:
        period = 100_000
        quota = asked.nano_cpus * period // 10**9
    fields = {
        "shares": asked.cpu_shares,
        "period": period,
        "quota": quota,
        "cpus": asked.cpuset_cpus,
        "mems": asked.cpuset_mems,
    }
    given = {name: value for name, value in fields.items() if value}
    if given:
        found["cpu"] = given  # type: ignore[typeddict-item] # names and types are those above


def _device_rules(options: Options, place: Place) -> list[DeviceCgroup]:
    if options.security.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[DeviceCgroup] = [{"allow": False, "access": "rwm"}]
    rules += [_rule(*rule) for rule in DEVICE_RULES]
    for device, access in place.devices:
        rules.append(_rule(device["type"], device["major"], device["minor"], access))
    rules += [_parse_rule(text) for text in options.resources.device_rules]
    return rules


def _rule(kind: str, major: int | None, minor: int | None, access: str) -> DeviceCgroup:
    rule: DeviceCgroup = {"allow": True, "type": kind, "access": access}
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule


def _parse_rule(text: str) -> DeviceCgroup:
    """Return the rule of `--device-cgroup-rule "c 13:* rwm"`, whose form was checked before."""
    kind, numbers, access = text.split()
    major, _, minor = numbers.partition(":")
    return _rule(
        kind,
        None if major == "*" else int(major),
        None if minor == "*" else int(minor),
        access,
    )
