"""The command `knarr`: finds the command, runs it, turns what it raises into words and a status.

Nothing is imported that the command at hand does not need: `knarr --version` loads the table of
names and no more. The process ends by `os._exit`: state is on disk already, and tearing the
interpreter down takes longer than many a command.

Exit statuses are Docker's: 125 for a fault of an option and for `run` failing on its own account,
126 not executable, 127 not found, 128+n ended by signal n, 1 for the rest.
"""

from __future__ import annotations

import codecs
import gc
import os
import sys

from knarr.cli import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Command, Context, Misuse
    from knarr.errors import KnarrError

# Exit status by class of error; OWN is the command's `failure` (125 for `run`, else 1), CARRIED
# the status that the error itself has.
OWN = -1
CARRIED = -2
OPTION_FAULT = 125
STATUS = {
    "KnarrError": OWN,
    "InvalidArgument": OWN,
    "SyntaxFault": OWN,
    "Misuse": 1,
    "OptionFault": OPTION_FAULT,
    "Unfit": 1,
    "Unauthorized": OWN,
    "PermissionDenied": OWN,
    "NotFound": OWN,
    "Conflict": OWN,
    "NotModified": 0,
    "Unsupported": OWN,
    "Unavailable": OWN,
    "Corrupt": OWN,
    "Failed": OWN,
    "CommandFailed": CARRIED,
}
INTERRUPTED = 130
_ODD_TEXT = "knarr.odd"
PIPE_CLOSED = 141


def main() -> None:
    """Run the command line of this process and end it."""
    # The classes and functions of a hundred modules are no garbage: looking for it while they are
    # loaded takes 1 to 2 ms of a `run` or `inspect`.
    gc.set_threshold(50_000, 20, 50)
    _fill_standard_streams()
    codecs.register_error(_ODD_TEXT, _encode_odd)
    sys.stdout.reconfigure(errors=_ODD_TEXT)  # type: ignore[union-attr] # it is a TextIOWrapper
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = PIPE_CLOSED
    sys.stderr.flush()
    os._exit(status)


def _fill_standard_streams() -> None:
    """Put /dev/null where the caller closed a standard stream.

    Otherwise the next file opened, which may be the database, would be taken for it.
    """
    if sys.stdin and sys.stdout and sys.stderr:
        return
    while os.open(os.devnull, os.O_RDWR) <= 2:
        pass
    # They stay open to the end of the process.
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _encode_odd(error: UnicodeError) -> tuple[bytes, int]:
    """Encode what is no text, so that a name of it is shown in any locale and ends no command.

    Bytes that came from outside go out again as they were; the rest is escaped.
    """
    assert isinstance(error, UnicodeEncodeError)
    try:
        replaced, end = codecs.lookup_error("surrogateescape")(error)
    except UnicodeEncodeError:
        replaced, end = codecs.backslashreplace_errors(error)
    return replaced, end  # type: ignore[return-value] # both handlers may return either


def run(words: list[str], context: Context | None = None) -> int:
    """Run the command line `words` and return the exit status."""
    if words in (["--version"], ["-v"]) and context is None:
        print(_version())
        return 0
    from knarr.cli.command import Context  # noqa: PLC0415 - --version does without

    context = context or Context()
    try:
        return _dispatch(words, context)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return PIPE_CLOSED
    except Exception as error:  # noqa: BLE001 - the one place where errors become words
        return _report(error, context)


def _version() -> str:
    from knarr import __version__  # noqa: PLC0415 - only here

    return f"knarr version {__version__}"


def _dispatch(words: list[str], context: Context) -> int:
    from knarr.cli import options as parser  # noqa: PLC0415 - --version does without
    from knarr.cli.globals import GLOBAL, apply  # noqa: PLC0415 - as above

    chosen, rest = parser.parse(GLOBAL, words, path="knarr")
    if chosen.flag("version"):
        context.print(_version())
        return 0
    apply(chosen, context)
    if not rest:
        return _help([], context)
    name, *rest = rest
    if name in table.GROUPS:
        return _group(name, rest, context, wants_help=chosen.flag("help"))
    module = table.find(name)
    if module is None:
        raise _unknown("knarr", name, [*table.COMMON, *table.COMMANDS, *table.GROUPS])
    if chosen.flag("help"):
        rest.insert(0, "--help")
    return _command(module, f"knarr {name}", rest, context)


