"""The options that `create` and `run` share, as data; `knarr.cli.creating` makes them values."""

from __future__ import annotations

from knarr.cli.command import Option
from knarr.cli.lifeflags import HEALTH, PODMAN

PROCESS = (
    Option("attach", "Attach to STDIN, STDOUT or STDERR", kind="list", short="a"),
    Option("entrypoint", "Overwrite the default ENTRYPOINT of the image", kind="string"),
    Option("env", "Set environment variables", kind="list", short="e"),
    Option("env-file", "Read in a file of environment variables", kind="list", completes="files"),
    Option("group-add", "Add additional groups to join", kind="list"),
    Option("init", "Run an init inside the container that forwards signals and reaps processes"),
    Option("interactive", "Keep STDIN open even if not attached", short="i"),
    Option("stop-signal", "Signal to stop the container", kind="string"),
    Option("stop-timeout", "Timeout (in seconds) to stop a container", kind="int"),
    Option("tty", "Allocate a pseudo-TTY", short="t"),
    Option("user", "Username or UID (format: <name|uid>[:<group|gid>])", kind="string", short="u"),
    Option("workdir", "Working directory inside the container", kind="string", short="w"),
)

RECORD = (
    Option("annotation", "Add an annotation to the container's runtime spec", kind="list"),
    Option("cidfile", "Write the container ID to the file", kind="string", completes="files"),
    Option("label", "Set meta data on a container", kind="list", short="l"),
    Option("label-file", "Read in a line delimited file of labels", kind="list", completes="files"),
    Option("log-driver", "Logging driver for the container", kind="string",
           completes="fluentd gelf journald json-file local none syslog"),
    Option("log-opt", "Log driver options", kind="list"),
    Option("name", "Assign a name to the container", kind="string"),
    Option("platform", "Set platform if the image is for several", kind="string"),
    Option("pull", 'Pull image before creating ("always", "missing", "never")', kind="string",
           default="missing", shown='"missing"', completes="always missing never"),
    Option("quiet", "Suppress the pull output", short="q"),
    Option("restart", "Restart policy to apply when a container exits", kind="string",
           default="no", shown='"no"', completes="no always on-failure unless-stopped"),
    Option("runtime", "Runtime to use for this container (knarr, crun, runc, or a path)",
           kind="string", completes="knarr crun runc"),
    Option("rm", "Automatically remove the container and its associated anonymous volumes when "
                 "it exits"),
)  # fmt: skip

STORAGE = (
    Option("device", "Add a host device to the container", kind="list", completes="files"),
    Option("gpus", "GPU devices to add to the container ('all' to pass all GPUs)", kind="list",
           metavar="gpu-request"),
    Option("mount", "Attach a filesystem mount to the container", kind="list", metavar="mount"),
    Option("read-only", "Mount the container's root filesystem as read only"),
    Option("shm-size", "Size of /dev/shm", kind="bytes"),
    Option("tmpfs", "Mount a tmpfs directory", kind="list"),
    Option("storage-opt", "Storage driver options for the container", kind="list"),
    Option("use-api-socket", "Bind mount the socket of `knarr serve`"),
    Option("volume", "Bind mount a volume", kind="list", short="v", completes="volumes"),
    Option("volume-driver", "Optional volume driver for the container", kind="string"),
    Option("volumes-from", "Mount volumes from the specified container(s)", kind="list",
           completes="containers"),
)  # fmt: skip

NETWORK = (
    Option("add-host", "Add a custom host-to-IP mapping (host:ip)", kind="list"),
    Option("dns", "Set custom DNS servers", kind="list"),
    Option("dns-option", "Set DNS options", kind="list", aliases=("dns-opt",)),
    Option("dns-search", "Set custom DNS search domains", kind="list"),
    Option("domainname", "Container NIS domain name", kind="string"),
    Option("egress", "Let it connect to these hosts alone, as in example.com:443,10.0.0.0/8, or "
           "to none", kind="list", metavar="list"),
    Option("expose", "Expose a port or a range of ports", kind="list"),
    Option("hostname", "Container host name", kind="string", short="h"),
    Option("ip", "IPv4 address (e.g., 172.30.100.104)", kind="string"),
    Option("ip6", "IPv6 address (e.g., 2001:db8::33)", kind="string"),
    Option("link", "Add link to another container", kind="list", completes="containers"),
    Option("link-local-ip", "Container IPv4/IPv6 link-local addresses", kind="list"),
    Option("mac-address", "Container MAC address (e.g., 92:d0:c6:0a:29:33)", kind="string"),
    Option("network", "Connect a container to a network", kind="list", metavar="network",
           aliases=("net",), completes="networks"),
    Option("network-alias", "Add network-scoped alias for the container", kind="list",
           aliases=("net-alias",)),
    Option("publish", "Publish a container's port(s) to the host", kind="list", short="p"),
    Option("publish-all", "Publish all exposed ports to random ports", short="P"),
)  # fmt: skip

