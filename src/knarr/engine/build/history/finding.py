"""The builds that are remembered, as people ask for them: by ID, directory, name or tag."""

from __future__ import annotations

import os
import time

from knarr.engine.build.history.logs import logs_dir, name_of_key
from knarr.engine.build.history.recorder import CANCELED, RUNNING
from knarr.engine.build.steps import KIND
from knarr.errors import InvalidArgument, NotFound
from knarr.store.buildhistory import BuildRun, BuildRuns
from knarr.util import jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from knarr.engine.engine import Engine

FILTERS = ("status", "name", "tag", "since", "before")
_WORDS = "killed while it was building"


class Build(Value):
    """A build with what its record tells: `steps`, `context`, `error` and so on in `about`."""

    run: BuildRun
    status: str
    about: Mapping[str, Any]

    @property
    def steps(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.about.get("steps", ())
        return found

    @property
    def seconds(self) -> float:
        """Return how long it took, or takes so far."""
        return ((self.run.ended_ns or time.time_ns()) - self.run.started_ns) / 1e9


def list_builds(engine: Engine, filters: Iterable[str] = ()) -> list[Build]:
    """Return the builds that pass the filters, the latest first. Raises: InvalidArgument"""
    from knarr.engine.filters import parse_filters  # noqa: PLC0415 - for who lists
    from knarr.util.times import parse_when  # noqa: PLC0415 - as above

    given = parse_filters(filters, FILTERS)
    now_ns = time.time_ns()
    since = [parse_when(text, now_ns=now_ns) for text in given.get("since", ())]
    before = [parse_when(text, now_ns=now_ns) for text in given.get("before", ())]

    def passes(build: Build) -> bool:
        begun = build.run.started_ns
        return (
            build.status in given.get("status", [build.status])
            and build.run.name in given.get("name", [build.run.name])
            and ("tag" not in given or bool(set(given["tag"]) & set(build.about.get("tags", ()))))
            and all(begun >= each for each in since)
            and all(begun < each for each in before)
        )

    return [build for build in _all(engine) if passes(build)]


def get_build(engine: Engine, text: str = "") -> Build:
    """Return a build by the beginning of its ID, else the last of a directory, name or tag.

    Without a text it is the last one of all. Raises: NotFound, InvalidArgument
    """
    builds = _all(engine)
    if not text:
        if not builds:
            message = "no build is remembered"
            raise NotFound(message)
        return builds[0]
    by_id = [build for build in builds if build.run.id.startswith(text)]
    if len(by_id) > 1:
        message = f"several builds begin with {text}"
        raise InvalidArgument(message)
    place = os.path.realpath(text)
    for build in (*by_id, *builds):
        names = (build.run.id[: len(text)], build.about.get("context"), build.run.name)
        if text in (*names, *build.about.get("tags", ())) or place == build.about.get("context"):
            return build
    message = f"no such build: {text}"
    raise NotFound(message, hint="`knarr builder history ls` lists the builds that are remembered.")


def _all(engine: Engine) -> list[Build]:
    living = {entry.key for entry in engine.journal.living() if entry.kind == KIND}
    found = []
    for run in BuildRuns(engine.database).all():
        about = jsontext.loads(run.detail)
        status = run.status
        if status == RUNNING and run.id not in living:
            status, about = CANCELED, {**about, "error": _WORDS}
        found.append(Build(run, status, about))
    return found


def find_step(build: Build, text: str) -> Mapping[str, Any]:
    """Return a step by its number in progress, the beginning of its cache key, or its words.

    Raises: NotFound, InvalidArgument
    """
    steps = [step for step in build.steps if "number" in step]
    number = text.removeprefix("#")
    by_number = [step for step in steps if str(step["number"]) == number]
    by_key = [step for step in steps if text and name_of_key(step["key"]).startswith(text)]
    by_words = [step for step in steps if text.lower() in step["name"].lower()]
    found = by_number or by_key or by_words
    if not found:
        message = f"no such step of build {build.run.id[:12]}: {text}"
        hint = f"`knarr builder history inspect {build.run.id[:12]}` lists its steps."
        raise NotFound(message, hint=hint)
    if len(found) > 1:
        message = f"several steps of build {build.run.id[:12]} have the words {text}"
        numbers = ", ".join(f"#{step['number']}" for step in found)
        raise InvalidArgument(message, hint=f"They are {numbers}.")
    return found[0]


def log_path(engine: Engine, build: Build, step: Mapping[str, Any]) -> str:
    """Return where the log of a step is, if there is one; empty for what never has any."""
    kept = step["state"] in ("cached", "done")
    if kept and not step["key"]:  # an image
        return ""
    name = name_of_key(step["key"]) if kept else f"{build.run.id}.{step.get('number', 0)}"
    return f"{logs_dir(engine.paths)}/{name}"
