"""From instructions to the graph of what has to be done for one target.

Stages are lowered when something needs them, so what nobody needs costs nothing and cannot fail.
Nothing is carried out here; only images are looked up, since what an image says (its environment,
its ONBUILD triggers) decides what the instructions mean.
"""

from __future__ import annotations

from posixpath import normpath

from knarr.build import metadata, steps
from knarr.build.arguments import global_arguments, platform_arguments, unused
from knarr.build.dockerfile import instructions as ins
from knarr.build.dockerfile.expansion import expand
from knarr.build.dockerfile.fault import Fault
from knarr.build.dockerfile.linting import check_program, check_stage
from knarr.build.dockerfile.program import parse_trigger
from knarr.build.dockerfile.words import Lexer
from knarr.build.froms import Froms
from knarr.build.graph import Fetch, Image, Vertex, make_vertex
from knarr.build.stage import StageState, Written
from knarr.build.steps import Surroundings
from knarr.build.times import CONTEXT, VARIABLE, Times, is_number
from knarr.oci.document import FrozenDict
from knarr.util.quoting import quote
from knarr.util.suggest import did_you_mean
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from knarr.build.dockerfile.checks import Checks
    from knarr.build.dockerfile.nodes import Node
    from knarr.build.dockerfile.program import Program
    from knarr.build.graph import RunMount
    from knarr.build.worker import Base, Resolver
    from knarr.oci.config import History, RunConfig
    from knarr.oci.descriptor import Platform

_STEPS = (ins.Run, ins.Transfer, ins.Workdir)
_QUOTES_KEPT = Lexer(ignore_quotes=True)


class Demand(Value):
    """What is asked of a Dockerfile, beside what it says.

    `ignored` tells whether .dockerignore leaves a path out, if that can be told from the path.
    `contexts` are images and sources that take the place of stages and images of these names.
    `several` says that there are other platforms, so that steps are shown with theirs. `uncached`
    are names and numbers of stages that are built without the cache. `context_time` is when the
    context was changed, if it says, `time_of` tells it of other sources; with `clamped` no time is
    after SOURCE_DATE_EPOCH.
    """

    build: Platform
    platform: Platform | None = None
    target: str = ""
    arguments: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    around: Surroundings = Surroundings()
    times: Times = Times()
    uncached: frozenset[str] = frozenset()
    ignored: Callable[[str], bool] | None = None
    contexts: Mapping[str, str | Fetch] = {}
    context_time: int | None = None
    time_of: Callable[[Fetch], int | None] | None = None
    clamped: bool = False
    several: bool = False


class Lowered(Value):
    """The work for one target, and what the image says when it is done.

    `epoch` is when it is said to be made, `latest` the last time that its files have; `held` is to
    what who builds wants these to be held down.
    """

    vertex: Vertex
    config: RunConfig
    platform: Platform
    author: str
    inherited: tuple[History, ...]
    history: tuple[Written, ...]
    base_image: str
    epoch: int | None
    latest: int | None
    held: int | None
    unused: tuple[str, ...]


