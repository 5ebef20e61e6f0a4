"""What is known of a container when it is to be explained: values alone, no deeds.

`gathering` fills them in, once; the rules read them. What could not be found out has its default,
and no rule says anything on the strength of a default.
"""

from __future__ import annotations

from knarr.engine.explaining.knowledge import DAEMONS, SHELLS, SIGNALS, span_words
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# What a program's file is.
MISSING, DIRECTORY, NO_BIT, DENIED = "missing", "directory", "no-bit", "denied"
SCRIPT, ELF, EMPTY, TEXT, DATA, UNKNOWN = "script", "elf", "empty", "text", "data", "unknown"

# The C libraries that a loader belongs to.
GLIBC, MUSL = "glibc", "musl"

TOP_SIGNAL = 64
NOT_EXECUTABLE, NOT_FOUND = 126, 127
SIGNAL_BASE = 128
_TELLING = 8  # lines of a log that may tell of the end


class Program(Value):
    """The program as it lies in the container's files; `kind` is one of the words above.

    Of a script there is the `interpreter`, of an ELF file the `machine`, unless it is this one's,
    and the `loader`; `helper_missing` says that what it names is not there. `library` is the C
    library that the image has. `similar` are names in PATH near to the one that is missing,
    `searched` the directories of PATH. `mode` and `owner` are for who may not execute it.
    """

    name: str = ""
    path: str = ""
    kind: str = UNKNOWN
    interpreter: str = ""
    carriage_return: bool = False
    machine: str = ""
    loader: str = ""
    library: str = ""
    helper_missing: bool = False
    noexec: bool = False
    similar: tuple[str, ...] = ()
    searched: tuple[str, ...] = ()
    mode: int = 0
    owner: tuple[int, int] = (0, 0)


class Shortage(Value):
    """What the kernel says of a process that it killed for lack of memory.

    `limited` is true if the container's own limit was met, not the machine's memory.
    """

    process: str = ""
    pid: int = 0
    held: int = 0
    limited: bool = True


class Port(Value):
    """A port of the container, and where on the host it is published."""

    port: int
    protocol: str = "tcp"
    host: str = ""

    @property
    def host_words(self) -> str:
        """Where it is published."""
        return f" at {self.host} of the host" if self.host else ""


class Bind(Value):
    """A place of the host, seen at `target`, with owner and mode as the host has them."""

    target: str
    source: str
    owner: tuple[int, int] = (0, 0)
    mode: int = 0o755
    readonly: bool = False
    empty: bool = False


