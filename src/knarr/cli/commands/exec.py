"""knarr exec."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.engine.containers import Container
    from knarr.engine.execs import ExecOptions, Session

COMMAND = Command(
    short="Execute a command in a running container",
    usage="[OPTIONS] CONTAINER COMMAND [ARG...]",
    options=(
        Option("detach", "Detached mode: run command in the background", short="d"),
        Option("detach-keys", "Override the key sequence for detaching a container", kind="string"),
        Option("env", "Set environment variables", kind="list", short="e"),
        Option(
            "env-file", "Read in a file of environment variables", kind="list", completes="files"
        ),
        Option("interactive", "Keep STDIN open even if not attached", short="i"),
        Option(
            "on-disconnect",
            "What becomes of the command, and of all it started, when this client is gone\n"
            "without having detached: keep it, or kill it",
            kind="string",
            default="keep",
            shown="keep",
            completes="keep kill",
        ),
        Option("privileged", "Give extended privileges to the command"),
        Option("tty", "Allocate a pseudo-TTY", short="t"),
        Option(
            "user",
            "Username or UID (format: <name|uid>[:<group|gid>])",
            kind="string",
            short="u",
        ),
        Option("workdir", "Working directory inside the container", kind="string", short="w"),
    ),
    minimum=2,
    maximum=None,
    interspersed=False,
    completes="running",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli.creating import parse_environment  # noqa: PLC0415 - not for --help
    from knarr.engine.execs import ExecOptions  # noqa: PLC0415

    detached = options.flag("detach")
    container = context.engine.containers.get(arguments[0])
    wanted = ExecOptions(
        tuple(arguments[1:]),
        env=parse_environment(options),
        user=options.text("user"),
        working_dir=options.text("workdir"),
        tty=options.flag("tty"),
        stdin=options.flag("interactive") and not detached,
        privileged=options.flag("privileged"),
        attended=_attended(options),
    )
    if detached:
        _prepare(container, wanted).start(attach=False)
        return 0
    from knarr.cli.attached import require_terminal  # noqa: PLC0415
    from knarr.cli.terminal import Terms, interact, window  # noqa: PLC0415
    from knarr.engine.attach import connect, note_client  # noqa: PLC0415

    terms = Terms(wanted.tty, wanted.stdin, options.text("detach-keys"))
    require_terminal(terms)
    session = _prepare(container, wanted)
    session.start(attach=True, window=window() if wanted.tty else None)
    outcome = interact(
        session.client, lambda: connect(container), terms.replace(exec_id=session.id)
    )
    if outcome.exit is not None:
        return outcome.exit.exit_code
    if outcome.detached:
        if wanted.attended:
            session.keep()
        note_client(container, "exec_detach", execID=session.id)
        context.warn("\nread escape sequence")
        return 0
    context.warn("knarr: the exec was lost: the container's supervisor was killed")
    return 1


def _prepare(container: Container, wanted: ExecOptions) -> Session:
    """Prepare the process; that it cannot be made as asked has Docker's status for that, 126."""
    from knarr.engine.execs import prepare  # noqa: PLC0415 - not for --help
    from knarr.errors import CommandFailed, InvalidArgument  # noqa: PLC0415

    if wanted.working_dir and not wanted.working_dir.startswith("/"):
        message = "Cwd must be an absolute path"
        raise CommandFailed(message, status=126)
    try:
        return prepare(container, wanted)
    except InvalidArgument as error:
        raise CommandFailed(error.message, status=126, hint=error.hint) from None


def _attended(options: Options) -> bool:
    from knarr.errors import InvalidArgument  # noqa: PLC0415 - not for --help

    word = options.text("on-disconnect")
    if word not in ("keep", "kill"):
        message = f"invalid --on-disconnect: {word!r}"
        raise InvalidArgument(message, hint="It is keep or kill.")
    if word == "kill" and options.flag("detach"):
        message = "conflicting options: --detach and --on-disconnect kill"
        raise InvalidArgument(message)
    return word == "kill"
