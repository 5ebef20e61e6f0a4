"""The instructions that make a layer, as vertices: RUN, COPY, ADD and WORKDIR."""

from __future__ import annotations

from knarr.build.dockerfile.fault import Fault
from knarr.build.dockerfile.heredocs import parse_heredoc
from knarr.build.dockerfile.instructions import Add
from knarr.build.dockerfile.instructions import Copy as CopyInstruction
from knarr.build.dockerfile.instructions import Run as RunInstruction
from knarr.build.graph import CONTEXT, Copy, Fetch, Files, MakeDirectory, Run, Vertex, make_vertex
from knarr.build.remote import COMMIT, GIT, LOCAL, is_git, is_remote, parse_remote, with_checksum
from knarr.build.times import VARIABLE
from knarr.errors import InvalidArgument
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from knarr.build.dockerfile.instructions import CommandLine, Transfer, Workdir
    from knarr.build.graph import RunMount
    from knarr.build.stage import StageState


class Surroundings(Value):
    """What the command line says about all steps."""

    network: str = "default"
    hosts: tuple[str, ...] = ()
    hostname: str = "buildkitsandbox"
    hidden: tuple[str, ...] = ()
    no_cache: bool = False
    allowed: frozenset[str] = frozenset()


def run(
    state: StageState,
    instruction: RunInstruction,
    around: Surroundings,
    mounts: tuple[tuple[RunMount, ...], tuple[Vertex, ...]],
    *,
    triggered: bool,
) -> None:
    """Add the vertex of a RUN with the mounts, and the inputs that those need. Raises: Fault"""
    devices = _entitled(instruction, around)
    words, script_path, script, summary = _arguments(instruction.command)
    arguments = state.shell(" ".join(words)) if instruction.command.shell else words
    if not arguments:
        message = "RUN requires a command"
        raise Fault(message, word=instruction.node.name)
    secret = [mount.env for mount in mounts[0] if mount.env]
    title = state.step_title(
        instruction, suffix=summary, triggered=triggered, quotes=True, secret=secret
    )
    operation = Run(
        arguments=arguments,
        env=_environment(state),
        working_dir=state.config.working_dir or "/",
        user=state.config.user,
        network=around.network if instruction.network == "default" else instruction.network,
        hosts=around.hosts,
        hostname=around.hostname,
        script_path=script_path,
        script=script,
        mounts=mounts[0],
        hidden=around.hidden,
        declared=tuple(state.arguments),
        epoch=state.epoch,
        insecure=instruction.security == "insecure",
        devices=devices,
    )
    vertex = _vertex(state, operation, mounts[1], title, instruction, around)
    state.note(f"RUN {_with_arguments(state, arguments)} # buildkit", vertex)


def _entitled(instruction: RunInstruction, around: Surroundings) -> tuple[str, ...]:
    """Return the devices of a step, once it is sure that it may have what it asks for.

    A Dockerfile is often somebody else's: what reaches beyond its container the user has to allow.
    """
    wanted = []
    if instruction.security == "insecure":
        wanted.append(("security.insecure", "--security"))
    if instruction.network == "host" and around.network != "host":
        wanted.append(("network.host", "--network"))
    devices = tuple(text.partition(",")[0].removeprefix("name=") for text in instruction.devices)
    if "device" not in around.allowed:
        wanted += [(f"device={name}", "--device") for name in devices]
    for entitlement, word in wanted:
        if entitlement not in around.allowed:
            message = f"{entitlement} is not allowed"
            raise Fault(message, word=word, hint=f"It is with --allow {entitlement}.")
    return devices


def _environment(state: StageState) -> tuple[str, ...]:
    """Return the environment of a command, with the time that it may write down."""
    if state.epoch is None or VARIABLE in state.env:
        return state.environment()
    return (*state.environment(), f"{VARIABLE}={state.epoch}")


def _arguments(command: CommandLine) -> tuple[tuple[str, ...], str, str, str]:
    """Return what to execute, path and text of a script, and what to show of a heredoc."""
    if not command.heredocs:
        return command.words, "", "", ""
    first = command.heredocs[0]
    if parse_heredoc(command.words[0]) is None:
        lines = [command.words[0], *(each.body + each.name for each in command.heredocs)]
        return ("\n".join(lines),), "", "", ""
    summary = f" ({_summary(first.body)})"
    if first.content.startswith("#!"):
        path = f"/dev/pipes/{first.name}"
        return (path,), path, first.content, summary
    return (first.content,), "", "", summary


def _summary(text: str) -> str:
    first, _, rest = text.strip().replace("\r\n", "\n").partition("\n")
    return f"{first}..." if rest else first


def _with_arguments(state: StageState, words: tuple[str, ...]) -> str:
    """Return the command as the history has it: after the values of all ARGs so far."""
    given = [f"{name}={state.env.get(name, value)}" for name, value in state.arguments.items()]
    return " ".join(((f"|{len(given)}", *given) if given else ()) + words)


def workdir(
    state: StageState, instruction: Workdir, around: Surroundings, *, triggered: bool
) -> None:
    """Change the working directory, and make it."""
    path = state.place(instruction.path)
    state.config = state.config.replace(working_dir=path)
    vertex = None
    if path != "/":
        title = state.step_title(instruction, triggered=triggered)
        operation = Files((MakeDirectory(path, owner=state.config.user),), state.epoch)
        vertex = _vertex(state, operation, (), title, instruction, around)
    state.note(f"WORKDIR {path}", vertex)


