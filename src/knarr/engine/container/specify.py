"""From options to the runtime spec: what Docker's daemon writes into config.json. Pure.

`specify` takes the merged options of a container and a `Place`: what only the host knows, found out
before. Nothing here looks at anything else, so that golden tests can hold the whole of it.
The same functions make the spec of a build step and the process of an exec.

Docker: oci/defaults and daemon/oci_linux of moby
Spec: runtime-spec config.md, config-linux.md
"""

from __future__ import annotations

import os

from knarr.engine.container.users import Identity
from knarr.engine.options.environment import merge_env
from knarr.engine.options.security import capabilities
from knarr.engine.options.values import DEFAULT_SHM_SIZE
from knarr.engine.resources.limits import resources
from knarr.oci.runtime import VERSION
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from knarr.engine.options.values import IdRange, Options
    from knarr.oci.runtime import (
        Capabilities,
        Device,
        IDMapping,
        Linux,
        Mount,
        Namespace,
        Process,
        Seccomp,
        Spec,
    )

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys",
    "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
APPARMOR = "/sys/module/apparmor"
INIT = "/sbin/docker-init"  # where images and their users know it from Docker
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# Parameters of the namespaces that Docker sets: binding port 80 and ping need no capability.
PING_GROUPS = "net.ipv4.ping_group_range"
NETWORK_SYSCTLS = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    PING_GROUPS: "0 2147483647",
}


class Place(Value):
    """What the host knows of a container: where it is to run, and with what.

    `mounts` are the user's and the engine's own (hosts and the like), resolved, in order.
    `devices` are nodes of the host to make. `init_path` is the host's file of the program that is
    to be process 1 before the container's own. `network` is `host` or empty for a namespace of its
    own; `joined` are the paths of those that others have made, by their kind in the spec, and `shm`
    the directory that a joined ipc namespace goes with. `bounding` is the mask of capabilities that
    there are to give, `block_devices` the numbers of those that limits name, `heat` further paths
    to mask like the usual ones.
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
    joined: Mapping[str, str] = {}
    shm: str = ""
    block_devices: Mapping[str, tuple[int, int]] = {}
    heat: Sequence[str] = ()


def specify(options: Options, place: Place) -> Spec:
    """Return the spec of a container with the merged `options` at `place`.

    Raises: InvalidArgument
    """
    bounding = capabilities(options.security, mask=place.bounding)
    own_uts = options.namespaces.uts != "host" and "uts" not in place.joined
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
    if options.security.texts or os.path.exists(APPARMOR):
        from knarr.engine.container import apparmor  # noqa: PLC0415 - not without AppArmor

        if profile := apparmor.profile(options.security):
            found["apparmorProfile"] = profile
    if options.umask:
        found["user"]["umask"] = int(options.umask, 8)
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
        for mount in kernel_mounts(options, place.shm)
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


def kernel_mounts(options: Options, shm: str = "") -> list[Mount]:
    """Return the mounts that every container has; `shm` is what others share as /dev/shm."""
    plain = ["nosuid", "noexec", "nodev"]
    system = plain if options.security.privileged else [*plain, "ro"]
    cgroups = plain if options.security.writable_cgroups else system
    shm_size = options.shm_size or DEFAULT_SHM_SIZE
    mounts = [
        _mount("/proc", "proc", plain),
        _mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts", "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        _mount("/sys", "sysfs", system),
        _mount("/sys/fs/cgroup", "cgroup", cgroups),
    ]  # fmt: skip
    # Of the host's queues too, where the namespace is the host's.
    mounts.append(_mount("/dev/mqueue", "mqueue", plain))
    if options.namespaces.ipc == "host":
        return [*mounts, _bind("/dev/shm", "/dev/shm")]
    if shm:
        return [*mounts, _bind("/dev/shm", shm)]
    if options.namespaces.ipc != "none":
        own = _mount("/dev/shm", "tmpfs", [*plain, "mode=1777", f"size={shm_size}"])
        mounts.append({**own, "source": "shm"})
    return mounts


def _mount(destination: str, kind: str, options: list[str]) -> Mount:
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


def _bind(path: str, source: str) -> Mount:
    return {"destination": path, "type": "bind", "source": source, "options": ["rbind", "rprivate"]}


def _linux(options: Options, place: Place, bounding: Sequence[str]) -> Linux:
    linux: Linux = {
        "namespaces": _namespaces(options, place),
        "resources": resources(options, place.devices, place.block_devices),
        "sysctl": _sysctls(options, place),
    }
    if options.namespaces.uid_map:
        linux["uidMappings"] = _mappings(options.namespaces.uid_map)
        linux["gidMappings"] = _mappings(options.namespaces.gid_map)
    if place.cgroups_path:
        linux["cgroupsPath"] = place.cgroups_path
    if place.devices:
        linux["devices"] = [device for device, _ in place.devices]
    masked, readonly = hidden_paths(options, place.heat)
    if masked:
        linux["maskedPaths"] = masked
    if readonly:
        linux["readonlyPaths"] = readonly
    seccomp = _seccomp(options, place, bounding)
    if seccomp is not None:
        linux["seccomp"] = seccomp
    if any(_propagates(mount, "shared") for mount in place.mounts):
        linux["rootfsPropagation"] = "shared"
    elif any(_propagates(mount, "slave") for mount in place.mounts):
        linux["rootfsPropagation"] = "rslave"
    return linux


def hidden_paths(options: Options, more: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Return what a container cannot look into, `more` of it too, and what it cannot write to."""
    security = options.security
    if security.privileged or security.unmasked:
        return list(security.masked), []
    if not security.shown:
        return [*MASKED_PATHS, *more, *security.masked], list(READONLY_PATHS)
    from fnmatch import fnmatchcase  # noqa: PLC0415 - for few containers

    def hidden(path: str) -> bool:
        return not any(fnmatchcase(path, pattern.rstrip("/")) for pattern in security.shown)

    masked = [*filter(hidden, (*MASKED_PATHS, *more)), *security.masked]
    return masked, list(filter(hidden, READONLY_PATHS))


def _propagates(mount: Mount, word: str) -> bool:
    return any(option in (word, f"r{word}") for option in mount.get("options", ()))


def _mappings(ranges: Iterable[IdRange]) -> list[IDMapping]:
    return [{"containerID": one.inside, "hostID": one.outside, "size": one.size} for one in ranges]


def _namespaces(options: Options, place: Place) -> list[Namespace]:
    wanted = options.namespaces
    modes = {
        "mount": "",
        "network": place.network,
        "uts": wanted.uts,
        "pid": wanted.pid,
        "ipc": wanted.ipc,
        "cgroup": wanted.cgroup,
        "user": "" if wanted.remapped else "host",
    }
    return [
        {"type": kind, "path": place.joined[kind]} if kind in place.joined else {"type": kind}
        for kind, mode in modes.items()
        if mode != "host"
    ]


def _sysctls(options: Options, place: Place) -> dict[str, str]:
    own = place.network != "host" and "network" not in place.joined
    defaults = dict(NETWORK_SYSCTLS) if own else {}
    if options.namespaces.remapped:
        defaults.pop(PING_GROUPS, None)  # the kernel takes groups that are mapped alone
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
