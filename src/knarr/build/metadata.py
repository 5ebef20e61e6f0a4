"""The instructions that change what the image says, not what it holds.

Each leaves a line in the history, in BuildKit's words: what Docker's users read there, and what a
later build compares, is the same whoever built the image.
"""

from __future__ import annotations

from knarr.build.dockerfile import instructions as ins
from knarr.build.dockerfile.fault import Fault
from knarr.build.dockerfile.ports import parse_port
from knarr.build.stage import join_env
from knarr.oci.config import Healthcheck
from knarr.oci.document import FrozenDict
from knarr.util.quoting import quote, quote_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from knarr.build.dockerfile.checks import Checks
    from knarr.build.stage import StageState

    Apply = Callable[[StageState, ins.Instruction, Checks], None]


def apply(state: StageState, instruction: ins.Instruction, checks: Checks) -> None:
    """Carry out an instruction that makes no layer, its variables replaced. Raises: Fault"""
    match instruction:
        case ins.Env():
            _env(state, instruction)
        case ins.Label():
            _label(state, instruction)
        case ins.Cmd() | ins.Entrypoint():
            _command(state, instruction, checks)
        case ins.Expose():
            _expose(state, instruction, checks)
        case ins.Healthcheck():
            _healthcheck(state, instruction)
        case ins.OnBuild():
            on_build = (*state.config.on_build, instruction.trigger)
            state.config = state.config.replace(on_build=on_build)
        case _:
            _simple(state, instruction)


def _simple(state: StageState, instruction: ins.Instruction) -> None:
    match instruction:
        case ins.User():
            state.config = state.config.replace(user=instruction.user)
            state.note(f"USER {instruction.user}")
        case ins.Volume():
            if "" in instruction.paths:
                message = "VOLUME specified can not be an empty string"
                raise Fault(message, word=instruction.node.name)
            volumes = _union(state.config.volumes, instruction.paths)
            state.config = state.config.replace(volumes=volumes)
            state.note(f"VOLUME {_list(instruction.paths)}")
        case ins.StopSignal():
            check_signal(instruction.signal)
            state.config = state.config.replace(stop_signal=instruction.signal)
            state.note(f"STOPSIGNAL {instruction.signal}")
        case ins.Shell():
            state.config = state.config.replace(shell=instruction.words)
            state.note(f"SHELL {_list(instruction.words)}")
        case ins.Maintainer():
            state.author = instruction.author
            state.note(f"MAINTAINER {instruction.author}")
        case _:
            raise AssertionError(instruction)


def declare(
    state: StageState,
    instruction: ins.Arg,
    *,
    given: Mapping[str, str],
    globals_: Mapping[str, str],
    expand: Callable[[str], str],
) -> None:
    """Carry out an ARG: its value comes from the command line, its default, or above all FROMs.

    Raises: Fault
    """
    written = []
    for argument in instruction.arguments:
        value = argument.default
        if argument.name in given:
            value = given[argument.name]
        elif value is not None:
            value = expand(value)
        else:
            value = globals_.get(argument.name)
        if value is not None:
            state.env[argument.name] = value
        state.arguments[argument.name] = value or ""
        written.append(argument.name if value is None else f"{argument.name}={value}")
    state.note(f"ARG {' '.join(written)}")


def _env(state: StageState, instruction: ins.Env) -> None:
    given = {pair.key: pair.value for pair in instruction.pairs}
    state.env.update(given)
    state.config = state.config.replace(env=join_env(state.config.env, given))
    state.note(f"ENV {_pairs(instruction)}")


def _label(state: StageState, instruction: ins.Label) -> None:
    given = {pair.key: pair.value for pair in instruction.pairs}
    state.config = state.config.replace(labels=FrozenDict({**state.config.labels, **given}))
    state.note(f"LABEL {_pairs(instruction)}")


def _pairs(instruction: ins.Env | ins.Label) -> str:
    return " ".join(f"{pair.key}={pair.value}" for pair in instruction.pairs)


def _command(state: StageState, instruction: ins.Cmd | ins.Entrypoint, checks: Checks) -> None:
    keyword = instruction.keyword
    words = instruction.command.words
    if instruction.command.shell:
        if not state.config.shell:
            message = (
                f"JSON arguments recommended for {instruction.node.name} to prevent unintended "
                "behavior related to OS signals"
            )
            checks.add("JSONArgsRecommended", message, instruction.node)
        words = state.shell(" ".join(words))
    if isinstance(instruction, ins.Cmd):
        state.command_given = True
        state.config = state.config.replace(cmd=words, args_escaped=True)
    else:
        # What a base image runs by default says nothing about another program.
        cmd = state.config.cmd if state.command_given else None
        state.config = state.config.replace(entrypoint=words or None, cmd=cmd)
    state.note(f"{keyword} {quote_list(words)}")


def _expose(state: StageState, instruction: ins.Expose, checks: Checks) -> None:
    exposed: list[str] = []
    for word in instruction.ports:
        for text in state.lexer.expand(word, state.env).words:
            port = parse_port(text)
            exposed += port.exposed
            if port.odd_case:
                message = f"Defined protocol '{text}' in EXPOSE instruction should be lowercase"
                checks.add("ExposeProtoCasing", message, instruction.node)
            if port.has_host_part:
                message = (
                    "EXPOSE instruction should not define an IP address or host-port mapping, "
                    f"found '{text}'"
                )
                checks.add("ExposeInvalidFormat", message, instruction.node)
    ports = _union(state.config.exposed_ports, exposed)
    state.config = state.config.replace(exposed_ports=ports)
    state.note(f"EXPOSE {_list(exposed)}")


def _healthcheck(state: StageState, instruction: ins.Healthcheck) -> None:
    check = Healthcheck(
        test=instruction.test,
        interval_ns=instruction.interval,
        timeout_ns=instruction.timeout,
        start_period_ns=instruction.start_period,
        start_interval_ns=instruction.start_interval,
        retries=instruction.retries,
    )
    state.config = state.config.replace(healthcheck=check)
    from knarr.util.durations import render_duration  # noqa: PLC0415 - few images have a check

    fields = (
        f"Test:{_list(instruction.test)}",
        f"Interval:{render_duration(check.interval_ns)}",
        f"Timeout:{render_duration(check.timeout_ns)}",
        f"StartPeriod:{render_duration(check.start_period_ns)}",
        f"StartInterval:{render_duration(check.start_interval_ns)}",
        f"Retries:{check.retries}",
    )
    state.note(f"HEALTHCHECK {{{' '.join(fields)}}}")


def check_signal(text: str) -> None:
    """Refuse what is neither a signal's number nor its name. Raises: Fault"""
    from signal import Signals  # noqa: PLC0415 - few Dockerfiles name one

    name = text.upper().removeprefix("SIG")
    if text.isascii() and text.isdigit() and int(text) > 0:
        return
    first, _, offset = name.partition("+" if name.startswith("RTMIN") else "-")
    realtime = first in ("RTMIN", "RTMAX") and offset.isdigit() and int(offset) <= 15
    if f"SIG{name}" in Signals.__members__ or realtime:
        return
    message = f"invalid signal: {text}"
    raise Fault(message, word=text, hint=f"A name as SIGTERM, or a number; not {quote(text)}.")


def _union(old: tuple[str, ...], new: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *new)))


def _list(words: Iterable[str]) -> str:
    return f"[{' '.join(words)}]"
