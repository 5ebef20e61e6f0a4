"""What a command is: data about its options and arguments, and the context it runs in.

Every file of `knarr.cli.commands` has two public names:

    COMMAND = Command(
        short="Remove one or more containers",
        usage="[OPTIONS] CONTAINER [CONTAINER...]",
        options=(Option("force", "Force the removal of a running container", short="f"),),
        minimum=1,
        maximum=None,
        completes="containers",
    )

    def run(context: Context, options: Options, arguments: list[str]) -> int:
        return each(context, arguments, lambda name: context.engine.containers.remove(name))

`run` prints through the context, raises `KnarrError`, and returns the exit status. What it is
called on the command line (`knarr rm`, `knarr container rm`) is in `knarr.cli.table`. Parsing is
done by `knarr.cli.options`, help by `knarr.cli.help`, completion by `knarr.cli.completion`, all
from this data.
"""

from __future__ import annotations

import os
import sys

from knarr.errors import InvalidArgument, KnarrError
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable, Iterable
    from typing import Any, TextIO

    from knarr.engine.engine import Engine


class Option(Value):
    """One option of a command.

    `kind` says what a value is and which accessor of `Options` returns it:

    * `flag`: no value needed, `--name=false` takes it back; `flag()`
    * `string`: `text()`
    * `list`: may be given several times; `texts()`
    * `filter`: a list of NAME=VALUE; `texts()`
    * `int`, and `uint` and `uint16` without a sign: `number()`
    * `bytes`: a size as people write it ("64m"), given as bytes; `number()`
    * `duration`: as Go writes it ("1m30s"), given as seconds; `seconds()`
    * `decimal`: a decimal number ("1.5"), given in billionths; `number()`

    `metavar` is the word that the help shows for the value (that of the kind if empty), `shown`
    the default as the help shows it. `aliases` are further long names, not shown. `completes`
    names what a shell offers for the value: `containers`, `running`, `images`, `volumes`,
    `networks`, `files`, `directories`, or literal words separated by spaces.
    """

    name: str
    help: str
    kind: str = "flag"
    short: str = ""
    metavar: str = ""
    default: Any = None
    shown: str = ""
    aliases: tuple[str, ...] = ()
    hidden: bool = False
    completes: str = ""


# Of commands that show one thing; those of lists have `knarr.cli.output.FORMAT`.
OBJECT_FORMAT = Option(
    "format",
    "Format output using a custom template:\n"
    "'json':             Print in JSON format\n"
    "'TEMPLATE':         Print output using the given Go template",
    kind="string",
    short="f",
    completes="json",
)


class Command(Value):
    """One command.

    `usage` is the usage line without the command's own name. Between `minimum` and `maximum`
    (None: any number) positional arguments are accepted. With `interspersed` false the first of
    them ends the options, so that those of the container's command are left alone. `failure` is
    the exit status when knarr itself fails.
    """

    short: str
    usage: str = "[OPTIONS]"
    options: tuple[Option, ...] = ()
    minimum: int = 0
    maximum: int | None = 0
    interspersed: bool = True
    failure: int = 1
    long: str = ""
    completes: str = ""


