"""knarr ps."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.output import FORMAT, NO_TRUNC, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.cli.command import Context, Options
    from knarr.cli.output import Row
    from knarr.engine.containers import Container

COMMAND = Command(
    short="List containers",
    options=(
        Option("all", "Show all containers (default shows just running)", short="a"),
        Option(
            "filter", "Filter output based on conditions provided", kind="filter", short="f",
            metavar="filter",
        ),
        FORMAT,
        Option(
            "last", "Show n last created containers (includes all states)", kind="int",
            short="n", default=-1, shown="-1",
        ),
        Option("latest", "Show the latest created container (includes all states)", short="l"),
        NO_TRUNC,
        Option("quiet", "Only display container IDs", short="q"),
        Option("size", "Display total file sizes", short="s"),
    ),
)  # fmt: skip
HEADERS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "State": "STATE",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Label": "LABEL",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
    "Platform": "PLATFORM",
}
TABLE = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
COMMAND_WIDTH = 20
MOUNT_WIDTH = 15


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.output import show  # noqa: PLC0415 - see the module
    from knarr.engine.container.listing import list_containers  # noqa: PLC0415 - not for --help

    last = 1 if options.flag("latest") else options.number("last")
    found = list_containers(
        context.engine, filters=options.texts("filter"), every=options.flag("all"), last=last
    )
    form = options.text("format")
    if options.flag("quiet") and form in ("", "table"):
        for container in found:
            context.print(container.id if options.flag("no-trunc") else container.id[:12])
        return 0
    table = (*TABLE, "Size") if options.flag("size") else TABLE
    view = _View(context, full=options.flag("no-trunc"))
    show(context, Listing(HEADERS, table), [view.row(one) for one in found], form)
    return 0


class _View:
    """How one list shows containers: when, and whether in full."""

    def __init__(self, context: Context, *, full: bool) -> None:
        import time  # noqa: PLC0415 - see the module

        from knarr.store.ports import PortRecords  # noqa: PLC0415

        self._engine = context.engine
        self._full = full
        self._now_ns = time.time_ns()
        self._ports: dict[str, list[tuple[str, int, int, str]]] = {}
        for port in PortRecords(context.engine.database).all():
            shown = (port.host_ip, port.host_port, port.container_port, port.protocol)
            self._ports.setdefault(port.container, []).append(shown)

    def row(self, container: Container) -> Row:
        """Return the cells; those that cost something are found out when they are shown."""
        from knarr.util.text import human_duration  # noqa: PLC0415 - see the module

        state = container.state
        age = human_duration((self._now_ns - container.row.created_ns) / 1e9)
        cells: dict[str, str | Callable[..., str]] = {
            "ID": container.id if self._full else container.id[:12],
            "Image": lambda: self._image(container),
            "Command": lambda: self._command(container),
            "CreatedAt": lambda: _local_time(container.row.created_ns),
            "RunningFor": f"{age} ago",
            "Status": state.words(self._now_ns),
            "State": state.status,
            "Ports": lambda: self._port_words(container) if state.active else "",
            "Names": container.name,
            "Size": lambda: self._size(container),
            "Labels": lambda: _pairs(container),
            "Label": lambda name: container.options.labels.get(name, ""),
            "Mounts": lambda: self._mounts(container),
            "LocalVolumes": lambda: str(_volumes(container)),
            "Networks": lambda: container.options.networking.mode,
            "Platform": lambda: container.options.platform,
        }
        return cells

    def _image(self, container: Container) -> str:
        from knarr.engine.container.usage import image_words  # noqa: PLC0415 - see the module

        return image_words(container, full=self._full)

    def _command(self, container: Container) -> str:
        from knarr.engine.container.usage import command_words  # noqa: PLC0415 - see the module
        from knarr.util.quoting import quote  # noqa: PLC0415
        from knarr.util.text import ellipsis  # noqa: PLC0415

        words = command_words(container.options)
        return quote(words if self._full else ellipsis(words, COMMAND_WIDTH))

    def _port_words(self, container: Container) -> str:
        from knarr.engine.network.portwords import port_words  # noqa: PLC0415 - see the module

        published = self._ports.get(container.id, [])
        inside = {(port[2], port[3]) for port in published}
        exposed = []
        if container.options.networking.has_ports:
            for text in container.options.exposed:
                number, _, protocol = text.partition("/")
                if (int(number), protocol or "tcp") not in inside:
                    exposed.append(("", 0, int(number), protocol or "tcp"))
        return port_words([*published, *exposed])

    def _size(self, container: Container) -> str:
        from knarr.engine.container.usage import container_size  # noqa: PLC0415 - see the module
        from knarr.util.text import human_size  # noqa: PLC0415

        own, whole = container_size(container)
        return f"{human_size(own, precision=3)} (virtual {human_size(whole, precision=3)})"

    def _mounts(self, container: Container) -> str:
        from knarr.util.text import ellipsis  # noqa: PLC0415 - see the module

        names = [mount.source for mount in container.options.mounts if mount.kind != "tmpfs"]
        return ",".join(names if self._full else [ellipsis(name, MOUNT_WIDTH) for name in names])


def _volumes(container: Container) -> int:
    return sum(mount.kind == "volume" for mount in container.options.mounts)


def _pairs(container: Container) -> str:
    return ",".join(f"{name}={value}" for name, value in container.options.labels.items())


def _local_time(when_ns: int) -> str:
    import time  # noqa: PLC0415 - see the module

    moment = time.localtime(when_ns // 10**9)
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", moment)