LIMITS = (
    Option("blkio-weight", "Block IO (relative weight), between 10 and 1000, or 0 to disable "
                           "(default 0)", kind="uint16"),
    Option("blkio-weight-device", "Block IO weight (relative device weight)", kind="list"),
    Option("cgroup-parent", "Optional parent cgroup for the container", kind="string"),
    Option("cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period", kind="int"),
    Option("cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota", kind="int"),
    Option("cpu-rt-period", "Limit CPU real-time period in microseconds", kind="int"),
    Option("cpu-rt-runtime", "Limit CPU real-time runtime in microseconds", kind="int"),
    Option("cpu-shares", "CPU shares (relative weight)", kind="int", short="c"),
    Option("cpus", "Number of CPUs", kind="decimal"),
    Option("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)", kind="string"),
    Option("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)", kind="string"),
    Option("device-cgroup-rule", "Add a rule to the cgroup allowed devices list", kind="list"),
    Option("device-read-bps", "Limit read rate (bytes per second) from a device", kind="list"),
    Option("device-read-iops", "Limit read rate (IO per second) from a device", kind="list"),
    Option("device-write-bps", "Limit write rate (bytes per second) to a device", kind="list"),
    Option("device-write-iops", "Limit write rate (IO per second) to a device", kind="list"),
    Option("memory", "Memory limit", kind="bytes", short="m"),
    Option("memory-reservation", "Memory soft limit", kind="bytes"),
    Option("memory-swap", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
           kind="string", metavar="bytes"),
    Option("memory-swappiness", "Tune container memory swappiness (0 to 100)", kind="int",
           default=-1, shown="-1"),
    Option("oom-kill-disable", "Disable OOM Killer"),
    Option("oom-score-adj", "Tune host's OOM preferences (-1000 to 1000)", kind="int"),
    Option("pids-limit", "Tune container pids limit (set -1 for unlimited)", kind="int"),
    Option("sysctl", "Sysctl options", kind="list", metavar="map"),
    Option("ulimit", "Ulimit options", kind="list", metavar="ulimit"),
)  # fmt: skip

SECURITY = (
    Option("cap-add", "Add Linux capabilities", kind="list"),
    Option("cap-drop", "Drop Linux capabilities", kind="list"),
    Option("cgroupns", "Cgroup namespace to use (host|private)", kind="string",
           completes="host private"),
    Option("gidmap", "Map group IDs (CONTAINER:HOST:SIZE) in a user namespace", kind="list"),
    Option("ipc", "IPC mode to use", kind="string", completes="host none private shareable"),
    Option("pid", "PID namespace to use", kind="string", completes="host"),
    Option("privileged", "Give extended privileges to this container"),
    Option("security-opt", "Security Options", kind="list"),
    Option("uidmap", "Map user IDs (CONTAINER:HOST:SIZE) in a user namespace", kind="list"),
    Option("userns", "User namespace to use (auto[:size=N]|keep-id[:uid=N,gid=N]|host)",
           kind="string", completes="auto host keep-id"),
    Option("uts", "UTS namespace to use", kind="string", completes="host"),
)  # fmt: skip

# Taken for the sake of scripts, and without any effect on Linux: `knarr.cli.creating.ignored`.
IGNORED = (
    Option("cpu-count", "CPU count (Windows only)", kind="int", hidden=True),
    Option("cpu-percent", "CPU percent (Windows only)", kind="int", hidden=True),
    Option("disable-content-trust", "Skip image verification", default=True, hidden=True),
    Option("io-maxbandwidth", "Maximum IO bandwidth limit for the system drive (Windows only)",
           kind="bytes", hidden=True),
    Option("io-maxiops", "Maximum IOps limit for the system drive (Windows only)", kind="uint",
           hidden=True),
    Option("isolation", "Container isolation technology", kind="string", hidden=True),
    Option("kernel-memory", "Kernel memory limit", kind="bytes", hidden=True),
)  # fmt: skip

CREATE_OPTIONS = tuple(
    sorted(
        (*PROCESS, *RECORD, *STORAGE, *NETWORK, *LIMITS, *SECURITY, *IGNORED, *HEALTH, *PODMAN),
        key=lambda option: option.name,
    )
)
