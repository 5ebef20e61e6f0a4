"""`top`: the processes of a container as ps(1) lists them, read from /proc without ps(1).

The default is `ps -ef`; `-o` chooses columns by ps(1)'s names, and `aux` is known as well. What the
numbers are is in proc(5); that no other program is needed is the point.

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


def _user(process: Process) -> str:
    # Names of the host would be wrong as often as not: Docker shows what the host's ps makes of it.
    from pwd import getpwuid  # noqa: PLC0415 - for who asks for names

    try:
        return getpwuid(process.uid).pw_name
    except KeyError:
        return str(process.uid)


# ps(1)'s name of a column: (its title, its text)
COLUMNS: dict[str, tuple[str, Callable[[Process], str]]] = {
    "uid": ("UID", lambda p: str(p.uid)),
    "user": ("USER", _user),
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
FULL = ("uid", "pid", "ppid", "c", "stime", "tty", "time", "cmd")
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
    return tuple(chosen) or tuple((name, COLUMNS[name][0]) for name in preset or SHORT)


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
    columns = parse_columns(arguments)
    state = container.state
    if not state.pid:
        message = f"container {container.id} is not running"
        raise Conflict(message)
    from knarr.runtime import lifecycle  # noqa: PLC0415 - for few commands

    with open("/proc/uptime", "rb", buffering=0) as file:
        uptime = float(file.read().split()[0])
    now = time.time()
    rows = []
    for pid in sorted(lifecycle.processes(state.pid)):
        try:
            process = Process(pid, uptime, now)
        except (FileNotFoundError, ProcessLookupError):
            continue
        rows.append(tuple(COLUMNS[name][1](process) for name, _ in columns))
    return ProcessTable(tuple(title for _, title in columns), tuple(rows))
