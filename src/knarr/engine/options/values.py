"""The options of a container as values, in groups that are used together.

The same `Options` are met twice: as the user gave them, and `merged` with the image's config, which
is what a container keeps: it means the same when its image has lost its tag. None says "not
given" wherever that differs from empty.
"""

from __future__ import annotations

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.oci.config import Healthcheck

DEFAULT_SHM_SIZE = 64 << 20
DEFAULT_STOP_SIGNAL = "SIGTERM"
DEFAULT_STOP_TIMEOUT = 10
UNACCOUNTED = -2  # `memory_swap` where the kernel counts no swap


class Ulimit(Value):
    """A resource limit of setrlimit(2) by its name in lower case; -1 is unlimited."""

    name: str
    soft: int
    hard: int


class Device(Value):
    """A device of the host (`source`), or a directory of them, shown at `target`."""

    source: str
    target: str
    permissions: str = "rwm"


class GpuRequest(Value):
    """One `--gpus`: devices by name, or so many of them; -1 for all.

    `capabilities` and `driver_options` are what Docker hands to a driver; here they are kept.
    """

    count: int = 0
    names: tuple[str, ...] = ()
    driver: str = ""
    capabilities: tuple[str, ...] = ("gpu",)
    driver_options: Mapping[str, str] = {}


class DeviceLimit(Value):
    """A limit for a block device of the host: bytes or operations a second, or a weight."""

    path: str
    limit: int


class IdRange(Value):
    """A range of user or group IDs in a container, and where it begins on the host."""

    inside: int
    outside: int
    size: int


class MountRequest(Value):
    """Something mounted into the container, as asked for.

    `kind` is bind, devpts, image, ramfs, tmpfs or volume. A bind's `source` is a path of the host,
    that of others a name: a volume without one gets one that is `anonymous`, and the layers of an
    image are known by their `chain` once the container exists. `image_volume` marks volumes that
    the image declares. `creates_source` is true for `-v`, which makes a missing directory, false
    for `--mount`. A bind that is `mapped` shows other owners than the disk has, as `idmap` says or
    by the container's users. One that is `inherited` came from another container. Changes to an
    `overlay` stay out of its source, in the directories of the user or in the container's own. With
    `chown` everything in the source is given to the container's user.
    """

    kind: str
    target: str
    source: str = ""
    readonly: bool = False
    propagation: str = ""
    creates_source: bool = False
    recursive: bool = True
    writable_below: bool = False
    nocopy: bool = False
    subpath: str = ""
    driver: str = ""
    driver_options: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    tmpfs_size: int = 0
    tmpfs_mode: int | None = None
    tmpfs_options: str = ""
    image_volume: bool = False
    anonymous: bool = False
    mapped: bool = False
    idmap: str = ""
    overlay: bool = False
    upper_dir: str = ""
    work_dir: str = ""
    chown: bool = False
    chain: str = ""
    inherited: bool = False
    mode_text: str = ""


class PortRequest(Value):
    """One `-p`: a port of the container at a port of the host; `host_port` 0 is any free one.

    `host_port_end` is the end of a range from which one free port is taken, or `host_port`.
    """

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int = 0
    host_port_end: int = 0


class SecretRequest(Value):
    """One `--secret`: a secret as a file (`mount`), or as a variable (`env`) named `target`.

    A `target` that is no absolute path is below /run/secrets; empty, it is the secret's name.
    """

    name: str
    kind: str = "mount"
    target: str = ""
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


class RestartPolicy(Value):
    """When the supervisor starts the program again, and after how many seconds."""

    name: str = "no"
    maximum_retries: int = 0
    minimum_delay: float = 0.1
    maximum_delay: float = 60.0
    reset_after: float = 10.0
    factor: float = 2.0


class LogSettings(Value):
    """Where output is kept, and how."""

    driver: str = "json-file"
    options: Mapping[str, str] = {}


class Resources(Value):
    """Limits for the control group. 0, None or empty: not limited. `pids_limit` -1: unlimited."""

    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    memory_swappiness: int | None = None
    oom_kill_disabled: bool = False
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpu_period_us: int = 0
    cpu_quota_us: int = 0
    cpu_rt_period_us: int = 0
    cpu_rt_runtime_us: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int = 0
    blkio_weight: int = 0
    blkio_weights: tuple[DeviceLimit, ...] = ()
    read_bps: tuple[DeviceLimit, ...] = ()
    write_bps: tuple[DeviceLimit, ...] = ()
    read_iops: tuple[DeviceLimit, ...] = ()
    write_iops: tuple[DeviceLimit, ...] = ()
    cgroup_parent: str = ""
    oom_score_adj: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    devices: tuple[Device, ...] = ()
    cdi_devices: tuple[str, ...] = ()
    gpus: tuple[GpuRequest, ...] = ()
    device_rules: tuple[str, ...] = ()


class Security(Value):
    """What the program may do. `seccomp` is a profile's JSON text, `unconfined`, or empty.

    `masked` are paths to hide beside the usual ones, `shown` patterns of those not to hide.
    """

    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    no_new_privileges: bool = False
    seccomp: str = ""
    unmasked: bool = False
    masked: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    writable_cgroups: bool = False
    texts: tuple[str, ...] = ()