class Misuse(InvalidArgument):
    """The command line itself is wrong; shown with the usage of the command at `path`.

    `bare` is for faults of options, which Docker reports without its name in front and with
    status 125, whatever the command.
    """

    def __init__(
        self, message: str, *, path: str, usage: str, bare: bool = False, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.usage = usage
        self.bare = bare


class OptionFault(InvalidArgument):
    """A value of an option is wrong: status 125, whatever the command."""


class Unfit(InvalidArgument):
    """Options do not go together, or with the terminal: status 1, even with `run`, as in Docker."""


class Options:
    """The values of a command's options, given or default, by long name."""

    def __init__(self, values: dict[str, Any], given: frozenset[str] = frozenset()) -> None:
        self._values = values
        self._given = given

    @property
    def names(self) -> frozenset[str]:
        """Return the options that are on the command line."""
        return self._given

    def given(self, name: str) -> bool:
        """Tell whether the option is on the command line."""
        return name in self._given

    def flag(self, name: str) -> bool:
        """Return a `flag`."""
        value: bool = self._values[name]
        return value

    def text(self, name: str) -> str:
        """Return a `string`, by default empty."""
        value: str = self._values[name]
        return value

    def texts(self, name: str) -> list[str]:
        """Return all values of a `list` in the order given."""
        value: list[str] = self._values[name]
        return value

    def number(self, name: str) -> int:
        """Return an `int`, the bytes of a `bytes`, the billionths of a `decimal`; default 0."""
        value: int = self._values[name]
        return value

    def seconds(self, name: str) -> float:
        """Return the seconds of a `duration`, by default 0."""
        value: float = self._values[name]
        return value


def parse_each(
    options: Options, name: str, parse: Callable[[str], Any], *, short: str = ""
) -> list[Any]:
    """Return what `parse` makes of each value of a `list`; what it raises names the option.

    Raises: OptionFault
    """
    found = []
    for text in options.texts(name):
        try:
            found.append(parse(text))
        except InvalidArgument as error:
            shown = f"-{short}, --{name}" if short else f"--{name}"
            message = f'invalid argument "{text}" for "{shown}" flag: {error}'
            raise OptionFault(message, hint=error.hint) from None
    return found


class Context:
    """What a command has around it: the engine, the streams, how it was called.

    `path` is how the person called the command ("knarr container ls"). The engine is opened when
    first used; what it has to say about earlier accidents goes to standard error.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        run: str | None = None,
        debug: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.root = root
        self.run_dir = run
        self.debug = debug
        self.path = "knarr"
        self.command = Command("")
        self.stdout: TextIO = stdout or sys.stdout
        self.stderr: TextIO = stderr or sys.stderr
        self.spawned: tuple[socket, int] | None = None  # a supervisor that has no order yet
        self._engine = engine
        self._passed = 0

    @property
    def engine(self) -> Engine:
        """Return the engine of `--root` and `--run`."""
        if self._engine is None:
            from knarr.engine.engine import Engine  # noqa: PLC0415 - help and version do without

            self._engine = Engine(self.root, self.run_dir)
            self._engine.tell = self.warn
            self.pass_on()
        return self._engine

    def pass_on(self) -> None:
        """Show what the engine has to say that was not shown yet."""
        if self._engine is not None:
            for notice in self._engine.notices[self._passed :]:
                self.warn(notice)
            self._passed = len(self._engine.notices)

    def print(self, text: str = "", *, end: str = "\n") -> None:
        """Write a line to standard output; to a terminal without what would command it."""
        if self.interactive:
            from knarr.util.quoting import harmless  # noqa: PLC0415 - programs get it as it is

            text = harmless(text)
        self.stdout.write(text + end)

    def write(self, data: bytes) -> None:
        """Write bytes to standard output, after what was printed before."""
        self.stdout.flush()
        self.stdout.buffer.write(data)
        self.stdout.buffer.flush()

    def warn(self, text: str) -> None:
        """Write a line to standard error, after what was printed before.

        It is for people, and may quote whatever there is: nothing in it commands a terminal.
        """
        from knarr.util.quoting import harmless  # noqa: PLC0415 - most commands warn of nothing

        self.stdout.flush()
        self.stderr.write(harmless(text) + "\n")
        self.stderr.flush()

    def complain(self, error: KnarrError) -> None:
        """Show an error that does not end the command."""
        self.warn(f"knarr: {error.message}")
        if error.hint:
            self.warn(error.hint)

    @property
    def interactive(self) -> bool:
        """Tell whether standard output is a terminal."""
        return self.stdout.isatty()

    def columns(self) -> int:
        """Return the width of the terminal, 80 without one."""
        try:
            return os.get_terminal_size(self.stdout.fileno()).columns or 80
        except (OSError, ValueError):
            return 80


def each(
    context: Context, names: Iterable[str], action: Callable[[str], object], *, echo: bool = True
) -> int:
    """Do `action` for every name and print the name, or the error and go on.

    Return 1 if any failed, else 0. With `echo` false nothing is printed for a success.
    """
    status = 0
    for name in names:
        try:
            action(name)
        except KnarrError as error:
            context.complain(error)
            status = 1
        else:
            if echo:
                context.print(name)
    return status
