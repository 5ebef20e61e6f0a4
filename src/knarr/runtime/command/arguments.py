"""The command line of `knarr-runtime`, which is runc's: words and options as data, and a parser.

`--name value`, `--name=value`, `-n value` and, as in programs written in Go, `-name` all mean the
same. Options may come after arguments too, but for those commands whose arguments have options of
their own: the global ones, `exec` and `ps`. `--` ends the options.
"""

from __future__ import annotations

from knarr.errors import InvalidArgument
from knarr.runtime.channel import ignore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.runtime.channel import Note

DEFAULT_ROOT = "/run/knarr-runtime"

FLAG = "flag"
TEXT = "text"
NUMBER = "number"
LIST = "list"

GLOBAL = {
    "root": TEXT,
    "log": TEXT,
    "log-format": TEXT,
    "debug": FLAG,
    "systemd-cgroup": FLAG,
    "rootless": TEXT,
    "version": FLAG,
    "help": FLAG,
}
_CREATING = {
    "bundle": TEXT,
    "console-socket": TEXT,
    "pidfd-socket": TEXT,
    "pid-file": TEXT,
    "no-pivot": FLAG,
    "no-new-keyring": FLAG,
    "preserve-fds": NUMBER,
}
_UPDATING = {
    "blkio-weight": ("blockIO", "weight"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-burst": ("cpu", "burst"),
    "cpu-share": ("cpu", "shares"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "cpu-idle": ("cpu", "idle"),
    "cpuset-cpus": ("cpu", "cpus"),
    "cpuset-mems": ("cpu", "mems"),
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
    "kernel-memory-tcp": ("memory", "kernelTCP"),
    "pids-limit": ("pids", "limit"),
}
UPDATES = _UPDATING

# Command: its options, the least and the greatest number of arguments (-1: any), and what it does.
COMMANDS: dict[str, tuple[dict[str, str], int, int, str, str]] = {
    "create": (_CREATING, 1, 1, "<container-id>", "create a container"),
    "start": ({}, 1, 1, "<container-id>", "run the program of a created container"),
    "run": (
        {**_CREATING, "detach": FLAG, "keep": FLAG, "no-subreaper": FLAG, "tty": FLAG},
        1, 1, "<container-id>", "create a container and run its program",
    ),
    "exec": (
        {
            "console-socket": TEXT, "pidfd-socket": TEXT, "cwd": TEXT, "env": LIST, "tty": FLAG,
            "user": TEXT, "additional-gids": LIST, "process": TEXT, "detach": FLAG,
            "pid-file": TEXT, "process-label": TEXT, "apparmor": TEXT, "no-new-privs": FLAG,
            "cap": LIST, "preserve-fds": NUMBER, "cgroup": LIST, "ignore-paused": FLAG,
        },
        1, -1, "<container-id> <command> [argument ...]", "run a further process in a container",
    ),
    "state": ({}, 1, 1, "<container-id>", "print the state of a container"),
    "kill": ({"all": FLAG}, 1, 2, "<container-id> [signal]", "send a signal to a container"),
    "delete": ({"force": FLAG}, 1, 1, "<container-id>", "remove a container that has stopped"),
    "list": ({"format": TEXT, "quiet": FLAG}, 0, 0, "", "list containers"),
    "ps": (
        {"format": TEXT}, 1, -1, "<container-id> [ps options]", "list the processes of a container",
    ),
    "pause": ({}, 1, 1, "<container-id>", "stop all processes of a container"),
    "resume": ({}, 1, 1, "<container-id>", "let all processes of a container go on"),
    "update": (
        {"resources": TEXT, "kernel-memory": TEXT, **dict.fromkeys(_UPDATING, TEXT)},
        1, 1, "<container-id>", "change the limits of a container",
    ),
    "events": (
        {"interval": TEXT, "stats": FLAG}, 1, 1, "<container-id>", "print what a container uses",
    ),
    "spec": ({"bundle": TEXT, "rootless": FLAG}, 0, 0, "", "write a config.json to begin with"),
    "features": ({}, 0, 0, "", "print what this runtime can do"),
}  # fmt: skip

# Commands whose arguments may be options of other programs.
UNMIXED = ("exec", "ps")

# Commands of runc that are known and refused, and why.
UNSUPPORTED = {"checkpoint": "it needs CRIU", "restore": "it needs CRIU"}

_SHORT = {
    "b": "bundle", "d": "detach", "t": "tty", "u": "user", "e": "env", "g": "additional-gids",
    "p": "process", "c": "cap", "f": "force", "a": "all", "q": "quiet", "r": "resources",
    "v": "version", "h": "help",
}  # fmt: skip


class Options:
    """What was given: flags, texts, numbers and lists by name; and where to note things."""

    __slots__ = ("_given", "debug", "note")

    def __init__(self) -> None:
        """Begin with none."""
        self._given: dict[str, list[str]] = {}
        self.note: Note = ignore
        self.debug = False

    def add(self, name: str, value: str) -> None:
        """Note that an option was given."""
        self._given.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        """Tell whether an option was given."""
        return name in self._given

    def flag(self, name: str) -> bool:
        """Return whether a flag is set."""
        return self._given.get(name, ["false"])[-1] == "true"

    def text(self, name: str, default: str = "") -> str:
        """Return the last value of an option."""
        return self._given.get(name, [default])[-1]

    def number(self, name: str) -> int:
        """Return the value of an option as a whole number, 0 if it was not given."""
        value = self.text(name, "0")
        try:
            return int(value)
        except ValueError:
            message = f'invalid value "{value}" for option --{name}: not a number'
            raise InvalidArgument(message) from None

    def texts(self, name: str) -> list[str]:
        """Return all values of an option."""
        return self._given.get(name, [])


def parse_options(
    words: list[str], known: dict[str, str], *, mixed: bool = False
) -> tuple[Options, list[str]]:
    """Return the options at the beginning of `words` or, `mixed`, among them; and the rest.

    Raises: InvalidArgument
    """
    options = Options()
    rest, arguments = list(words), []
    while rest and (mixed or rest[0].startswith("-")):
        word = rest.pop(0)
        if word == "--":
            break
        if word == "-" or not word.startswith("-"):
            arguments.append(word)
            if not mixed:
                break
            continue
        name, equals, value = word.lstrip("-").partition("=")
        name = _resolve(name, known)
        kind = known.get(name)
        if kind is None:
            message = f"unknown option {word}"
            raise InvalidArgument(message)
        if kind == FLAG:
            value = value if equals else "true"
            if value not in ("true", "false"):
                message = f'invalid value "{value}" for option --{name}: true or false'
                raise InvalidArgument(message)
        elif not equals:
            if not rest:
                message = f"option --{name} needs a value"
                raise InvalidArgument(message)
            value = rest.pop(0)
        options.add(name, value)
    return options, [*arguments, *rest]


def _resolve(name: str, known: Iterable[str]) -> str:
    """Return the long name; `-f` means what the command has that begins with it."""
    if name in known or len(name) != 1:
        return name
    long = _SHORT.get(name, name)
    if long not in known and name == "f" and "format" in known:
        return "format"
    return long


def check_arguments(command: str, arguments: list[str]) -> None:
    """Raise unless `command` can take this many arguments.

    Raises: InvalidArgument
    """
    _, least, most, _, _ = COMMANDS[command]
    if len(arguments) < least or (0 <= most < len(arguments)):
        wanted = f"exactly {least}" if least == most else f"a minimum of {least}"
        if len(arguments) > most >= 0 and least != most:
            wanted = f"a maximum of {most}"
        message = f'"{command}" requires {wanted} argument(s)'
        raise InvalidArgument(message)
