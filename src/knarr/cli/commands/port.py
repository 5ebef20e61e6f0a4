"""knarr port."""

from __future__ import annotations

from knarr.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.store.ports import PortRow

COMMAND = Command(
    short="List port mappings or a specific mapping for the container",
    usage="CONTAINER [PRIVATE_PORT[/PROTO]]",
    minimum=1,
    maximum=2,
    completes="running",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.errors import NotFound  # noqa: PLC0415 - not for --help
    from knarr.store.ports import PortRecords  # noqa: PLC0415

    name, *wanted = arguments
    container = context.engine.containers.get(name)
    rows = PortRecords(context.engine.database).of(container.id) if container.state.active else []
    if not wanted:
        for row in rows:
            context.print(f"{row.container_port}/{row.protocol} -> {_where(row)}")
        return 0
    port, _, protocol = wanted[0].partition("/")
    _check(port)
    protocol = protocol or "tcp"
    found = [r for r in rows if (str(r.container_port), r.protocol) == (port, protocol)]
    if not found:
        message = f"no public port '{port}/{protocol}' published for {name}"
        raise NotFound(message)
    for row in found:
        context.print(_where(row))
    return 0


def _where(row: PortRow) -> str:
    host = f"[{row.host_ip}]" if ":" in row.host_ip else row.host_ip
    return f"{host}:{row.host_port}"


def _check(port: str) -> None:
    from knarr.errors import InvalidArgument  # noqa: PLC0415 - not for --help

    if not (port.isascii() and port.isdecimal() and int(port) <= 65535):
        message = f"invalid port '{port}'"
        raise InvalidArgument(message, hint="A port is a number, with /udp or /sctp behind it.")
