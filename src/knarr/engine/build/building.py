"""One build: a context and its Dockerfile, for each platform the graph, the graph's results.

What goes wrong is shown where in the Dockerfile it does.
"""

from __future__ import annotations

import os
import time

from knarr.build.arguments import proxy_environment
from knarr.build.dockerfile.checks import Checks, Finding, parse_switches
from knarr.build.dockerfile.document import Source
from knarr.build.dockerfile.excerpt import excerpt
from knarr.build.dockerfile.lines import decode
from knarr.build.dockerfile.program import is_known_syntax, parse_dockerfile
from knarr.build.events import Located, Warned
from knarr.build.graph import in_order
from knarr.build.listing import list_steps
from knarr.build.lower import Demand, Lowering
from knarr.build.solver import Solver
from knarr.build.steps import Surroundings
from knarr.engine.build.bases import Bases
from knarr.engine.build.caching.session import Caching, solve
from knarr.engine.build.export.outputs import Result
from knarr.engine.build.history.recorder import Recorder
from knarr.engine.build.steps import Steps
from knarr.engine.build.worker import BuildWorker
from knarr.errors import KnarrError, NotFound, SyntaxFault
from knarr.oci.descriptor import host_platform, parse_platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from knarr.build.dockerfile.program import Program
    from knarr.build.events import Report
    from knarr.build.graph import Fetch, Stack
    from knarr.build.lower import Lowered
    from knarr.engine.build.attesting.statements import Attestations
    from knarr.engine.build.context import BuildContext
    from knarr.engine.build.dates import Dates
    from knarr.engine.build.looking import Looker
    from knarr.engine.builds import BuildOptions
    from knarr.engine.engine import Engine
    from knarr.oci.descriptor import Platform


