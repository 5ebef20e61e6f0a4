"""`top`: the processes of a container as ps(1) lists them, read from /proc without ps(1).

The default is `ps -ef`; `-o` chooses columns by ps(1)'s names, `--sort` orders by them, and `aux`
is known as well. What the numbers are is in proc(5); that no other program is needed is the point.

Users have the names that the container's own passwd gives them. Docker runs the host's ps(1), which
calls them by what the host would call whoever has the same number.

Man: proc_pid_stat(5), ps(1)
"""

from __future__ import annotations

import os
import time

from knarr.errors import Conflict, InvalidArgument
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from knarr.engine.containers import Container

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
DAY = 86400


class ProcessTable(Value):
    """Rows of text under titles."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Process:
    """One process, as /proc shows it at one moment."""

    def __init__(self, pid: int, uptime: float, now: float) -> None:
        """Read it; raises FileNotFoundError or ProcessLookupError when it is gone."""
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            text = file.read().decode("utf-8", "replace")
        self.pid = pid
        self.name = text[text.index("(") + 1 : text.rindex(")")]
        fields = text[text.rindex(")") + 2 :].split()
        self.state = fields[0]
        self.parent, self.group, self.session, self.terminal = (int(f) for f in fields[1:5])
        self.cpu = (int(fields[11]) + int(fields[12])) / TICKS
        self.nice, self.threads = int(fields[16]), int(fields[17])
        self.age = max(0.0, uptime - int(fields[19]) / TICKS)
        self.started = now - self.age
        self.size, self.resident = int(fields[20]) // 1024, int(fields[21]) * PAGE // 1024
        self.uid = os.stat(f"/proc/{pid}").st_uid
        self.user = str(self.uid)
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            words = file.read().decode("utf-8", "replace").rstrip("\0").split("\0")
        self.command = " ".join(words) if words != [""] else f"[{self.name}]"

    @property
    def share(self) -> float:
        """Return the CPU time it used of the time it lived, in percent."""
        return 100 * self.cpu / self.age if self.age else 0.0


def _clock(process: Process) -> str:
    """Return when it started: the hour today, the day this year, else the year."""
    started, now = time.localtime(process.started), time.localtime()
    if time.time() - process.started < DAY:
        return time.strftime("%H:%M", started)
    return time.strftime("%b%d" if started.tm_year == now.tm_year else "%Y", started)


def _span(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{f'{days}-' if days else ''}{hour:02}:{minute:02}:{second:02}"


def _elapsed(seconds: float) -> str:
    return _span(seconds).removeprefix("00:")


def _terminal(process: Process) -> str:
    major = process.terminal >> 8 & 0xFFF
    minor = process.terminal & 0xFF | process.terminal >> 12 & 0xFFF00
    if not process.terminal:
        return "?"
    return f"pts/{minor}" if 136 <= major <= 143 else f"tty{minor}"


class Users:
    """What the users of a container are called in it, by the numbers that they have on the host."""

    def __init__(self, mappings: str = "", passwd: str = "") -> None:
        """Read the contents of its uid_map and its passwd; without them, numbers stay numbers."""
        self._mappings = [tuple(map(int, line.split())) for line in mappings.splitlines()]
        self._names: dict[str, str] = {}
        for line in passwd.splitlines():
            name, _, rest = line.partition(":")
            _, _, rest = rest.partition(":")
            self._names.setdefault(rest.partition(":")[0], name)

    def name(self, uid: int) -> str:
        """Return the name of a user, or the number within the container of one without a name."""
        for inside, outside, count in self._mappings:
            if outside <= uid < outside + count:
                uid += inside - outside
                break
        return self._names.get(str(uid), str(uid))


def _find_users(pid: int) -> Users:
    """Return the users of the container whose first process is `pid`."""
    from knarr.engine.container.users import read_accounts  # noqa: PLC0415 - for few commands

    try:
        with open(f"/proc/{pid}/uid_map", encoding="ascii") as file:
            mappings = file.read()
        root_fd = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # it ends at this moment
        return Users()
    try:
        return Users(mappings, read_accounts(root_fd)[0])
    finally:
        os.close(root_fd)


# ps(1)'s name of a column: (its title, its text)
COLUMNS: dict[str, tuple[str, Callable[[Process], str]]] = {
    "uid": ("UID", lambda p: str(p.uid)),
    "user": ("USER", lambda p: p.user),
    "pid": ("PID", lambda p: str(p.pid)),
    "ppid": ("PPID", lambda p: str(p.parent)),
    "pgid": ("PGID", lambda p: str(p.group)),
    "sid": ("SID", lambda p: str(p.session)),
    "c": ("C", lambda p: str(int(min(p.share, 99)))),
    "pcpu": ("%CPU", lambda p: f"{p.share:.1f}"),
    "pmem": ("%MEM", lambda p: f"{100 * p.resident / _memory():.1f}"),
    "vsz": ("VSZ", lambda p: str(p.size)),
    "rss": ("RSS", lambda p: str(p.resident)),
    "stime": ("STIME", _clock),
    "start": ("START", _clock),
    "tty": ("TTY", _terminal),
    "tt": ("TT", _terminal),
    "time": ("TIME", lambda p: _span(p.cpu)),
    "etime": ("ELAPSED", lambda p: _elapsed(p.age)),
    "stat": ("STAT", lambda p: p.state),
    "s": ("S", lambda p: p.state),
    "ni": ("NI", lambda p: str(p.nice)),
    "nlwp": ("NLWP", lambda p: str(p.threads)),
    "comm": ("COMMAND", lambda p: p.name),
    "args": ("COMMAND", lambda p: p.command),
    "cmd": ("CMD", lambda p: p.command),
}
SYNONYMS = {
    "%cpu": "pcpu", "%mem": "pmem", "command": "args", "tname": "tty", "euid": "uid",
    "euser": "user", "state": "s", "cputime": "time", "nice": "ni", "thcount": "nlwp",
    "vsize": "vsz", "rssize": "rss", "ucomm": "comm", "pgrp": "pgid", "sess": "sid",
}  # fmt: skip
FULL = ("user", "pid", "ppid", "c", "stime", "tty", "time", "cmd")
SHORT = ("pid", "tty", "time", "cmd")
AUX = ("user", "pid", "pcpu", "pmem", "vsz", "rss", "tty", "stat", "start", "time", "args")


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * PAGE // 1024


def parse_columns(arguments: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return (column, title) for options of ps(1): `-ef`, `aux`, `-o pid,comm`, `-eo pid=P`.

    Raises: InvalidArgument
    """
    words = list(arguments)
    chosen: list[tuple[str, str]] = []
    preset: tuple[str, ...] = () if words else FULL
    while words:
        word = words.pop(0)
        letters = word.removeprefix("-")
        if letters.endswith("o") and word != letters and set(letters[:-1]) <= set("eAa"):
            if not words:
                message = f"ps: option {word} needs a list of columns"
                raise InvalidArgument(message)
            chosen += _parse_list(words.pop(0))
        elif letters[:1] == "o" and word != letters:
            chosen += _parse_list(letters[1:])
        elif letters and set(letters) <= set("eAafwl"):
            preset = FULL if "f" in letters or "l" in letters else preset or SHORT
        elif letters and set(letters) <= set("auxw"):
            preset = AUX if "u" in letters else preset or SHORT
        else:
            message = f"ps: option {word} is not known here"
            raise InvalidArgument(message, hint="Use -ef, aux or -o with a list of columns.")
    titles = {"user": "UID"} if preset == FULL else {}  # ps(1) heads names so with -f
    default = tuple((name, titles.get(name, COLUMNS[name][0])) for name in preset or SHORT)
    return tuple(chosen) or default


