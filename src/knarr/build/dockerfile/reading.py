"""From nodes to instructions: each keyword's flags and arguments checked, in BuildKit's words."""

from __future__ import annotations

import re

from knarr.build.dockerfile.fault import Fault
from knarr.build.dockerfile.flags import Flags
from knarr.build.dockerfile.heredocs import parse_heredoc
from knarr.build.dockerfile.instructions import (
    Add,
    Arg,
    Argument,
    Cmd,
    CommandLine,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from knarr.build.dockerfile.nodes import KEYWORDS
from knarr.util.quoting import quote
from knarr.util.suggest import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.build.dockerfile.heredocs import Heredoc
    from knarr.build.dockerfile.nodes import Node, Pair

_STAGE_NAME = r"[a-z][a-z0-9\-_.]*"
_ONBUILD = r"(?i)\s*ONBUILD\s*"
_NETWORKS = ("default", "none", "host")
_SECURITIES = ("sandbox", "insecure")


def read_instruction(node: Node) -> Instruction:
    """Return the instruction that `node` is. Raises: Fault"""
    read = _READERS.get(node.keyword)
    if read is None:
        suggestion = did_you_mean(node.name, KEYWORDS, case_sensitive=False)
        message = f"unknown instruction: {node.name}{suggestion}"
        raise Fault(message, word=node.name)
    return read(node)


def _exactly_one(node: Node) -> str:
    if len(node.words) != 1:
        message = f"{node.name.upper()} requires exactly one argument"
        raise Fault(message, word=node.name)
    return node.words[0]


def _at_least_one(node: Node) -> tuple[str, ...]:
    if not node.words:
        message = f"{node.name.upper()} requires at least one argument"
        raise Fault(message, word=node.name)
    return node.words


def _from(node: Node) -> From:
    words = node.words
    stage = ""
    if len(words) == 3 and words[1].lower() == "as":
        stage = words[2].lower()
        if not re.fullmatch(_STAGE_NAME, stage):
            message = (
                f"invalid name for build stage: {quote(words[2])}, "
                "name can't start with a number or contain symbols"
            )
            raise Fault(message, word=words[2])
    elif len(words) != 1:
        message = "FROM requires either one or three arguments"
        raise Fault(message, word=node.name)
    flags = Flags(node.flags, texts=("platform",))
    return From(node=node, base=words[0], stage=stage, platform=flags.text("platform"))


def _command_line(node: Node) -> CommandLine:
    words = node.words if node.json else (" ".join(node.words),) if node.words else ()
    return CommandLine(words=words, shell=not node.json, heredocs=node.heredocs)


def _run(node: Node) -> Run:
    flags = Flags(node.flags, lists=("mount", "device"), texts=("network", "security"))
    network = flags.text("network", "default")
    if network not in _NETWORKS:
        message = f"invalid network mode {quote(network)}"
        raise Fault(message, word="--network")
    security = flags.text("security", "sandbox")
    if security not in _SECURITIES:
        message = f"security {quote(security)} is not valid"
        raise Fault(message, word="--security")
    if flags.texts("mount"):
        from knarr.build.dockerfile.mounts import check_mount  # noqa: PLC0415 - few steps have any

        for mount in flags.texts("mount"):
            check_mount(mount)
    return Run(
        node=node,
        command=_command_line(node),
        mounts=flags.texts("mount"),
        network=network,
        security=security,
        devices=flags.texts("device"),
    )


def _cmd(node: Node) -> Cmd:
    Flags(node.flags)
    return Cmd(node=node, command=_command_line(node))


def _entrypoint(node: Node) -> Entrypoint:
    Flags(node.flags)
    return Entrypoint(node=node, command=_command_line(node))


def _pairs(node: Node) -> tuple[Pair, ...]:
    Flags(node.flags)
    if not node.pairs:
        _at_least_one(node)
    for pair in node.pairs:
        if not pair.key:
            message = f"{node.name.upper()} names can not be blank"
            raise Fault(message, word=f"={pair.value}")
    return node.pairs


def _transfer(node: Node) -> tuple[tuple[str, ...], tuple[Heredoc, ...], str]:
    """Return sources, heredocs that are sources, and the destination."""
    name = node.name.upper()
    if len(node.words) < 2:
        message = (
            f"{name} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )
        raise Fault(message, word=node.name)
    *sources, destination = node.words
    if _heredoc(destination) is not None:
        message = f"{name} cannot accept a heredoc as a destination"
        raise Fault(message, word=destination)
    bodies = {heredoc.name: heredoc for heredoc in node.heredocs}
    files, inline = [], []
    for source in sources:
        heredoc = _heredoc(source)
        if heredoc is None:
            files.append(source)
        else:
            inline.append(bodies.get(heredoc.name, heredoc))
    return tuple(files), tuple(inline), destination


def _heredoc(word: str) -> Heredoc | None:
    try:
        return parse_heredoc(word)
    except Fault:
        return None


def _copy(node: Node) -> Copy:
    if len(node.words) < 2:
        _transfer(node)
    flags = Flags(
        node.flags,
        texts=("chown", "from", "chmod"),
        switches=("link", "parents"),
        lists=("exclude",),
    )
    sources, inline, destination = _transfer(node)
    return Copy(
        node=node,
        sources=sources,
        inline=inline,
        destination=destination,
        origin=flags.text("from"),
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=flags.switch("link") or False,
        parents=flags.switch("parents") or False,
        exclude=flags.texts("exclude"),
    )


def _add(node: Node) -> Add:
    if len(node.words) < 2:
        _transfer(node)
    flags = Flags(
        node.flags,
        texts=("chown", "chmod", "checksum"),
        switches=("link", "keep-git-dir", "unpack"),
        lists=("exclude",),
    )
    sources, inline, destination = _transfer(node)
    return Add(
        node=node,
        sources=sources,
        inline=inline,
        destination=destination,
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=flags.switch("link") or False,
        keep_git_dir=flags.switch("keep-git-dir"),
        checksum=flags.text("checksum"),
        unpack=flags.switch("unpack"),
        exclude=flags.texts("exclude"),
    )


def _arg(node: Node) -> Arg:
    Flags(node.flags)
    arguments = []
    for word in _at_least_one(node):
        name, equals, default = word.partition("=")
        if not name:
            message = "ARG names can not be blank"
            raise Fault(message, word=word)
        description = describe(node.comments, name)
        arguments.append(Argument(name, default if equals else None, description))
    return Arg(node=node, arguments=tuple(arguments))


def describe(comments: tuple[str, ...], name: str) -> str:
    """Return the comment that begins with `name`, without it."""
    if name:
        for comment in comments:
            if comment.startswith(f"{name} "):
                return comment[len(name) + 1 :]
    return ""


def _healthcheck(node: Node) -> Healthcheck:
    kind, *arguments = _at_least_one(node)
    kind = kind.upper()
    if kind == "NONE":
        if arguments:
            message = "HEALTHCHECK NONE takes no arguments"
            raise Fault(message, word=arguments[0])
        return Healthcheck(node=node, test=("NONE",))
    durations = ("interval", "timeout", "start-period", "start-interval")
    flags = Flags(node.flags, texts=(*durations, "retries"))
    if kind != "CMD":
        message = f"Unknown type {quote(kind)} in HEALTHCHECK (try CMD)"
        raise Fault(message, word=node.words[0])
    if not arguments:
        message = "Missing command after HEALTHCHECK CMD"
        raise Fault(message, word=node.words[0])
    return Healthcheck(
        node=node,
        test=("CMD", *arguments) if node.json else ("CMD-SHELL", " ".join(arguments)),
        interval=_duration(flags, "interval"),
        timeout=_duration(flags, "timeout"),
        start_period=_duration(flags, "start-period"),
        start_interval=_duration(flags, "start-interval"),
        retries=_retries(flags.text("retries")),
    )


def _duration(flags: Flags, name: str) -> int:
    text = flags.text(name)
    if not text:
        return 0
    from knarr.util.durations import MILLISECOND, parse_duration  # noqa: PLC0415 - seldom given

    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise Fault(str(error), word=f"--{name}") from None
    if duration != 0 and duration < MILLISECOND:
        message = f"Interval {quote(name)} cannot be less than 1ms"
        raise Fault(message, word=f"--{name}")
    return duration


def _retries(text: str) -> int:
    if not text:
        return 0
    digits = text.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        message = f"strconv.ParseInt: parsing {quote(text)}: invalid syntax"
        raise Fault(message, word="--retries")
    if text.startswith("-"):
        message = f"--retries cannot be negative ({text})"
        raise Fault(message, word="--retries")
    if int(text) >= 1 << 31:
        message = f"strconv.ParseInt: parsing {quote(text)}: value out of range"
        raise Fault(message, word="--retries")
    return int(text)


def _expose(node: Node) -> Expose:
    ports = _at_least_one(node)
    Flags(node.flags)
    return Expose(node=node, ports=tuple(sorted(ports)))


def _volume(node: Node) -> Volume:
    words = _at_least_one(node)
    Flags(node.flags)
    paths = tuple(word.strip() for word in words)
    if "" in paths:
        message = "VOLUME specified can not be an empty string"
        raise Fault(message, word=node.name)
    return Volume(node=node, paths=paths)


def _onbuild(node: Node) -> OnBuild:
    if node.inner is None:
        _at_least_one(node)
        raise AssertionError
    Flags(node.flags)
    inner = node.inner.name.upper()
    if inner == "ONBUILD":
        message = "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"
        raise Fault(message, word=node.inner.name)
    if inner in ("FROM", "MAINTAINER"):
        message = f"{inner} isn't allowed as an ONBUILD trigger"
        raise Fault(message, word=node.inner.name)
    lines = [re.sub(_ONBUILD, "", node.text, count=1)]
    lines += [heredoc.body + heredoc.name for heredoc in node.heredocs]
    return OnBuild(node=node, trigger="\n".join(lines))


def _shell(node: Node) -> Shell:
    Flags(node.flags)
    words = _at_least_one(node)
    if not node.json:
        message = "SHELL requires the arguments to be in JSON form"
        raise Fault(message, word=words[0])
    return Shell(node=node, words=words)


def _maintainer(node: Node) -> Maintainer:
    author = _exactly_one(node)
    Flags(node.flags)
    return Maintainer(node=node, author=author)


def _workdir(node: Node) -> Workdir:
    path = _exactly_one(node)
    Flags(node.flags)
    return Workdir(node=node, path=path)


def _user(node: Node) -> User:
    user = _exactly_one(node)
    Flags(node.flags)
    return User(node=node, user=user)


def _stopsignal(node: Node) -> StopSignal:
    signal = _exactly_one(node)
    Flags(node.flags)
    return StopSignal(node=node, signal=signal)


_READERS: dict[str, Callable[[Node], Instruction]] = {
    "add": _add,
    "arg": _arg,
    "cmd": _cmd,
    "copy": _copy,
    "entrypoint": _entrypoint,
    "env": lambda node: Env(node=node, pairs=_pairs(node)),
    "expose": _expose,
    "from": _from,
    "healthcheck": _healthcheck,
    "label": lambda node: Label(node=node, pairs=_pairs(node)),
    "maintainer": _maintainer,
    "onbuild": _onbuild,
    "run": _run,
    "shell": _shell,
    "stopsignal": _stopsignal,
    "user": _user,
    "volume": _volume,
    "workdir": _workdir,
}
