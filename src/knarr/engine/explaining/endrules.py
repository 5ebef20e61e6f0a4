"""Why a program that ran has ended: by the signals sent to it, its limits, its status."""

from __future__ import annotations

from knarr.engine.explaining.knowledge import PROMPTS, SHELLS
from knarr.engine.explaining.rules import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.explaining.facts import Facts

SIGKILL = 9
SHORT = 3.0  # seconds in which nobody has done anything useful in a shell
_SOON = 60.0  # seconds within which what goes to the background has done so
_STOP_TIME = 15.0  # seconds within which a container that is to end for its health has ended
_SLACK = 1.0  # seconds by which the end may come after what caused it


def _waits_for_input(facts: Facts) -> bool:
    idle = facts.base in SHELLS | PROMPTS and len(facts.command) == 1
    return idle and not facts.open_stdin and not facts.tty and facts.lasted < SHORT


def _input_ended(facts: Facts) -> bool:
    idle = facts.base in SHELLS | PROMPTS and len(facts.command) == 1
    return idle and facts.open_stdin and not facts.tty


def _swallowed(facts: Facts) -> bool:
    numbers = [number for number, _ in facts.sent]
    several = len(numbers) > 1 and numbers[-1] == SIGKILL and numbers[0] != SIGKILL
    return facts.stopped and several and facts.by_signal == SIGKILL


def _wrapped(facts: Facts) -> bool:
    return _swallowed(facts) and facts.base in SHELLS and "-c" in facts.command[1:2]


def _met_limit(facts: Facts) -> bool:
    limited = facts.shortage is not None and facts.shortage.limited
    return facts.oom_killed and facts.memory_limit > 0 and limited


def _sent(facts: Facts) -> bool:
    return facts.by_signal in {number for number, _ in facts.sent}


def _out_of_time(facts: Facts) -> bool:
    over = facts.lasted - facts.timeout
    return facts.signal == SIGKILL and facts.timeout > 0 and 0.0 <= over < _SLACK and not facts.sent


def _killed_as_unhealthy(facts: Facts) -> bool:
    if facts.health_action not in ("kill", "stop", "restart") or facts.turned_unhealthy is None:
        return False
    return facts.turned_unhealthy < _STOP_TIME and facts.by_signal > 0


def _crashed(number: int, cause: str, about: str, says: str, fix: str) -> tuple[Rule, Rule]:
    """Return the rules for a signal that the program itself is the cause of.

    When it was the first process that died, the kernel told us; else a shell, or the init of
    `--init`, has handed its child's end on as an exit code, or somebody chose that code.
    """
    return (
        Rule(
            cause, about, f"{{f.base}} {says}", fix,
            when=lambda f: f.signal == number, aloud=True,
        ),
        Rule(
            f"{cause}-inside", f"{about}, in a process that the first one started",
            f"Exit code {{f.exit_code}} means that most likely a process that {{f.base}} started"
            f" {says}",
            fix,
            when=lambda f: f.by_signal == number, certain=False,
        ),
    )  # fmt: skip


def _told(number: int, cause: str, about: str, says: str, fix: str) -> tuple[Rule, Rule]:
    """Return the rules for a signal that asks a program to end: it may do so with its exit code."""
    return (
        Rule(cause, about, f"It {says}", fix, when=lambda f: f.signal == number),
        Rule(
            f"{cause}-by-code", f"{about}, as the exit code says",
            f"Exit code {{f.exit_code}} means that most likely it {says}", fix,
            when=lambda f: f.by_signal == number, certain=False,
        ),
    )  # fmt: skip