def transfer(
    state: StageState,
    instruction: Transfer,
    origin: Vertex | None,
    around: Surroundings,
    *,
    triggered: bool,
) -> None:
    """Add the vertex of a COPY or ADD, of files of `origin` or of the context. Raises: Fault"""
    if instruction.chmod:
        from knarr.build.modes import parse_mode  # noqa: PLC0415 - few instructions have one

        parse_mode(instruction.chmod)
    inputs = [] if origin is None else [origin]
    origins: dict[str, int] = {}
    if isinstance(instruction, Add):
        for source, fetched in _remote_sources(instruction, around).items():
            inputs.append(fetched)
            origins[source] = len(inputs)
    else:
        _refuse_remote(instruction)
    destination = state.place(instruction.destination, keep_slash=True)
    title = state.step_title(instruction, triggered=triggered)
    copies = _copies(instruction, destination, CONTEXT if origin is None else 1, origins)
    copies = tuple(
        each.replace(earliest=state.epoch) if _is_from_disk(each, inputs) else each
        for each in copies
    )
    vertex = _vertex(state, Files(copies, state.epoch), tuple(inputs), title, instruction, around)
    state.note(_written(instruction), vertex)


def _is_from_disk(copy: Copy, inputs: Sequence[Vertex]) -> bool:
    """Tell whether the times of what is copied are those of somebody's working directory."""
    if copy.origin == CONTEXT:
        return copy.content is None
    operation = inputs[copy.origin - 1].operation
    if not isinstance(operation, Fetch) or operation.mtime == COMMIT:
        return False
    return operation.kind in (GIT, LOCAL)


def _copies(
    instruction: Transfer, destination: str, origin: int, origins: Mapping[str, int]
) -> tuple[Copy, ...]:
    """Return what to copy: from `origin`, but for the sources in `origins`, which were fetched."""
    several = len(instruction.sources) + len(instruction.inline) > 1
    parents = isinstance(instruction, CopyInstruction) and instruction.parents
    common = Copy(
        origin=origin,
        source="",
        destination=destination,
        chown=instruction.chown,
        chmod=instruction.chmod,
        exclude=instruction.exclude,
        parents=parents,
        unpack=isinstance(instruction, Add) and instruction.unpack is not False,
        several=several,
    )
    files = [
        _fetched(common, source, origins[source], instruction)
        if source in origins
        else common.replace(source=source)
        for source in instruction.sources
    ]
    inline = [
        common.replace(
            source=heredoc.name,
            content=heredoc.content,
            parents=False,
            unpack=False,
        )
        for heredoc in instruction.inline
    ]
    return (*files, *inline)


def _fetched(common: Copy, source: str, origin: int, instruction: Transfer) -> Copy:
    """Return how what was fetched gets to its place; an archive is unpacked on demand alone."""
    unpack = isinstance(instruction, Add) and instruction.unpack is True
    name = parse_remote(source).name if not is_git(source) else "."
    return common.replace(origin=origin, source=_literal(name), unpack=unpack)


def _literal(name: str) -> str:
    """Return the pattern that means exactly `name`."""
    return "".join(f"\\{letter}" if letter in "*?[\\" else letter for letter in name)


def _remote_sources(instruction: Add, around: Surroundings) -> dict[str, Vertex]:
    """Return what fetches each source that is remote. Raises: Fault"""
    found: dict[str, Vertex] = {}
    lines = (instruction.node.first, instruction.node.last)
    if instruction.checksum and len(instruction.sources) != 1:
        message = "checksum can't be specified for multiple sources"
        raise Fault(message, word="--checksum")
    for source in instruction.sources:
        if not is_remote(source):
            if instruction.checksum:
                message = "checksum requires HTTP(S) or Git sources"
                raise Fault(message, word="--checksum")
            continue
        try:
            fetch = parse_remote(source)
            if instruction.checksum:
                fetch = with_checksum(fetch, instruction.checksum)
        except InvalidArgument as error:
            raise Fault(error.message, word=source, hint=error.hint) from None
        if fetch.kind == GIT and instruction.keep_git_dir is not None:
            fetch = fetch.replace(keep_git_dir=instruction.keep_git_dir)
        found[source] = make_vertex(fetch, name=source, lines=lines, no_cache=around.no_cache)
    return found


def _refuse_remote(instruction: Transfer) -> None:
    for source in instruction.sources:
        if is_remote(source):
            kind = "git ref" if is_git(source) else "URL"
            message = f"source can't be a {kind} for COPY"
            raise Fault(message, word=source, hint="ADD takes remote sources.")


def _written(instruction: Transfer) -> str:
    words = [instruction.keyword]
    if isinstance(instruction, CopyInstruction) and instruction.parents:
        words.append("--parents")
    if instruction.chown:
        words.append(f"--chown={instruction.chown}")
    if instruction.chmod:
        words.append(f"--chmod={instruction.chmod}")
    words += instruction.sources
    words += [f"<<{heredoc.name}" for heredoc in instruction.inline]
    return " ".join((*words, instruction.destination, "# buildkit"))


def _vertex(
    state: StageState,
    operation: Run | Files,
    others: tuple[Vertex, ...],
    title: str,
    instruction: RunInstruction | Transfer | Workdir,
    around: Surroundings,
) -> Vertex:
    assert state.vertex is not None
    return make_vertex(
        operation,
        (state.vertex, *others),
        name=title,
        lines=(instruction.node.first, instruction.node.last),
        no_cache=around.no_cache,
    )
