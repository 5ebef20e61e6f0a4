from __future__ import annotations

import io
import subprocess
import sys
from types import SimpleNamespace

import pytest

from knarr import __version__, errors
from knarr.cli import main, table
from knarr.cli.command import Command, Context, Misuse, Option, OptionFault, Options, Unfit, each
from knarr.registry.breaks import Cut

COMMANDS = "knarr.cli.commands"


class Session:
    """A command line run in this process, with what it wrote."""

    def __init__(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.context = Context(stdout=self.out, stderr=self.err)

    def run(self, *words: str) -> int:
        return main.run(list(words), self.context)


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A command `ps` that does what the test wants."""
    home = SimpleNamespace(
        COMMAND=Command(
            short="Test", options=(Option("size", "Show sizes"),), minimum=0, maximum=1, failure=125
        ),
        run=lambda *_: 0,
    )
    monkeypatch.setitem(sys.modules, f"{COMMANDS}.ps", home)
    return home


def test_version(session: Session) -> None:
    for words in (["--version"], ["-v"], ["--debug", "--version"]):
        assert session.run(*words) == 0
    assert session.out.getvalue() == f"knarr version {__version__}\n" * 3


def test_the_package_is_the_command_too() -> None:
    said = subprocess.check_output([sys.executable, "-m", "knarr", "--version"], text=True)
    assert said == f"knarr version {__version__}\n"


def test_every_error_has_an_exit_status() -> None:
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.KnarrError)
    }
    assert set(main.STATUS) == classes | {Misuse.__name__, OptionFault.__name__, Unfit.__name__}


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (errors.NotFound("no such container: x"), 125, "knarr: no such container: x\n"),
        (errors.Conflict("in use", hint="Stop it."), 125, "knarr: in use\nStop it.\n"),
        (errors.CommandFailed("exec: not found", status=127), 127, "knarr: exec: not found\n"),
        (errors.NotModified("already stopped"), 0, "knarr: already stopped\n"),
        (Cut("x.test: connection refused"), 125, "knarr: x.test: connection refused\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (PermissionError(13, "Permission denied", "/x"), 125, "knarr: permission denied: /x\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_errors_become_words_and_a_status(
    session: Session, command: SimpleNamespace, error: BaseException, status: int, words: str
) -> None:
    def run(context: Context, options: Options, arguments: list[str]) -> int:
        raise error

    command.run = run
    assert session.run("ps") == status
    assert session.err.getvalue() == words


def test_who_is_not_root_is_told_what_that_takes(
    session: Session, command: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        try:
            raise PermissionError(1, "Operation not permitted")
        except PermissionError as error:
            message = "unpacking ./etc: Operation not permitted"
            raise errors.Failed(message) from error

    command.run = fail
    for user, told in ((0, False), (1000, True)):
        monkeypatch.setattr("os.geteuid", lambda user=user: user)
        assert session.run("ps") == 125
        assert ("try again with sudo" in session.err.getvalue()) == told


def test_a_traceback_is_for_who_asks(session: Session, command: SimpleNamespace) -> None:
    def run(context: Context, options: Options, arguments: list[str]) -> int:
        raise ZeroDivisionError

    command.run = run
    assert session.run("ps") == 125
    assert "Traceback" not in session.err.getvalue()
    assert "internal error: ZeroDivisionError" in session.err.getvalue()
    assert session.run("--debug", "ps") == 125
    assert "Traceback" in session.err.getvalue()


def test_a_command_gets_its_options_and_its_name(
    session: Session, command: SimpleNamespace
) -> None:
    seen = []

    def run(context: Context, options: Options, arguments: list[str]) -> int:
        seen.append((context.path, context.root, options.flag("size"), arguments))
        return 7

    command.run = run
    assert session.run("--root", "/r", "container", "ls", "--size", "a") == 7
    assert seen == [("knarr container ls", "/r", True, ["a"])]


def test_a_wrong_option_shows_the_usage(session: Session, command: SimpleNamespace) -> None:
    assert session.run("ps", "--siez") == 125
    assert session.err.getvalue() == (
        "unknown flag: --siez\nDid you mean --size?\n\nUsage:  knarr ps [OPTIONS]\n\n"
        "Run 'knarr ps --help' for more information\n"
    )


def test_a_wrong_number_of_arguments_is_status_1(
    session: Session, command: SimpleNamespace
) -> None:
    assert session.run("ps", "a", "b") == 1
    assert session.err.getvalue().startswith("knarr: 'knarr ps' requires at most 1 argument\n\n")


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["rnu"], "unknown command: knarr rnu", "Did you mean 'knarr run'"),
        (["contaner", "ls"], "unknown command: knarr contaner", "Did you mean 'knarr container'?"),
        (["image", "lss"], "unknown command: knarr image lss", "Did you mean 'knarr image ls'"),
        (["zzzzzz"], "unknown command: knarr zzzzzz", "Run 'knarr --help' for more information"),
    ],
)
def test_unknown_commands(session: Session, words: list[str], message: str, hint: str) -> None:
    assert session.run(*words) == 1
    assert session.err.getvalue().startswith(f"knarr: {message}\n")
    assert hint in session.err.getvalue()


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_no_command_is_a_request_for_help(session: Session, words: list[str]) -> None:
    assert session.run(*words) == 0
    assert session.out.getvalue().startswith("Usage:  knarr [OPTIONS] COMMAND\n")


def test_each_goes_on_after_an_error() -> None:
    session = Session()

    def act(name: str) -> None:
        if name == "b":
            message = f"no such container: {name}"
            raise errors.NotFound(message)

    assert each(session.context, ["a", "b", "c"], act) == 1
    assert session.out.getvalue() == "a\nc\n"
    assert session.err.getvalue() == "knarr: no such container: b\n"
    assert each(session.context, ["a"], act, echo=False) == 0


def test_paths_of_a_command() -> None:
    assert table.paths("ps") == ["container ls", "container list", "container ps", "ps"]


@pytest.mark.parametrize("closed", ["0<&-", ">&-", "2>&-", "0<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_fault(closed: str) -> None:
    import shlex
    import subprocess

    program = "from knarr.cli.main import main; main()"
    command = shlex.join([sys.executable, "-c", program, "version"])
    done = subprocess.run(["sh", "-c", f"{command} {closed}"], capture_output=True, check=False)
    assert done.returncode == 0
    assert done.stderr == b""