FIRST_RULES = (
    Rule(
        "host-rebooted",
        "the machine went down while it ran",
        "The machine was restarted, or lost its power, while it ran.",
        "Start it again: knarr start {f.name}; with --restart and a unit of knarr system unit that"
        " happens by itself.",
        when=lambda f: f.rebooted,
    ),
    Rule(
        "end-unseen",
        "nobody saw the end, for the supervisor had been killed",
        "How it ended is not known, for its supervisor was killed and nobody saw the end.",
        "Start it again: knarr start {f.name}",
        when=lambda f: f.lost,
    ),
    Rule(
        "memory-limit",
        "its memory limit was met, and the kernel killed the program",
        "The kernel killed {f.victim}, because the container's memory limit of {f.limit_words} was"
        " met.",
        "Give it more, as with -m {f.more_memory}, or let it use less.",
        when=lambda f: _met_limit(f) and f.by_signal == SIGKILL,
        aloud=True,
    ),
    Rule(
        "memory-limit-inside",
        "its memory limit was met, and the kernel killed a process beside the first one",
        "The kernel killed {f.victim}, because the container's memory limit of {f.limit_words} was"
        " met, and then {f.base} ended with status {f.exit_code}.",
        "Give it more, as with -m {f.more_memory}, or let it use less.",
        when=_met_limit,
    ),
    Rule(
        "memory-short",
        "memory ran out, and the kernel's log does not say whether the limit or the machine's",
        "The kernel killed a process of it for lack of memory; its own limit is {f.limit_words}.",
        "Give it more, as with -m {f.more_memory}, or let it use less; dmesg may tell more.",
        when=lambda f: f.oom_killed and f.memory_limit > 0 and f.shortage is None,
        aloud=True,
    ),
    Rule(
        "memory-of-host",
        "the machine had no memory left",
        "The kernel killed {f.victim}, because the machine had no memory left.",
        "It has too little for all that runs on it; -m keeps one container from taking it all.",
        when=lambda f: f.oom_killed,
        aloud=True,
    ),
    Rule(
        "time-limit",
        "--timeout had passed",
        "{f.base} was killed because its --timeout of {f.timeout_words} had passed.",
        "Give it more time, or none: --timeout 0.",
        when=_out_of_time,
        aloud=True,
    ),
    Rule(
        "killed-as-unhealthy",
        "--health-on-failure ended it",
        "It was ended because its health check failed and --health-on-failure is"
        " {f.health_action}; the last probe gave {f.probe_words}.",
        "Try the check by hand: knarr exec {f.name} {f.check}; slow starters need"
        " --health-start-period.",
        when=_killed_as_unhealthy,
    ),
    Rule(
        "stop-swallowed-by-shell",
        "`stop` had to kill it, for a shell in front does not hand signals on",
        "knarr stop had to kill it after {f.waited}: its first process is {f.base} -c, which does"
        " not hand {f.first_sent} on to what it runs.",
        'Write CMD and ENTRYPOINT in brackets (["program", "argument"]), let the shell exec the'
        " program, or use --init.",
        when=_wrapped,
    ),
    Rule(
        "stop-swallowed",
        "`stop` had to kill it, for it does not end by its stop signal",
        "knarr stop had to kill {f.base} after {f.waited}, because it did not end by"
        " {f.first_sent}, which a first process ignores unless it handles it.",
        "Use --init, have the program handle it, name another with --stop-signal, or wait longer:"
        " stop -t.",
        when=_swallowed,
    ),
    Rule(
        "stopped",
        "`stop` ended it",
        "It was stopped with knarr stop ({f.first_sent}) {f.ago} ago, and ended with status"
        " {f.exit_code}.",
        "Start it again: knarr start {f.name}",
        when=lambda f: f.stopped,
    ),
    Rule(
        "killed",
        "`kill` or `rm -f` ended it",
        "It was killed with knarr kill ({f.signal_name}) {f.ago} ago.",
        "Start it again: knarr start {f.name}",
        when=lambda f: f.by_signal > 0 and _sent(f),
    ),
    Rule(
        "ended-by-signal-sent",
        "it ended by itself after `kill` sent a signal",
        "It ended with status {f.exit_code} just after knarr kill sent it {f.first_sent}.",
        "Start it again: knarr start {f.name}",
        when=lambda f: not f.by_signal and any(seconds < SHORT for _, seconds in f.sent),
    ),
)

