"""The runtime-spec's config.json, as types alone: importing this costs nothing.

A spec is a plain dictionary, as it is in JSON. These types say which keys it may have; they exist
for type checkers only, so import them under TYPE_CHECKING. The names are those of the
specification without the prefix "Linux". Checking a spec that someone else wrote is the runtime's
business.

Spec: runtime-spec 1.3, config.md and config-linux.md
"""

from __future__ import annotations

VERSION = "1.2.1"  # of the specs that knarr writes: what released runtimes accept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Required, TypedDict

    class IDMapping(TypedDict):
        """A range of user or group IDs."""

        containerID: int
        hostID: int
        size: int

    class Box(TypedDict):
        """The size of a terminal, in characters."""

        height: int
        width: int

    class User(TypedDict, total=False):
        """Whom a process runs as."""

        uid: Required[int]
        gid: Required[int]
        umask: int
        additionalGids: list[int]
        username: str

    class Capabilities(TypedDict, total=False):
        """The five sets, by names such as CAP_CHOWN."""

        bounding: list[str]
        effective: list[str]
        inheritable: list[str]
        permitted: list[str]
        ambient: list[str]

    class Rlimit(TypedDict):
        """A limit of setrlimit(2), by a name such as RLIMIT_NOFILE."""

        type: str
        soft: int
        hard: int

    class Scheduler(TypedDict, total=False):
        """What sched_setattr(2) sets."""

        policy: Required[str]
        nice: int
        priority: int
        flags: list[str]
        runtime: int
        deadline: int
        period: int

    # "class" is a keyword of Python, so this one is written as a call. What ioprio_set(2) sets.
    IOPriority = TypedDict("IOPriority", {"class": str, "priority": int})

    class CPUAffinity(TypedDict, total=False):
        """CPUs for an exec, before and after it enters the container's cgroup."""

        initial: str
        final: str

    class Process(TypedDict, total=False):
        """What to execute, and as whom."""

        terminal: bool
        consoleSize: Box
        user: Required[User]
        args: list[str]
        env: list[str]
        cwd: Required[str]
        capabilities: Capabilities
        rlimits: list[Rlimit]
        noNewPrivileges: bool
        apparmorProfile: str
        oomScoreAdj: int
        scheduler: Scheduler
        selinuxLabel: str
        ioPriority: IOPriority
        execCPUAffinity: CPUAffinity

    class Root(TypedDict, total=False):
        """The root filesystem."""

        path: Required[str]
        readonly: bool

    class FileSystem(TypedDict, total=False):
        """What a mount brings with it: an object of ours."""

        type: Required[str]
        source: str
        options: list[str]
        shared: str

    class Mount(TypedDict, total=False):
        """One mount of the list."""

        destination: Required[str]
        type: str
        source: str
        options: list[str]
        uidMappings: list[IDMapping]
        gidMappings: list[IDMapping]
        fileSystem: FileSystem  # our own: see `runtime.steps.carried`

    class Hook(TypedDict, total=False):
        """A program to run at a point of the container's life."""

        path: Required[str]
        args: list[str]
        env: list[str]
        timeout: int

    class Hooks(TypedDict, total=False):
        """Programs by the point at which they run."""

        prestart: list[Hook]
        createRuntime: list[Hook]
        createContainer: list[Hook]
        startContainer: list[Hook]
        poststart: list[Hook]
        poststop: list[Hook]

    class Namespace(TypedDict, total=False):
        """A namespace to make, or to join at `path`."""

        type: Required[str]
        path: str

    class Device(TypedDict, total=False):
        """A device node to make."""

        path: Required[str]
        type: Required[str]
        major: int
        minor: int
        fileMode: int
        uid: int
        gid: int

    class NetDevice(TypedDict, total=False):
        """The new name of a host's interface that moves in."""

        name: str

    class DeviceCgroup(TypedDict, total=False):
        """A rule of the devices controller."""

        allow: Required[bool]
        type: str
        major: int
        minor: int
        access: str

    class Memory(TypedDict, total=False):
        """Limits of memory, in bytes."""

        limit: int
        reservation: int
        swap: int
        kernel: int
        kernelTCP: int
        swappiness: int
        disableOOMKiller: bool
        useHierarchy: bool
        checkBeforeUpdate: bool

    class CPU(TypedDict, total=False):
        """Limits of CPU time, in microseconds, and of CPUs."""

        shares: int
        quota: int
        burst: int
        period: int
        realtimeRuntime: int
        realtimePeriod: int
        cpus: str
        mems: str
        idle: int

    class Pids(TypedDict, total=False):
        """A limit of processes."""

        limit: int

    class WeightDevice(TypedDict, total=False):
        """A weight for one block device."""

        major: Required[int]
        minor: Required[int]
        weight: int
        leafWeight: int

    class ThrottleDevice(TypedDict):
        """A rate for one block device."""

        major: int
        minor: int
        rate: int

    class BlockIO(TypedDict, total=False):
        """Weights and rates of block devices."""

        weight: int
        leafWeight: int
        weightDevice: list[WeightDevice]
        throttleReadBpsDevice: list[ThrottleDevice]
        throttleWriteBpsDevice: list[ThrottleDevice]
        throttleReadIOPSDevice: list[ThrottleDevice]
        throttleWriteIOPSDevice: list[ThrottleDevice]

    class HugepageLimit(TypedDict):
        """A limit for one size of huge pages."""

        pageSize: str
        limit: int

    class InterfacePriority(TypedDict):
        """The priority of traffic through one interface."""

        name: str
        priority: int

    class NetworkResources(TypedDict, total=False):
        """net_cls and net_prio."""

        classID: int
        priorities: list[InterfacePriority]

    class Rdma(TypedDict, total=False):
        """Limits of one RDMA device."""

        hcaHandles: int
        hcaObjects: int

    class Resources(TypedDict, total=False):
        """What the container's cgroup limits."""

        devices: list[DeviceCgroup]
        memory: Memory
        cpu: CPU
        pids: Pids
        blockIO: BlockIO
        hugepageLimits: list[HugepageLimit]
        network: NetworkResources
        rdma: dict[str, Rdma]
        unified: dict[str, str]

    class SeccompArg(TypedDict, total=False):
        """A comparison of one argument of a call."""

        index: Required[int]
        value: Required[int]
        valueTwo: int
        op: Required[str]

    class SeccompSyscall(TypedDict, total=False):
        """An action for some calls."""

        names: Required[list[str]]
        action: Required[str]
        errnoRet: int
        args: list[SeccompArg]

    class Seccomp(TypedDict, total=False):
        """A seccomp filter."""

        defaultAction: Required[str]
        defaultErrnoRet: int
        architectures: list[str]
        flags: list[str]
        listenerPath: str
        listenerMetadata: str
        syscalls: list[SeccompSyscall]

    class IntelRdt(TypedDict, total=False):
        """Cache and memory bandwidth."""

        closID: str
        schemata: list[str]
        l3CacheSchema: str
        memBwSchema: str
        enableMonitoring: bool

    class MemoryPolicy(TypedDict, total=False):
        """What set_mempolicy(2) sets."""

        mode: Required[str]
        nodes: str
        flags: list[str]

    class Personality(TypedDict, total=False):
        """What personality(2) sets."""

        domain: Required[str]
        flags: list[str]

    class TimeOffset(TypedDict, total=False):
        """The offset of a clock in a time namespace."""

        secs: int
        nanosecs: int

    class Linux(TypedDict, total=False):
        """What only Linux has."""

        uidMappings: list[IDMapping]
        gidMappings: list[IDMapping]
        sysctl: dict[str, str]
        resources: Resources
        cgroupsPath: str
        namespaces: list[Namespace]
        devices: list[Device]
        netDevices: dict[str, NetDevice]
        seccomp: Seccomp
        rootfsPropagation: str
        maskedPaths: list[str]
        readonlyPaths: list[str]
        mountLabel: str
        intelRdt: IntelRdt
        memoryPolicy: MemoryPolicy
        personality: Personality
        timeOffsets: dict[str, TimeOffset]

    class Spec(TypedDict, total=False):
        """The whole of config.json."""

        ociVersion: Required[str]
        process: Process
        root: Root
        hostname: str
        domainname: str
        mounts: list[Mount]
        hooks: Hooks
        annotations: dict[str, str]
        linux: Linux

    class State(TypedDict, total=False):
        """What the command `state` of a runtime prints, and hooks read.

        Spec: runtime-spec runtime.md, "State"
        """

        ociVersion: Required[str]
        id: Required[str]
        status: Required[str]
        pid: int
        bundle: Required[str]
        annotations: dict[str, str]
