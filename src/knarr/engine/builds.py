"""Builds: from a context and its Dockerfile to an image in the store.

    context ─▶ parse ─▶ lower ─▶ solve ─▶ image ─▶ tags

What happens is told through `report` as it happens (`knarr.build.events`). `engine.build.building`
carries one build out, through the worker of `engine.build.worker`; `engine.build.export` gives its
result away. A build belongs to one process with one thread: commands run in processes of their own.
"""

from __future__ import annotations

import os
import sys

from knarr.build.arguments import PROXIES
from knarr.build.events import Finished, Started
from knarr.build.times import Times
from knarr.engine.build.building import Build, public_url
from knarr.engine.build.context import open_context
from knarr.engine.build.dates import Dates
from knarr.engine.build.export.outputs import Exporting, Output
from knarr.engine.build.history.recorder import Asked, Recorder
from knarr.engine.build.steps import Steps
from knarr.engine.images import parse_tag
from knarr.errors import KnarrError
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, BinaryIO

    from knarr.build.events import Report
    from knarr.build.worker import Job
    from knarr.engine.build.agents import Agent
    from knarr.engine.build.attesting.statements import Wanted
    from knarr.engine.build.caching.places import CachePlace, CacheTarget
    from knarr.engine.build.export.outputs import Built
    from knarr.engine.build.steps import Limits
    from knarr.engine.engine import Engine
    from knarr.errors import CommandFailed

LOADING = "internal load"


class BuildOptions(Value):
    """What a user asks of a build.

    `dockerfile` is empty for the context's own, `-` for standard input; `called` is what it is for
    the user, if its path means nothing to him. `hosts` are `name:address`,
    `contexts` directories, images and sources by the names that they have for the Dockerfile.
    `platform` may be several, with commas.
    Without `outputs` the image goes to the store under its `tags`; with `described` its manifest is
    told. `explained` is for who wants to hear at the end why each step was done;
    `verified` has everything built twice, and refused if the results differ; `squashed` makes the
    layers of the build one, `uncached_stages` names stages that are built without the cache.
    `times` are those of files and image (see `knarr.build.times`). `examine` may look at the job of
    a command that failed, while its files are still there.
    """

    context: str
    dockerfile: str = ""
    called: str = ""
    tags: tuple[str, ...] = ()
    arguments: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    target: str = ""
    platform: str = ""
    network: str = "default"
    hosts: tuple[str, ...] = ()
    secrets: Mapping[str, bytes] = {}
    contexts: Mapping[str, str] = {}
    no_cache: bool = False
    uncached_stages: tuple[str, ...] = ()
    pull: bool = False
    limits: Limits | None = None
    outputs: tuple[Output, ...] = ()
    cache_from: tuple[CachePlace, ...] = ()
    cache_to: tuple[CacheTarget, ...] = ()
    attest: Wanted | None = None
    agents: Mapping[str, Agent] = {}
    allowed: frozenset[str] = frozenset()
    described: bool = False
    explained: bool = False
    verified: bool = False
    squashed: bool = False
    examine: Callable[[Job, CommandFailed], None] | None = None
    times: Times = Times()


class Builds:
    """The builds of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def build(
        self, options: BuildOptions, report: Report, *, stdin: BinaryIO | None = None
    ) -> Built:
        """Build, and give what came of it to the outputs. `stdin` is what `-` means.

        Raises: SyntaxFault, InvalidArgument, NotFound, CommandFailed and other KnarrErrors
        """
        names = tuple(parse_tag(tag) for tag in options.tags)
        if options.limits is not None:
            from knarr.engine.options.limits import check_resources  # noqa: PLC0415 - few builds

            check_resources(options.limits.resources, processors=os.cpu_count() or 1)
        with (
            Steps(self._engine, options.limits) as steps,
            Recorder(self._engine, steps.id, _asked(options), report) as recorder,
        ):
            build = self._open(options, steps, recorder, stdin)
            results = build.run(steps, recorder)
            if options.verified:
                build.verify(steps, results)
            named = [each.replace(names=each.names or names) for each in options.outputs]
            exporting = Exporting(
                self._engine,
                results,
                recorder,
                described=options.described,
                squashed=options.squashed,
            )
            built = exporting.export(named or [Output(names=names)])
            build.caching.export(recorder)
            recorder.image_id = built.image_id or ""
        self._engine.images.make_room(*filter(None, (built.image_id,)))
        return built

    def look(
        self, call: str, options: BuildOptions, report: Report, *, stdin: BinaryIO | None = None
    ) -> dict[str, Any]:
        """Return what a Dockerfile says of itself, and build nothing.

        `call` is `check`, `outline` or `targets`: see `knarr.build.outline`.

        Raises: SyntaxFault, InvalidArgument, NotFound and other KnarrErrors
        """
        with Steps(self._engine) as steps:
            return self._open(options, steps, report, stdin).look(call)

    def _open(
        self, options: BuildOptions, steps: Steps, report: Report, stdin: BinaryIO | None
    ) -> Build:
        """Get the context and the Dockerfile."""
        name = options.dockerfile or "Dockerfile"
        report(Started(LOADING, f"[internal] load build definition from {name}"))
        try:
            context = open_context(
                options.context,
                options.dockerfile,
                stdin=stdin or sys.stdin.buffer,
                scratch_dir=f"{steps.directory}/context",
                secrets=options.secrets,
            )
        except KnarrError as error:
            report(Finished(LOADING, error=str(error)))
            raise
        report(Finished(LOADING))
        dates = Dates(f"{steps.directory}/dated", options.secrets)
        return Build(self._engine, options, context, report, dates)


def _asked(options: BuildOptions) -> Asked:
    """Return what the record of the build says that it was asked for."""
    place = options.context
    return Asked(
        os.path.realpath(place) if os.path.isdir(place) else public_url(place),
        os.path.realpath(options.dockerfile) if options.dockerfile else "",
        options.target,
        options.platform,
        options.tags,
        {name: value for name, value in options.arguments.items() if name.upper() not in PROXIES},
        options.explained,
    )