class Lowering:
    """One Dockerfile being lowered.

    `at` is the instruction it has come to, and `word` the word that is looked at, for errors.
    `states` are the stages that `target` was found to need, `globals` what is known to FROM lines.
    """

    def __init__(
        self, program: Program, demand: Demand, *, worker: Resolver, checks: Checks
    ) -> None:
        self.at: Node | None = None
        self.word = ""
        self.program = program
        self._source = program.document.source
        self._demand = demand
        self._worker = worker
        self._checks = checks
        self._lexer = Lexer(escape=program.document.escape)
        self.states: dict[int, StageState] = {}
        self.target = 0
        self.globals: dict[str, str] = {}
        self._declared: set[str] = set()
        self._asked_epoch: int | None = None

    def lower(self, *, every: bool = False) -> Lowered:
        """Return the work for the target, having looked at `every` stage if that is wanted.

        Raises: SyntaxFault, NotFound, InvalidArgument
        """
        check_program(self.program, self._checks)
        self.target = target = self._find_target()
        platform = self._demand.platform or self._demand.build
        name = self._demand.target or self.program.stages[-1].head.stage
        given = self._demand.arguments
        predefined = platform_arguments(self._demand.build, platform, name, given)
        globals_ = (self.program.arguments, predefined)
        self.globals = global_arguments(*globals_, given, lexer=self._lexer, source=self._source)
        given = self._settle_epoch()
        self._froms = Froms(self.program, self._lexer, self.globals, self._checks)
        self._froms.check_defaults(predefined)
        self._declare(self.program.arguments)
        state = self._stage(target)
        for stage in self.program.stages if every else ():
            self._stage(stage.index)
        assert state.vertex is not None
        config = state.config
        if self._demand.labels:
            labels = FrozenDict({**config.labels, **self._demand.labels})
            config = config.replace(labels=labels)
        return Lowered(
            vertex=state.vertex,
            config=config,
            platform=state.platform,
            author=state.author,
            inherited=state.inherited,
            history=tuple(state.history),
            base_image=state.base_image,
            epoch=self._epoch(state),
            latest=state.epoch,
            held=self._demand.times.latest,
            unused=tuple(unused(given, self._declared)),
        )

    def _find_target(self) -> int:
        wanted = self._demand.target.lower()
        if not wanted:
            return len(self.program.stages) - 1
        found = self._named(wanted, len(self.program.stages))
        if found is None:
            names = [stage.head.stage for stage in self.program.stages if stage.head.stage]
            suggestion = did_you_mean(self._demand.target, names)
            message = f"target stage {quote(self._demand.target)} could not be found{suggestion}"
            self.at = self.program.stages[-1].head.node
            raise self._source.fault(Fault(message), 0, 0, parsing=False)
        return found

    def _named(self, name: str, before: int) -> int | None:
        """Return the last stage called `name` among the first `before`."""
        for stage in reversed(self.program.stages[:before]):
            if stage.head.stage == name:
                return stage.index
        return None

    def _stage(self, index: int) -> StageState:
        """Return the lowered stage, doing it now unless it was."""
        if index not in self.states:
            outer, self.at = self.at, self.program.stages[index].head.node
            self.states[index] = self._lower_stage(self.program.stages[index])
            self.at = outer
        return self.states[index]

    def _lower_stage(self, stage: ins.Stage) -> StageState:
        check_stage(stage, self._checks)
        state = self._begin(stage)
        triggers = [self._trigger(text, stage.head) for text in state.triggers]
        for instruction in triggers:
            self._apply(state, stage, instruction, triggered=True)
        for instruction in stage.instructions:
            self.at = instruction.node
            self._apply(state, stage, instruction, triggered=False)
        return state

    def _begin(self, stage: ins.Stage) -> StageState:
        """Return the state in front of the first instruction."""
        head = stage.head
        with self._source.locating(head.node, parsing=False):
            base, platform = self._froms.resolve(head)
        lone = len(self.program.stages) == 1
        platform = platform or self._demand.platform or self._demand.build
        name = "" if lone else head.stage or f"stage-{stage.index}"
        state = StageState(
            f"{platform} {name}".strip() if self._demand.several else name,
            sum(isinstance(each, _STEPS) for each in stage.instructions),
            platform,
            self._lexer,
        )
        state.epoch = self._demand.times.epoch_of("")
        below = self._named(base, stage.index)
        given = self._context(base)
        if isinstance(given, Fetch):
            state.begin_files(self._fetch(given, base), base)
        elif "scratch" in (base, given):
            state.begin_scratch()
        elif given is not None:
            self._begin_image(state, self._worker.resolve(given, state.platform), head.node)
        elif below is not None:
            state.begin_stage(self._stage(below), self._own_triggers(below))
        else:
            self.word = head.base
            found = self._worker.resolve(base, state.platform)
            self._froms.check_platform(head, base, found, state.platform)
            self._begin_image(state, found, head.node)
        return state

    def _begin_image(self, state: StageState, base: Base, node: Node) -> None:
        state.epoch = self._demand.times.epoch_of(base.config.created)
        state.begin_image(base, node)

    def _own_triggers(self, index: int) -> tuple[str, ...]:
        stage = self.program.stages[index]
        return tuple(each.trigger for each in stage.instructions if isinstance(each, ins.OnBuild))

    def _trigger(self, text: str, head: ins.From) -> ins.Instruction:
        with self._source.locating(head.node, parsing=False):
            return parse_trigger(text, head)

    def _apply(
        self, state: StageState, stage: ins.Stage, instruction: ins.Instruction, *, triggered: bool
    ) -> None:
        node = instruction.node
        with self._source.locating(node, parsing=False):

            def word(text: str, lexer: Lexer = self._lexer) -> str:
                return self._expand(state, node, text, lexer)

            instruction = expand(instruction, word, lambda text: word(text, _QUOTES_KEPT))
            around = self._demand.around
            if self._demand.uncached & {stage.head.stage, str(stage.index)}:
                around = around.replace(no_cache=True)
            match instruction:
                case ins.Arg():
                    self._declare((instruction,))
                    metadata.declare(
                        state,
                        instruction,
                        given=self._demand.arguments,
                        globals_=self.globals,
                        expand=word,
                    )
                case ins.Run():
                    mounts = self._mounts(state, stage, instruction, word)
                    steps.run(state, instruction, around, mounts, triggered=triggered)
                case ins.Workdir():
                    self._check_workdir(state, instruction)
                    steps.workdir(state, instruction, around, triggered=triggered)
                case ins.Transfer():
                    origin = self._origin(stage, instruction)
                    if origin is None:
                        self._check_ignored(instruction)
                    steps.transfer(state, instruction, origin, around, triggered=triggered)
                case _:
                    metadata.apply(state, instruction, self._checks)

    def _expand(self, state: StageState, node: Node, text: str, lexer: Lexer) -> str:
        expansion = lexer.expand(text, state.env)
        for name in expansion.missing - state.arguments.keys():
            suggestion = did_you_mean(name, state.env).replace("mean ", "mean $")
            message = f"Usage of undefined variable '${name}'{suggestion}"
            self._checks.add("UndefinedVar", message, node)
        return expansion.text

    def _mounts(
        self, state: StageState, stage: ins.Stage, run: ins.Run, word: Callable[[str], str]
    ) -> tuple[tuple[RunMount, ...], tuple[Vertex, ...]]:
        if not run.mounts:
            return (), ()
        from knarr.build.runmounts import lower_mounts  # noqa: PLC0415 - few steps have any

        def find(name: str) -> Vertex | None:
            return self._source_of(stage, name, f"from={name}", "mount")

        return lower_mounts(state, run, expand=word, find=find)

    def _origin(self, stage: ins.Stage, transfer: ins.Transfer) -> Vertex | None:
        """Return the vertex that COPY --from names, None for the context."""
        name = transfer.origin if isinstance(transfer, ins.Copy) else ""
        return self._source_of(stage, name, f"--from={name}", "copy")

    def _source_of(self, stage: ins.Stage, name: str, word: str, verb: str) -> Vertex | None:
        """Return the vertex of a stage or image, None for no name. Raises: Fault"""
        if not name:
            return None
        if self._lexer.expand(name, {}).text != name:
            message = (
                "variable expansion is not supported for --from, define a new stage with FROM "
                "using ARG from global scope as a workaround"
            )
            raise Fault(message, word=word)
        given = self._context(name)
        if given is not None:
            self.word = word
            return self._fetch(given, name) if isinstance(given, Fetch) else self._image(given)
        index = int(name) if name.isascii() and name.isdigit() else None
        if index is None:
            index = self._named(name.lower(), len(self.program.stages))
        elif index >= len(self.program.stages):
            message = f"invalid stage index {index}"
            raise Fault(message, word=word)
        if index is None:
            self.word = word
            return self._image(name)
        if index >= stage.index:
            current = stage.head.stage or f"stage-{stage.index}"
            message = (
                f"cannot {verb} from stage {quote(name)}, "
                f"it needs to be defined before current stage {quote(current)}"
            )
            if index == stage.index:
                message = f"circular dependency detected on stage: {current}"
            raise Fault(message, word=word)
        return self._stage(index).vertex

    def _context(self, name: str) -> str | Fetch | None:
        """Return what the command line puts in the place of a stage or image of this name."""
        contexts = self._demand.contexts
        if not contexts:
            return None
        platform = self._demand.platform or self._demand.build
        found = contexts.get(f"{name.lower()}::{platform}", contexts.get(name.lower()))
        if found is not None:
            return found
        full = _full_name(name)
        return next((to for known, to in contexts.items() if full == _full_name(known)), None)

    def _fetch(self, fetch: Fetch, name: str) -> Vertex:
        no_cache = self._demand.around.no_cache
        return make_vertex(fetch, name=f"[context {name}] {fetch.url}", no_cache=no_cache)

    def _image(self, name: str) -> Vertex:
        if name == "scratch":
            return make_vertex(Image("", ()), name="scratch")
        base = self._worker.resolve(name, self._demand.platform or self._demand.build)
        image = Image(base.reference, base.stack, str(base.config.digest))
        lines = (self.at.first, self.at.last) if self.at else (0, 0)
        return make_vertex(image, name=f"FROM {base.reference}", lines=lines)

    def _check_workdir(self, state: StageState, instruction: ins.Workdir) -> None:
        if not state.workdir_given and not instruction.path.startswith("/"):
            message = (
                f"Relative workdir {quote(instruction.path)} can have unexpected results "
                "if the base image changes"
            )
            self._checks.add("WorkdirRelativePath", message, instruction.node)
        state.workdir_given = True

    def _check_ignored(self, transfer: ins.Transfer) -> None:
        ignored = self._demand.ignored
        for source in transfer.sources:
            path = normpath(source).removeprefix("/") or "."
            # What no file is called fits nothing but patterns that leave out the whole context.
            if ignored is not None and ignored("\0" if path == "." else path):
                keyword = transfer.keyword.capitalize()
                message = (
                    f"Attempting to {keyword} file {quote(path)} that is excluded by .dockerignore"
                )
                self._checks.add("CopyIgnoredFile", message, transfer.node)

    def _declare(self, instructions: Iterable[ins.Arg]) -> None:
        for instruction in instructions:
            self._declared.update(argument.name for argument in instruction.arguments)

    def _epoch(self, state: StageState) -> int | None:
        """Return when the image is said to be made, in seconds; None for the clock."""
        if self._asked_epoch is None or self._demand.times.fixed is not None:
            return state.epoch
        return self._asked_epoch

    def _settle_epoch(self) -> Mapping[str, str]:
        """Put a number in the place of what SOURCE_DATE_EPOCH names; return the arguments."""
        demand = self._demand
        text = demand.arguments.get(VARIABLE, "") or self.globals.get(VARIABLE, "")
        if not text:
            return demand.arguments
        self._asked_epoch = epoch = self._resolve_epoch(text)
        arguments = {name: each for name, each in demand.arguments.items() if name != VARIABLE}
        self.globals.pop(VARIABLE, None)
        if epoch is not None:
            self.globals[VARIABLE] = str(epoch)
            if VARIABLE in demand.arguments:
                arguments[VARIABLE] = str(epoch)
            if demand.clamped:
                demand = demand.replace(times=demand.times.replace(latest=epoch))
        self._demand = demand.replace(arguments=arguments)
        return arguments

    def _resolve_epoch(self, text: str) -> int | None:
        """Return the time that SOURCE_DATE_EPOCH says or names, None if that has none."""
        if is_number(text):
            return int(text)
        if text == CONTEXT:
            return self._demand.context_time
        source = self._context(text)
        if source is None:
            source = self._source_of_stage(text)
        if isinstance(source, str) or self._demand.time_of is None:
            return None
        return self._demand.time_of(source)

    def _source_of_stage(self, name: str) -> Fetch:
        from knarr.build import dating  # noqa: PLC0415 - few Dockerfiles name one

        for stage in self.program.stages:
            if stage.head.stage == name.lower():
                self.at = stage.head.node
                with self._source.locating(stage.head.node, parsing=False):
                    given = self._demand.arguments
                    return dating.source_of_stage(stage, self._lexer, self.globals, given)
        hint = "It is a number of seconds since 1970, context, or the name of a context or stage."
        fault = Fault(f"invalid {VARIABLE}: {name}", hint=hint)
        raise self._source.fault(fault, 0, 0, parsing=False)


def _full_name(name: str) -> str:
    """Return the whole name of an image, or the text as it is if it cannot be one."""
    from knarr.errors import InvalidArgument  # noqa: PLC0415 - for named contexts alone
    from knarr.oci.reference import parse_reference  # noqa: PLC0415

    try:
        return str(parse_reference(name).with_default_tag())
    except InvalidArgument:
        return name