class Facts(Value):
    """A container at one moment. Times are seconds.

    `started` tells whether its program ever ran. `signal` ended the last run; 0 if it ended by
    itself, whatever its exit code looks like. `sent` are the signals that knarr sent to the last
    run, as (number, seconds before its end); `stopped` says that `stop` did. `lost` means that
    nobody saw the end, `rebooted` that the machine went down meanwhile. `listening` are the
    addresses at which a running container takes TCP connections. With
    `own_processes` it has a PID namespace of its own: its first process is safe from the others.
    """

    name: str = "web"
    id: str = ""
    status: str = "exited"
    exit_code: int = 0
    signal: int = 0
    error: str = ""
    started: bool = True
    lasted: float = 60.0
    ended_ago: float = 0.0
    lost: bool = False
    rebooted: bool = False
    oom_killed: bool = False
    shortage: Shortage | None = None
    memory_limit: int = 0
    pids_limit: int = 0
    restart_count: int = 0
    restart_policy: str = "no"
    next_start: float = 0.0
    health: str = ""
    probe: tuple[str, ...] = ()
    probe_output: str = ""
    probe_code: int = 0
    probe_tool_missing: str = ""
    failing_streak: int = 0
    health_action: str = ""
    turned_unhealthy: float | None = None
    sent: tuple[tuple[int, float], ...] = ()
    stopped: bool = False
    stop_signal: str = "SIGTERM"
    command: tuple[str, ...] = ()
    init: bool = False
    own_processes: bool = True
    user: str = ""
    numbers: tuple[int, int] | None = None
    working_dir: str = ""
    tty: bool = False
    open_stdin: bool = False
    readonly: bool = False
    network: str = "bridge"
    timeout: int = 0
    image: str = ""
    host_platform: str = ""
    program: Program = Program()
    binds: tuple[Bind, ...] = ()
    full: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    listening: tuple[tuple[str, int], ...] | None = None
    holder: str = ""
    log: tuple[str, ...] = ()

    # what it is

    @property
    def failed(self) -> bool:
        """Tell whether it could not be started."""
        return self.status == "created" and bool(self.error)

    @property
    def ended(self) -> bool:
        """Tell whether its program ran and has ended."""
        return self.status in ("exited", "restarting", "dead")

    @property
    def unexecuted(self) -> bool:
        """Tell whether its program could not be executed, by whatever runtime."""
        return bool(self.error) and self.exit_code in (NOT_EXECUTABLE, NOT_FOUND)

    @property
    def unexecuted_late(self) -> bool:
        """Tell whether something in front, an init or a runtime, says that it could not execute it.

        Its file then has to show the same.
        """
        said = any(line.startswith(("exec ", "exec: ")) for line in self.log[-1:])
        return self.ended and self.exit_code != 0 and said

    @property
    def by_signal(self) -> int:
        """Return the signal that the exit code stands for, whoever died of it; 0 for none."""
        number = self.exit_code - SIGNAL_BASE
        return self.signal or (number if 0 < number <= TOP_SIGNAL else 0)

    @property
    def unprivileged(self) -> bool:
        """Tell whether it runs as somebody else than root."""
        return self.numbers is not None and self.numbers[0] != 0

    # what of it matters

    @property
    def denied_bind(self) -> Bind | None:
        """Return the mounted place of the host that the last denied line names."""
        return self._named(("denied", "eacces"), lambda _: True)

    @property
    def readonly_bind(self) -> Bind | None:
        """Return the read-only mount that the last line about a read-only file system names."""
        return self._named(("read-only", "erofs"), lambda bind: bind.readonly)

    @property
    def empty_bind(self) -> Bind | None:
        """Return an empty directory of the host that is mounted, and whose place the log names."""
        return self._named(("no such", "enoent", "find", "found"), lambda bind: bind.empty)

    @property
    def deaf_port(self) -> Port | None:
        """Return a published port at which nobody outside the container is answered."""
        if self.listening is None:
            return None
        heard = {port for address, port in self.listening if not _local(address)}
        return next((p for p in self.ports if p.protocol == "tcp" and p.port not in heard), None)

    @property
    def deaf_port_is_local(self) -> bool:
        """Tell whether somebody inside the container is answered there."""
        port = self.deaf_port
        return port is not None and any(number == port.port for _, number in self.listening or ())

    def _named(self, words: tuple[str, ...], fits: Callable[[Bind], bool]) -> Bind | None:
        """Return the deepest mount that the last line with one of `words` names."""
        for line in reversed(self.log):
            if any(word in line.lower() for word in words):
                named = [bind for bind in self.binds if fits(bind) and bind.target in line]
                return max(named, key=lambda bind: len(bind.target), default=None)
        return None

    # words for sentences

    @property
    def base(self) -> str:
        """The program's name without its directory."""
        return self.command[0].rpartition("/")[2] if self.command else "the program"

    @property
    def reference(self) -> str:
        """The image in words."""
        return f"the image {self.image}" if self.image else "the container's root"

    @property
    def signal_name(self) -> str:
        """The name of the signal that the exit code stands for."""
        return SIGNALS.get(self.by_signal, f"signal {self.by_signal}")

    @property
    def end_of_log(self) -> str:
        """The last lines of its log, which tell of its end."""
        return "\n".join(self.log[-_TELLING:])

    @property
    def last_line(self) -> str:
        """The last line of its log that says anything."""
        lines = [line.strip() for line in self.log if line.strip()]
        return lines[-1][:200] if lines else ""

    @property
    def others(self) -> str:
        """What may have been meant instead of the program's name."""
        return " or ".join(self.program.similar)

    @property
    def path_words(self) -> str:
        """Where the program was looked for."""
        return ", ".join(self.program.searched) or "no directory, for PATH is empty"

    @property
    def waited(self) -> str:
        """How long `stop` waited before it killed."""
        gap = self.sent[0][1] - self.sent[-1][1] if self.sent else 0.0
        return span_words(gap)

    @property
    def first_sent(self) -> str:
        """The name of the first signal that was sent."""
        if not self.sent:
            return self.stop_signal
        return SIGNALS.get(self.sent[0][0], f"signal {self.sent[0][0]}")

    @property
    def time(self) -> str:
        """How long the last run took."""
        return span_words(self.lasted)

    @property
    def timeout_words(self) -> str:
        """The time that it has."""
        return span_words(self.timeout)

    @property
    def delay(self) -> str:
        """How long it is to the next start."""
        return span_words(max(0.0, self.next_start))

    @property
    def ago(self) -> str:
        """How long ago it ended."""
        return span_words(self.ended_ago)

    @property
    def limit_words(self) -> str:
        """The memory limit."""
        from knarr.util.text import binary_size  # noqa: PLC0415 - for words alone

        return binary_size(self.memory_limit)

    @property
    def more_memory(self) -> str:
        """Twice the memory limit, as an option takes it."""
        return f"{max(1, self.memory_limit * 2 >> 20)}m"

    @property
    def victim(self) -> str:
        """The process that was killed for lack of memory, with what it held."""
        from knarr.util.text import binary_size  # noqa: PLC0415 - for words alone

        if self.shortage is None:
            return "a process of it"
        return f"{self.shortage.process}, which held {binary_size(self.shortage.held)}"

    @property
    def check(self) -> str:
        """The health check in words."""
        kind, *words = self.probe or ("",)
        if kind in ("CMD", "CMD-SHELL"):
            return " ".join(words)
        return f"{kind.lower()} {' '.join(words)}".strip()

    @property
    def probe_words(self) -> str:
        """What the last look at its health gave."""
        output = " ".join(self.probe_output.split())[:200]
        return f'"{output}"' if output else f"exit code {self.probe_code} and no output"

    @property
    def owner_words(self) -> str:
        """Who owns the program's file, and its mode."""
        uid, gid = self.program.owner
        return f"of user {uid} and group {gid} with mode {self.program.mode & 0o7777:04o}"

    @property
    def listening_words(self) -> str:
        """At which ports the container listens instead."""
        numbers = sorted({number for _, number in self.listening or ()})
        if not numbers:
            return "it listens on no port at all"
        return f"it listens on {', '.join(map(str, numbers))}"

    @property
    def server(self) -> str:
        """The name of what a shell runs that has one command to run, else of the program."""
        if self.base not in SHELLS or self.command[1:2] != ("-c",) or len(self.command) < 3:
            return self.base
        return (self.command[2].split() or [""])[0].rpartition("/")[2]

    @property
    def foreground(self) -> str:
        """How the program is kept in the foreground; empty if it stays there by itself."""
        command, words = DAEMONS.get(self.server, ("", ()))
        if any(word in " ".join(self.command[1:]) for word in words):
            return ""
        return command

    @property
    def user_words(self) -> str:
        """The user it runs as."""
        number = self.numbers[0] if self.numbers else 0
        name = self.user.partition(":")[0]
        return f"{name} ({number})" if name and name != str(number) else str(number)


class Explanation(Value):
    """A cause by its short name, the sentence about it, and what to do (may be empty).

    `certain` tells whether facts prove it; `aloud` that a command in the foreground, which ends
    for this cause, is to say so.
    """

    cause: str
    sentence: str
    fix: str = ""
    certain: bool = True
    aloud: bool = False

    @property
    def text(self) -> str:
        """The sentence, and on a line of its own the fix."""
        return f"{self.sentence}\n{self.fix}" if self.fix else self.sentence


def _local(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