def _group(group: str, words: list[str], context: Context, *, wants_help: bool) -> int:
    if wants_help or not words or words[0] in ("--help", "-h"):
        return _help([group], context)
    members = table.GROUPS[group][1]
    name, *rest = words
    if " ".join(words[:2]) in members:
        name, rest = " ".join(words[:2]), words[2:]
    path = f"knarr {group}"
    if name.startswith("-"):
        from knarr.cli.command import Misuse  # noqa: PLC0415 - an error may take its time

        raise Misuse(f"unknown flag: {name}", path=path, usage="COMMAND", bare=True)
    if name not in members:
        raise _unknown(path, name, list(members))
    return _command(members[name], f"{path} {name}", rest, context)


def _command(module: str, path: str, words: list[str], context: Context) -> int:
    if module in table.SPAWNING and "--help" not in words:
        from knarr.supervise.spawning import spawn  # noqa: PLC0415 - for few commands

        context.spawned = spawn(child=True)
    try:
        return _perform(module, path, words, context)
    finally:
        if context.spawned:
            connection, pid = context.spawned
            connection.close()
            os.kill(pid, 9)
            os.waitpid(pid, 0)


def _perform(module: str, path: str, words: list[str], context: Context) -> int:
    from knarr.cli import options as parser  # noqa: PLC0415 - --version does without

    home = __import__(f"knarr.cli.commands.{module}", fromlist=("COMMAND", "run"))
    command: Command = home.COMMAND
    context.path, context.command = path, command
    options, arguments = parser.parse(command, words, path=path)
    if options.flag("help"):
        return _help(path.split()[1:], context)
    parser.check(command, arguments, path=path)
    status: int = home.run(context, options, arguments)
    context.pass_on()
    return status


def _help(names: list[str], context: Context) -> int:
    from knarr.cli import help as pages  # noqa: PLC0415 - only who asks for help loads it

    context.print(pages.page(names, context.columns()), end="")
    return 0


def _unknown(path: str, name: str, known: list[str]) -> Misuse:
    from knarr.cli.command import Misuse  # noqa: PLC0415 - an error may take its time
    from knarr.util.suggest import closest  # noqa: PLC0415 - as above

    found = " or ".join(f"'{path} {other}'" for other in closest(name, known))
    hint = f"Did you mean {found}?" if found else ""
    return Misuse(f"unknown command: {path} {name}", path=path, usage="", hint=hint)


def _report(error: Exception, context: Context) -> int:
    """Show `error` and return the exit status it stands for."""
    if context.debug:
        import traceback  # noqa: PLC0415 - asked for

        context.warn("".join(traceback.format_exception(error)).rstrip())
    status = _report_plain(error, context)
    if os.geteuid() and _was_denied(error):
        context.warn("Images, containers and networks are made by root: try again with sudo.")
    return status


def _was_denied(error: BaseException | None) -> bool:
    """Tell whether the kernel refused something, whatever became of that on the way up."""
    while error is not None:
        if isinstance(error, PermissionError):
            return True
        error = error.__cause__
    return False


def _report_plain(error: Exception, context: Context) -> int:
    from knarr.errors import KnarrError  # noqa: PLC0415 - only after an error

    if isinstance(error, KnarrError):
        return _report_known(error, context)
    if isinstance(error, OSError) and error.errno is not None:
        place = f": {error.filename}" if error.filename else ""
        context.warn(f"knarr: {(error.strerror or str(error)).lower()}{place}")
        for note in getattr(error, "__notes__", ()):
            context.warn(f"  {note}")
    elif isinstance(error, RecursionError):
        context.warn("knarr: directories or documents are nested too deeply")
    else:
        context.warn(f"knarr: internal error: {type(error).__name__}: {error}")
        context.warn("This is a fault of knarr. Run it again with --debug to see where.")
    return context.command.failure


def _report_known(error: KnarrError, context: Context) -> int:
    from knarr.cli.command import Misuse  # noqa: PLC0415 - only after an error

    if isinstance(error, Misuse):
        return _report_misuse(error, context)
    context.complain(error)
    # A room may have a class of its own below one of `errors`.
    status = next(STATUS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in STATUS)
    if status == CARRIED:
        carried: int = getattr(error, "status")  # noqa: B009 - only CommandFailed has it
        return carried
    return context.command.failure if status == OWN else status


def _report_misuse(error: Misuse, context: Context) -> int:
    """Show what is wrong, the usage, and where to read more, as Docker does."""
    lines = [error.message if error.bare else f"knarr: {error.message}"]
    lines += [error.hint] if error.hint else []
    lines += ["", f"Usage:  {error.path} {error.usage}".rstrip()] if error.usage else []
    lines += ["", f"Run '{error.path} --help' for more information"]
    context.warn("\n".join(lines))
    return OPTION_FAULT if error.bare else STATUS["Misuse"]
