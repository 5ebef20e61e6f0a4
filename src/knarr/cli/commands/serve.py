"""knarr serve."""

from __future__ import annotations

from knarr.cli.command import Command, Option, OptionFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.listening import Access
    from knarr.cli.command import Context, Options


COMMAND = Command(
    short="Serve the Docker Engine API",
    long="Lets the docker command line, Compose and everything else that speaks the Docker Engine "
    "API use knarr. The server keeps no state: it may be killed at any time, another may run "
    "beside it, and containers do not depend on it. Who can reach it is root on this host.",
    options=(
        Option("host", "Where to listen: unix://PATH, tcp://HOST:PORT or fd:// for a socket that "
                       "systemd opened", kind="list", short="H",
               shown='"unix:///run/knarr/docker.sock"'),
        Option("insecure-tcp", "Let everybody who reaches a TCP port be root on this host"),
        Option("socket-group", "Group of unix sockets", kind="string", short="G",
               aliases=("group",)),
        Option("socket-mode", "Permissions of unix sockets, in octal", kind="string",
               default="0660", shown='"0660"'),
        Option("tls", "Use TLS; implied by --tlsverify"),
        Option("tlscacert", "Trust certs signed only by this CA", kind="string",
               completes="files"),
        Option("tlscert", "Path to TLS certificate file", kind="string", completes="files"),
        Option("tlskey", "Path to TLS key file", kind="string", completes="files"),
        Option("tlsverify", "Use TLS and verify the remote"),
    ),
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.api.listening import Listener, listen  # noqa: PLC0415 - not for --help
    from knarr.api.server import Server  # noqa: PLC0415
    from knarr.engine.supplies.apisocket import SOCKET  # noqa: PLC0415

    access = _access(options)
    paths = context.engine.paths  # opened now, so that what cannot be served is seen at once
    addresses = options.texts("host") or [f"unix://{paths.run}/{SOCKET}"]
    listeners: list[Listener] = []
    try:
        for address in addresses:
            listeners += listen(address, access)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    for listener in listeners:
        context.warn(f"API listens at {listener.name}")
    Server(paths.root, paths.run, listeners, debug=context.debug).serve()
    return 0


def _access(options: Options) -> Access:
    from knarr.api.listening import Access, Credentials  # noqa: PLC0415 - not for --help

    text = options.text("socket-mode")
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        message = f'invalid argument "{text}" for "--socket-mode" flag: it is octal, as in 0660'
        raise OptionFault(message)
    credentials = None
    verify = options.flag("tlsverify")
    if options.flag("tls") or verify:
        for name in ("tlscert", "tlskey", *(["tlscacert"] if verify else [])):
            if not options.text(name):
                message = f"TLS needs --{name}"
                raise OptionFault(message)
        authority = options.text("tlscacert") if verify else ""
        credentials = Credentials(options.text("tlscert"), options.text("tlskey"), authority)
    return Access(mode, options.text("socket-group"), credentials, options.flag("insecure-tcp"))
