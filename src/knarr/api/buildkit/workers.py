"""The one worker of this builder, its cache, and the builds it remembers, as clients ask for them.

BuildKit can have several workers; here is one, which builds for this machine. By the label of a
snapshotter buildx tells a builder whose images are kept as they are in registries, with all their
platforms, from Docker's older store: it is what lets `--output type=oci` and the like through.

Spec: BuildKit, control.proto; buildx, its docker driver (the labels)
"""

from __future__ import annotations

import ipaddress
import platform

from knarr import __version__
from knarr.api.buildkit.schema import CONTROL, WORKER, message, timestamp
from knarr.engine.build.history import finding, removing
from knarr.engine.build.history.recorder import RUNNING
from knarr.engine.build.pruning import prune as prune_cache
from knarr.engine.build.usage import Usage
from knarr.engine.build.usage import usage as used
from knarr.errors import KnarrError
from knarr.oci.descriptor import host_platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from knarr.engine.engine import Engine

_LABEL = "org.mobyproject.buildkit.worker."
_NS = 10**9
STARTED, COMPLETE = 0, 1
_LIKE = "v0.32.2"  # the BuildKit whose protocol this is; clients compare it


def version() -> Any:
    """Return which builder this is."""
    return message(f"{WORKER}.BuildkitVersion")(
        package="knarr", version=_LIKE, revision=__version__
    )


def describe(engine: Engine) -> Any:
    """Return what is known of the worker."""
    host = host_platform()
    labels = {
        f"{_LABEL}executor": "knarr",
        f"{_LABEL}hostname": platform.node(),
        f"{_LABEL}snapshotter": "overlay",
        f"{_LABEL}network": "host",
    }
    gateway = _gateway(engine)
    if gateway:
        labels[f"{_LABEL}moby.host-gateway-ip"] = gateway
    return message(f"{WORKER}.WorkerRecord")(
        ID="knarr",
        Labels=labels,
        platforms=[{"Architecture": host.architecture, "OS": host.os, "Variant": host.variant}],
        BuildkitVersion=version(),
    )


def _gateway(engine: Engine) -> str:
    """Return the host's address on the default network, empty if there is none yet."""
    try:
        config = engine.networks.inspect("bridge")["IPAM"]["Config"]
    except KnarrError:
        return ""
    addresses = [each.get("Gateway", "") for each in config or ()]
    return next((a for a in addresses if a and ipaddress.ip_address(a).version == 4), "")


def usage(engine: Engine, filters: Sequence[str] = ()) -> list[Any]:
    """Return what the cache holds, record by record. Raises: InvalidArgument"""
    return [_record(each) for each in used(engine, _filters(filters))]


def _record(each: Usage) -> Any:
    row = each.row
    return message(f"{CONTROL}.UsageRecord")(
        ID=each.id,
        InUse=False,
        Size=each.size,
        Parents=[each.parent] if each.parent else [],
        CreatedAt=timestamp(row.created_ns),
        LastUsedAt=timestamp(row.used_ns),
        UsageCount=row.uses,
        Description=each.description,
        RecordType=each.type,
        Shared=each.shared,
    )


def prune(engine: Engine, asked: Any) -> list[Any]:
    """Forget what is asked for; return what that was. Raises: InvalidArgument"""
    filters = _filters(asked.filter)
    if asked.keepDuration:
        filters.append(f"until={asked.keepDuration // _NS}s")
    before = {each.row.key: each for each in used(engine)}
    keys, _ = prune_cache(engine, filters, every=asked.all, keep=asked.reservedSpace)
    return [_record(before[key]) for key in keys if key in before]


def _filters(given: Sequence[str]) -> list[str]:
    """Return filters in our form: BuildKit writes `id==x` and `type~=x` for equality."""
    return [text.replace("~=", "=").replace("==", "=") for text in given if text]


def history(engine: Engine, asked: Any) -> list[Any]:
    """Return the builds that are remembered, the latest first."""
    found = []
    for build in finding.list_builds(engine):
        running = build.status == RUNNING
        if (asked.ActiveOnly and not running) or (asked.Ref and build.run.id != asked.Ref):
            continue
        kind = STARTED if running else COMPLETE
        found.append(message(f"{CONTROL}.BuildHistoryEvent")(type=kind, record=_remembered(build)))
        if asked.Limit and len(found) == asked.Limit:
            break
    return found


def _remembered(build: finding.Build) -> Any:
    about, steps = build.about, build.steps
    cached = sum(step.get("state") == "cached" for step in steps)
    done = cached + sum(step.get("state") == "done" for step in steps)
    record = message(f"{CONTROL}.BuildHistoryRecord")(
        Ref=build.run.id,
        Frontend="dockerfile.v0",
        FrontendAttrs={"filename": "Dockerfile", "target": about.get("target", "")},
        CreatedAt=timestamp(build.run.started_ns),
        numCachedSteps=cached,
        numCompletedSteps=done,
        numTotalSteps=len(steps),
    )
    if build.run.ended_ns:
        record.CompletedAt.CopyFrom(timestamp(build.run.ended_ns))
    if about.get("error"):
        record.error.code, record.error.message = 2, about["error"]
    return record


def forget(engine: Engine, asked: Any) -> None:
    """Forget a build, if that is what `asked` wants. Raises: NotFound"""
    if asked.Delete:
        removing.remove_runs(engine, [finding.get_build(engine, asked.Ref).run.id])