class Build:
    """One build, from its context to its result."""

    def __init__(
        self,
        engine: Engine,
        options: BuildOptions,
        context: BuildContext,
        report: Report,
        dates: Dates,
    ) -> None:
        self._engine = engine
        self._options = options
        self._context = context
        self._report = report
        self._dates = dates
        self._began_ns = time.time_ns()
        self.caching = Caching(engine, options.cache_from, options.cache_to)
        lines = tuple(decode(context.dockerfile).splitlines())
        self._source = Source(options.called or context.name, lines)

    def run(self, steps: Steps, recorder: Recorder | None) -> list[Result]:
        """Build, and return the result for each platform; without a recorder leave no trace."""
        matcher = self._context.matcher()
        bases = Bases(self._engine, pull=self._options.pull, report=self._report)
        worker = BuildWorker(
            self._engine,
            steps,
            self._context.directory,
            matcher,
            self._options.secrets,
            bases,
            recorder.keep if recorder else None,
        )
        worker.forgetful = recorder is None
        try:
            several = [self._lower(worker, platform) for platform in self._platforms()]
            self._warn(several)
            worker.agents = self._options.agents
            self.caching.open(worker, [each.platform for _, each, _ in several], self._report)
            solver = Solver(worker, self._report, examine=self._options.examine)
            for lowering, lowered, _ in several:
                self._report(list_steps(lowering.program, lowering.states, lowered.vertex))
                if recorder is not None:
                    recorder.watch(solver, lowered.vertex, self._source.lines)
            try:
                solved = solve(solver, worker, *(each.vertex for _, each, _ in several))
            except KnarrError:
                self._locate(solver)
                raise
            return [
                self._result(worker, solver, lowered, result.stack, steps.id)
                for (_, lowered, _), result in zip(several, solved, strict=True)
            ]
        finally:
            worker.close()

    def verify(self, steps: Steps, results: list[Result]) -> None:
        """Build again without the cache, which has to come to the same. Raises: Failed"""
        from knarr.engine.build.verifying import as_second, refuse_difference  # noqa: PLC0415

        options = self._options.replace(no_cache=True, verified=False)
        again = Build(self._engine, options, self._context, as_second(self._report), self._dates)
        seconds = again.run(steps, None)
        for first, second in zip(results, seconds, strict=True):
            order = list(in_order(first.lowered.vertex))
            refuse_difference(self._engine, first.stack, second.stack, order, first.steps)

    def _platforms(self) -> list[Platform | None]:
        """Return the platforms to build for, each once; None for what this machine is."""
        texts = [text.strip() for text in self._options.platform.split(",") if text.strip()]
        return list(dict.fromkeys(_exactly(parse_platform(text)) for text in texts)) or [None]

    def _warn(self, several: list[tuple[Lowering, Lowered, Checks]]) -> None:
        """Show what the build checks found, once for all platforms. Raises: InvalidArgument"""
        findings = [finding for _, _, checks in several for finding in checks.findings()]
        lowered = several[0][1]
        if lowered.unused:
            message = f"build arguments that no ARG declares: {', '.join(lowered.unused)}"
            findings.append(Finding("UnusedBuildArg", message, 0, 0))
        wanted = self._options.arguments.get("BUILDKIT_SYNTAX", "")
        wanted = wanted or several[0][0].program.document.directive("syntax")
        if wanted and not is_known_syntax(wanted):
            message = f"the front end {wanted} is not run: the file is read as docker/dockerfile"
            findings.append(Finding("ForeignSyntax", message, 0, 0))
        self._tell(findings)
        for _, _, checks in several:
            checks.raise_if_errors()

    def _result(
        self, worker: BuildWorker, solver: Solver, lowered: Lowered, stack: Stack, build_id: str
    ) -> Result:
        inline = self.caching.note(worker, lowered.vertex, stack)
        attest = self._attest(build_id, solver, lowered, stack)
        return Result(lowered, stack, solver.results, inline, attest)

    def _attest(
        self, build_id: str, solver: Solver, lowered: Lowered, stack: Stack
    ) -> Attestations | None:
        """Return what makes statements about the result, None if none are wanted."""
        options = self._options
        if options.attest is None:
            return None
        from knarr.engine.build.attesting.provenance import Circumstances  # noqa: PLC0415
        from knarr.engine.build.attesting.statements import plan_attestations  # noqa: PLC0415

        states = {digest: str(about.get("state", "")) for digest, (_, about) in solver.keys.items()}
        place = "" if os.path.isdir(options.context) else public_url(options.context)
        about = Circumstances(
            build_id,
            options.tags[0] if options.tags else self._source.name,
            lowered.vertex,
            stack,
            lowered.platform,
            states,
            place if "://" in place else "",
            os.path.basename(self._source.name),
            self._context.dockerfile,
            options.target,
            options.arguments,
            options.labels,
            tuple(sorted(options.secrets)),
            self._began_ns,
            time.time_ns(),
        )
        return plan_attestations(self._engine, options.attest, about)

    def look(self, call: str) -> dict[str, Any]:
        """Return what the Dockerfile says of itself."""
        from knarr.build import outline  # noqa: PLC0415 - not for builds
        from knarr.engine.build.looking import Looker  # noqa: PLC0415 - as above

        text = self._context.dockerfile
        if call == "targets":
            return outline.describe_targets(self._parse(), text)
        looker = Looker(self._engine, self._context.matcher())
        if call == "check":
            return self._check(looker)
        lowering, _, _ = self._lower(looker, self._platforms()[0])
        found = lowering.program, lowering.states, lowering.target, lowering.globals
        return outline.describe_outline(*found, text)

    def _check(self, looker: Looker) -> dict[str, Any]:
        """Return what the build checks find, and why the Dockerfile cannot be built, if it cannot.

        Docker: without a target all stages are looked at
        """
        from knarr.build.outline import describe_findings  # noqa: PLC0415 - not for builds

        lowering, checks = self._prepare(looker, self._platforms()[0])
        fault = None
        try:
            lowering.lower(every=not self._options.target)
            checks.raise_if_errors()
        except SyntaxFault as error:
            fault = error.message, error.line, error.line
        except KnarrError as error:
            at = lowering.at or lowering.program.stages[-1].head.node
            fault = error.message, at.first, at.last
        name, text = self._source.name, self._context.dockerfile
        return describe_findings(checks.findings(), name, text, fault)

    def _parse(self) -> Program:
        try:
            return parse_dockerfile(self._context.dockerfile, name=self._source.name)
        except SyntaxFault as fault:
            self._show(fault.line, fault.line, (fault.line, fault.column))
            raise

    def _prepare(
        self, worker: BuildWorker | Looker, platform: Platform | None
    ) -> tuple[Lowering, Checks]:
        program = self._parse()
        switches = self._options.arguments.get("BUILDKIT_DOCKERFILE_CHECK", "")
        switches = switches or program.document.directive("check").split(" ")[0]
        checks = Checks(parse_switches(switches))
        demand = self._demand(worker, platform)
        try:
            return Lowering(program, demand, worker=worker, checks=checks), checks
        except SyntaxFault as fault:
            self._show(fault.line, fault.line, (fault.line, fault.column))
            raise

    def _lower(
        self, worker: BuildWorker | Looker, platform: Platform | None
    ) -> tuple[Lowering, Lowered, Checks]:
        lowering, checks = self._prepare(worker, platform)
        try:
            return lowering, lowering.lower(), checks
        except SyntaxFault as fault:
            self._tell(checks.findings())
            self._show(fault.line, fault.line, (fault.line, fault.column))
            raise
        except KnarrError:
            self._tell(checks.findings())
            if lowering.at is not None:
                self._show_word(lowering.at.first, lowering.at.last, lowering.word)
            raise

    def _tell(self, findings: Iterable[Finding]) -> None:
        for finding in dict.fromkeys(findings):
            self._report(Warned(finding, self._source.name))

    def _demand(self, worker: BuildWorker | Looker, platform: Platform | None) -> Demand:
        options = self._options
        matcher = worker.hidden
        return Demand(
            host_platform(),
            platform=platform,
            target=options.target,
            arguments=options.arguments,
            labels=options.labels,
            around=Surroundings(
                network=options.network,
                hosts=options.hosts,
                hostname=options.arguments.get("BUILDKIT_SANDBOX_HOSTNAME", "buildkitsandbox"),
                hidden=proxy_environment(options.arguments),
                no_cache=options.no_cache,
                allowed=options.allowed,
            ),
            contexts=_contexts(options.contexts),
            context_time=self._context.changed,
            time_of=self._dates.time_of,
            clamped=any(output.rewrite_timestamp for output in options.outputs),
            several="," in options.platform,
            times=options.times,
            uncached=frozenset(name.lower() for name in options.uncached_stages),
            ignored=matcher.excludes if matcher and not matcher.has_negated else None,
        )

    def _locate(self, solver: Solver) -> None:
        """Show the instruction at which solving failed."""
        vertex = solver.failed
        if vertex is not None:
            self._show_word(vertex.first, vertex.last, solver.failed_word)

    def _show_word(self, first: int, last: int, word: str) -> None:
        self._show(first, last, self._source.column(first, last, word))

    def _show(self, first: int, last: int, caret: tuple[int, int]) -> None:
        text = excerpt(self._source, first, last, caret=caret)
        if text:
            self._report(Located(text, first, last))


def public_url(url: str) -> str:
    """Return a URL without the password that it may have."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if separator else url


def _exactly(platform: Platform) -> Platform:
    """Return the platform that is built for: of 32-bit ARM a result is for one variant."""
    if platform.architecture == "arm" and not platform.variant:
        return platform.replace(variant="v7")
    return platform


def _contexts(given: Mapping[str, str]) -> dict[str, str | Fetch]:
    """Return the named contexts. Raises: InvalidArgument, NotFound"""
    if not given:
        return {}
    from knarr.build.remote import LOCAL, parse_context  # noqa: PLC0415 - few builds have any

    found: dict[str, str | Fetch] = {}
    for name, value in given.items():
        context = parse_context(name, value)
        if not isinstance(context, str) and context.kind == LOCAL:
            if not os.path.isdir(context.url):
                message = (
                    f"failed to get build context {name}: stat {context.url}: no such directory"
                )
                raise NotFound(message)
            context = context.replace(url=os.path.realpath(context.url))
        found[name.lower()] = context
    return found