class Namespaces(Value):
    """Namespaces of the kernel, each by its mode.

    Empty or `private` is one of the container's own, `host` the host's, `container:…` that of
    another one, by its ID once the container exists. `ipc` may also be `none` or `shareable`.
    Of users, empty is the host's; `auto` gets a range of its own when the container is created,
    which the maps then say.
    """

    pid: str = ""
    ipc: str = ""
    uts: str = ""
    cgroup: str = ""
    user: str = ""
    uid_map: tuple[IdRange, ...] = ()
    gid_map: tuple[IdRange, ...] = ()

    @property
    def remapped(self) -> bool:
        """Tell whether the container's users are others than the host's."""
        return bool(self.uid_map) or self.user.startswith("container:")


class NetworkJoin(Value):
    """A network to join, and what was asked of the container's place in it.

    Of all the container's networks, the one with the highest `priority` is its way out.
    """

    network: str
    address: str = ""
    address6: str = ""
    mac_address: str = ""
    aliases: tuple[str, ...] = ()
    priority: int = 0
    link_local: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    driver_options: tuple[str, ...] = ()


class Networking(Value):
    """`mode` is none, host, the name of a network, or `container:` and another one's ID.

    `joins` are the networks: that of `mode` first where anything was asked about it, then others.
    `egress` is the allowlist of what may be connected to, None for everything.
    """

    mode: str = "bridge"
    joins: tuple[NetworkJoin, ...] = ()
    ports: tuple[PortRequest, ...] = ()
    publish_all: bool = False
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    egress: tuple[str, ...] | None = None

    @property
    def places(self) -> tuple[NetworkJoin, ...]:
        """Return the networks to join, which are none for the modes that are not a network."""
        if self.joins or self.shared or self.mode == "none":
            return self.joins
        return (NetworkJoin(self.mode),)

    @property
    def on_host(self) -> bool:
        """Tell whether it is the host's."""
        return self.mode == "host"

    @property
    def shared(self) -> bool:
        """Tell whether it is the host's or another container's."""
        return self.on_host or ":" in self.mode

    @property
    def has_ports(self) -> bool:
        """Tell whether ports are its own: without any network, or on the host's, none are."""
        return self.mode not in ("none", "host")

    @property
    def asks_addresses(self) -> bool:
        """Tell whether a place was asked for by its address."""
        return any(one.address or one.address6 for one in self.joins)


class Streams(Value):
    """Standard streams: which are attached at first, and whether stdin stays open.

    `window` is the size of a terminal that nobody has resized yet: rows and columns.
    """

    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    window: tuple[int, int] = (0, 0)


class Options(Value):
    """Everything asked for at create. `command` is what follows the image's name.

    `rootfs` is a directory of the host in the place of an image.
    `env` entries are KEY=value; without `=` the key is taken out of the image's environment.
    `entrypoint` of one empty word takes the image's entrypoint away. `host_env` counts where
    neither `env` nor the image has a word. `timeout` is in seconds, `umask` in octal digits.
    `isolation` has no meaning here, and is shown again.
    """

    image: str = ""
    rootfs: str = ""
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    hostname: str = ""
    domainname: str = ""
    user: str = ""
    group_add: tuple[str, ...] = ()
    working_dir: str = ""
    env: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    exposed: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    stop_timeout: int | None = None
    healthcheck: Healthcheck | None = None
    health_on_failure: str = ""
    shell: tuple[str, ...] = ()
    timeout: int = 0
    umask: str = ""
    host_env: tuple[str, ...] = ()
    readonly: bool = False
    init: bool = False
    auto_remove: bool = False
    runtime: str = ""
    platform: str = ""
    cidfile: str = ""
    isolation: str = ""
    shm_size: int = 0
    sysctls: Mapping[str, str] = {}
    mounts: tuple[MountRequest, ...] = ()
    binds: tuple[str, ...] = ()
    volumes_from: tuple[str, ...] = ()
    volume_driver: str = ""
    storage_opt: Mapping[str, str] = {}
    secrets: tuple[SecretRequest, ...] = ()
    restart: RestartPolicy = RestartPolicy()
    log: LogSettings = LogSettings()
    streams: Streams = Streams()
    resources: Resources = Resources()
    security: Security = Security()
    namespaces: Namespaces = Namespaces()
    networking: Networking = Networking()

    @property
    def joins(self) -> bool:
        """Tell whether it is to be in namespaces of other containers, or to have users of its own.

        That takes `engine.container.neighbours`, which few containers need.
        """
        spaces = self.namespaces
        modes = (self.networking.mode, spaces.pid, spaces.ipc, spaces.uts, spaces.cgroup)
        return spaces.user not in ("", "host") or any(m.startswith("container:") for m in modes)

    def process_arguments(self) -> tuple[str, ...]:
        """Return the whole argument vector of the program, after `merged`."""
        return (*(self.entrypoint or ()), *(self.command or ()))