def take_sorting(arguments: Sequence[str]) -> tuple[list[str], list[tuple[str, bool]]]:
    """Return the arguments without `--sort`, and its (column, whether the largest comes first).

    Raises: InvalidArgument
    """
    rest, keys, words = [], [], list(arguments)
    while words:
        word = words.pop(0)
        option, equals, text = word.partition("=")
        if option != "--sort":
            rest.append(word)
            continue
        text = text if equals else "".join(words[:1])
        words = words if equals else words[1:]
        for key in text.split(","):
            ((name, _),) = _parse_list(key.lstrip("+-"))
            keys.append((name, key.startswith("-")))
    return rest, keys


# Columns that are sorted by what they mean, not by their text.
_NUMBERS: dict[str, Callable[[Process], float]] = {
    "uid": lambda p: p.uid, "pid": lambda p: p.pid, "ppid": lambda p: p.parent,
    "pgid": lambda p: p.group, "sid": lambda p: p.session, "c": lambda p: p.share,
    "pcpu": lambda p: p.share, "pmem": lambda p: p.resident, "rss": lambda p: p.resident,
    "vsz": lambda p: p.size, "stime": lambda p: p.started, "start": lambda p: p.started,
    "time": lambda p: p.cpu, "etime": lambda p: p.age, "ni": lambda p: p.nice,
    "nlwp": lambda p: p.threads,
}  # fmt: skip


def _sort(processes: list[Process], keys: Sequence[tuple[str, bool]]) -> None:
    for name, descending in reversed(keys):
        value: Callable[[Process], Any] = _NUMBERS.get(name) or COLUMNS[name][1]
        processes.sort(key=value, reverse=descending)


def _parse_list(text: str) -> list[tuple[str, str]]:
    found = []
    for entry in text.split(","):
        name, equals, title = entry.partition("=")
        name = SYNONYMS.get(name.lower(), name.lower())
        if name not in COLUMNS:
            message = f"ps: unknown column {entry!r}"
            raise InvalidArgument(message, hint=f"Known are {', '.join(sorted(COLUMNS))}.")
        found.append((name, title if equals else COLUMNS[name][0]))
    return found


def table(container: Container, arguments: Sequence[str] = ()) -> ProcessTable:
    """Return the processes of a container that runs.

    Raises: Conflict, InvalidArgument
    """
    words, keys = take_sorting(arguments)
    columns = parse_columns(words) if words or not keys else parse_columns(["-a"])
    state = container.state
    if not state.pid:
        message = f"container {container.id} is not running"
        raise Conflict(message)
    from knarr.runtime import lifecycle  # noqa: PLC0415 - for few commands

    with open("/proc/uptime", "rb", buffering=0) as file:
        uptime = float(file.read().split()[0])
    now = time.time()
    users = _find_users(state.pid)
    found = []
    for pid in sorted(lifecycle.processes(state.pid)):
        try:
            process = Process(pid, uptime, now)
        except (FileNotFoundError, ProcessLookupError):
            continue
        process.user = users.name(process.uid)
        found.append(process)
    _sort(found, keys)
    rows = (tuple(COLUMNS[name][1](process) for name, _ in columns) for process in found)
    return ProcessTable(tuple(title for _, title in columns), tuple(rows))
