"""`run`, `start -a` and `attach`: a container's streams on ours, from its start or from now on.

Who starts a container in the foreground is its owner: the clean-up after its end is done here, in
this process, which is warm, rather than in one that the supervisor would start for it.

If the supervisor is killed meanwhile, the container has gone on, and so do we, with a new one.
"""

from __future__ import annotations

import os

from knarr.cli.command import Unfit
from knarr.cli.terminal import Terms, interact, window
from knarr.engine.attach import Outcome, connect, note_client
from knarr.errors import Conflict, InvalidArgument, KnarrError, NotModified
from knarr.supervise import control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context
    from knarr.engine.containers import Container
    from knarr.supervise.control import Client, Exit, Starting

OUTPUTS = ("stdout", "stderr")
UNRUN = (126, 127)
SIGNALLED = 128  # what exit codes of those that a signal ended are above
UNWILLING = {
    "paused": "You cannot attach to a paused container, unpause it first",
    "restarting": "You cannot attach to a restarting container, wait until it is running",
}


def run_attached(
    context: Context,
    container: Container,
    *,
    starting: Starting | None = None,
    with_stdin: bool = True,
    detach_keys: str = "",
    sig_proxy: bool = True,
) -> int:
    """Start a container and stay with it until its end; return its exit code.

    `with_stdin` is for whether its stdin, if it keeps one open, is to be ours.
    """
    wanted = container.options.streams
    # Of `run` the options say which streams are wanted; `start -a` wants both outputs.
    names = [name for name in OUTPUTS if starting is None or getattr(wanted, f"attach_{name}")]
    stdin = with_stdin and wanted.open_stdin and (starting is None or wanted.attach_stdin)
    terms = Terms(wanted.tty, stdin, detach_keys, sig_proxy)
    require_terminal(terms)
    if not names and not stdin:
        container.start(starting=starting).close()
        context.print(container.id)
        return 0
    from knarr.engine.container.starting import Attachment  # noqa: PLC0415 - not for who attaches alone

    streams = (*names, "stdin") if stdin else tuple(names)
    attachment = Attachment(streams, owner=True, window=window() if wanted.tty else None)
    try:
        client = container.start(attachment=attachment, starting=starting)
    except NotModified:  # `start -a` of what runs
        return stay(context, container, terms)
    if not names:
        context.print(container.id)
        context.stdout.flush()
    outcome = interact(client, lambda: control.connect(_control_dir(container)), terms)
    if outcome.exit is not None:
        words = _words(container, outcome.exit)  # while it is still there
        try:
            _clean_up(container, client)
        except KnarrError as error:  # that it has ended, and how, is so all the same
            context.complain(error)
        return _report(context, outcome.exit, words)
    return _end(context, container, client, outcome, terms)


def stay(context: Context, container: Container, terms: Terms) -> int:
    """Attach to a container that runs, until its end; return its exit code.

    Raises: Conflict
    """
    require_terminal(terms)
    status = container.state.status
    if status in UNWILLING:
        raise Conflict(UNWILLING[status])
    client = connect(container)
    note_client(container, "attach")
    client.attach(stdin=terms.stdin)
    return _follow(context, container, client, terms.replace(redraw=True))


def _follow(context: Context, container: Container, client: Client, terms: Terms) -> int:
    outcome = interact(client, lambda: control.connect(_control_dir(container)), terms)
    if outcome.exit is not None:
        client.close()
        return _report(context, outcome.exit)
    return _end(context, container, client, outcome, terms)


def _end(
    context: Context, container: Container, client: Client, outcome: Outcome, terms: Terms
) -> int:
    """Do what is to be done when the container did not end, or nobody told us."""
    client.close()
    if outcome.detached:
        note_client(container, "detach")
        if terms.tty:
            context.warn("\nread escape sequence")
        return 0
    try:
        client = connect(container)
        client.attach(stdin=terms.stdin)
    except KnarrError:  # it has ended since, and as far as it can be known, it says how
        state = container.state
        if state.error:
            context.warn(f"knarr: {state.error}")
        return state.exit_code
    return _follow(context, container, client, terms.replace(unsent=outcome.unsent))


def require_terminal(terms: Terms) -> None:
    """Refuse to be the terminal of a container without having one, or with keys that are none.

    Raises: Unfit
    """
    if terms.tty and terms.stdin and not os.isatty(0):
        message = "the input device is not a TTY"
        raise Unfit(message, hint="Leave -t out if the input comes from a pipe or file.")
    if terms.detach_keys:
        from knarr.engine.options.detachkeys import parse_keys  # noqa: PLC0415 - few name any

        try:
            parse_keys(terms.detach_keys)
        except InvalidArgument as error:
            raise Unfit(error.message) from None


def _clean_up(container: Container, client: Client) -> None:
    from knarr.engine.container.cleanup import clean_up  # noqa: PLC0415 - at the end

    auto_remove = container.options.auto_remove
    removed = clean_up(container.engine, container.id, auto_remove=auto_remove)
    client.cleaned(removed=removed)
    client.drain()  # until nothing of it is left


def _words(container: Container, ended: Exit) -> str:
    """Return why a signal ended it, or the init of --init could not run it; else nothing."""
    unrun = container.options.init and ended.exit_code in UNRUN
    if ended.exit_code <= SIGNALLED and not unrun:
        return ""
    from knarr.cli.explaining import explain_end  # noqa: PLC0415 - for few ends

    return explain_end(container)


def _report(context: Context, ended: Exit, words: str = "") -> int:
    for line in (f"knarr: {ended.error}" if ended.error else "", words):
        if line:
            context.warn(line)
    return ended.exit_code


def _control_dir(container: Container) -> str:
    return container.engine.paths.task(container.id)