SIGNAL_RULES = (
    Rule(
        "killed-from-outside",
        "somebody on the host killed it",
        "{f.base} was killed (SIGKILL) by somebody on the host: knarr did not, and it had not run"
        " out of memory.",
        "See what on the host kills processes: scripts, systemd-oomd, an operator.",
        when=lambda f: f.signal == SIGKILL and f.own_processes,
        aloud=True,
    ),
    Rule(
        "killed-inside",
        "a process beside the first one was killed",
        "Exit code 137 means that most likely a process that {f.base} started was killed"
        " (SIGKILL), and not for its memory.",
        "See its log: knarr logs {f.name}",
        when=lambda f: f.by_signal == SIGKILL,
        certain=False,
    ),
    *_crashed(
        11, "segmentation-fault", "it crashed: SIGSEGV",
        "crashed: it used memory that is not its own (SIGSEGV).",
        "That is a fault of the program, or libraries of the image do not fit it.",
    ),
    *_crashed(
        4, "illegal-instruction", "it used an instruction that the processor does not have: SIGILL",
        "used an instruction that this processor does not have (SIGILL).",
        "Build it for an older processor (x86-64-v1 say), or run it on a newer one.",
    ),
    *_crashed(
        7, "bus-error", "it used memory that is not there: SIGBUS",
        "used memory that is not there (SIGBUS).",
        "Often /dev/shm is too small: --shm-size 256m; or a mapped file was cut short.",
    ),
    *_crashed(
        8, "arithmetic", "it divided by zero or the like: SIGFPE",
        "divided by zero, or the like (SIGFPE).",
        "That is a fault of the program.",
    ),
    *_crashed(
        31, "call-forbidden", "it made a system call that is forbidden: SIGSYS",
        "made a system call that its seccomp profile answers with death (SIGSYS).",
        "Allow the call in a profile of your own: --security-opt seccomp=FILE; dmesg names it.",
    ),
    *_crashed(
        13, "pipe-closed", "it wrote to a pipe that nobody reads: SIGPIPE",
        "wrote to a pipe that nobody reads any more (SIGPIPE).",
        "See why what reads its output ended first.",
    ),
    *_told(
        2, "interrupted", "Ctrl-C, or SIGINT from elsewhere",
        "was interrupted (SIGINT), as Ctrl-C does.",
        "Run it with -d if the terminal is not to end it.",
    ),
    *_told(
        1, "terminal-closed", "its terminal went away: SIGHUP",
        "was told that its terminal has gone (SIGHUP).",
        "Run it with -d if it is to go on without a terminal.",
    ),
    *_told(
        15, "terminated", "SIGTERM, not from knarr",
        "ended by SIGTERM, which knarr did not send: a process of its own did, or one of the host.",
        "See who sends signals to it: in its log, or in what looks after it on the host.",
    ),
)  # fmt: skip

# These come after the log, in which programs that give up say why.
LATE_RULES = (
    *_crashed(
        6,
        "aborted",
        "it gave itself up: SIGABRT",
        "gave itself up (SIGABRT), as programs do when something is wrong inside.",
        "Its log should say why: knarr logs {f.name}",
    ),
    Rule(
        "other-signal",
        "any other signal, not from knarr",
        "{f.base} ended by {f.signal_name}, which knarr did not send.",
        "See its log: knarr logs {f.name}",
        when=lambda f: f.signal > 0,
    ),
)  # fmt: skip

QUIET_RULES = (
    Rule(
        "shell-without-input",
        "a shell or prompt without any input",
        "{f.base} had no input, so that it had nothing to do and ended at once.",
        "Keep its input open and give it a terminal: knarr run -it; or give it a command.",
        when=lambda f: f.exit_code == 0 and _waits_for_input(f),
    ),
    Rule(
        "input-ended",
        "a shell or prompt whose input ended",
        "{f.base} came to the end of its input, and ended.",
        "Use -it for a terminal; with -d its input stays open for knarr attach.",
        when=lambda f: f.exit_code == 0 and _input_ended(f),
    ),
    Rule(
        "went-to-background",
        "a server that goes to the background",
        "{f.server} most likely went on in the background, and a container ends with its first"
        " process.",
        "Keep it in the foreground: {f.foreground}.",
        when=lambda f: f.exit_code == 0 and bool(f.foreground) and f.lasted < _SOON,
        certain=False,
    ),
    Rule(
        "done",
        "it ended by itself with success",
        "{f.base} ended by itself after {f.time}, with success.",
        "If it should go on, its command must be one that stays in the foreground.",
        when=lambda f: f.exit_code == 0,
    ),
)

LAST_RULES = (
    Rule(
        "own-status-saying",
        "it ended with a status of its own, and its log ends with words",
        "{f.base} ended by itself with status {f.exit_code} after {f.time}; the last line of its"
        ' log is "{f.last_line}".',
        "See its log: knarr logs {f.name}; try by hand: knarr run --rm -it --entrypoint sh"
        " {f.image}",
        when=lambda f: bool(f.last_line),
    ),
    Rule(
        "own-status",
        "it ended with a status of its own, and said nothing",
        "{f.base} ended by itself with status {f.exit_code} after {f.time}, without a word.",
        "Try by hand: knarr run --rm -it --entrypoint sh {f.image}",
    ),
)
