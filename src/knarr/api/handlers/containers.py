"""Containers as records: create, list, inspect, rename, update, remove, prune; their processes."""

from __future__ import annotations

import time

from knarr.api.answers import Empty, Json
from knarr.api.parse.containers import parse_create
from knarr.api.parse.reading import reading
from knarr.api.parse.resources import parse_limits, parse_restart_policy
from knarr.api.render import containers as render
from knarr.api.versions import take_back
from knarr.engine.container.listing import list_containers
from knarr.engine.container.pruning import prune
from knarr.engine.container.summary import Summaries
from knarr.engine.network import joining
from knarr.errors import Conflict, NotFound
from knarr.oci.document import Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.api.answers import Answer
    from knarr.api.call import Call
    from knarr.engine.containers import Container

PS = "-ef"


def find(call: Call) -> Container:
    """Return the container that the path names.

    Raises: NotFound, InvalidArgument
    """
    return call.engine.containers.get(call.parameters["id"])


def create(call: Call) -> Answer:
    body = call.json()
    asked = parse_create(body, platform=call.text("platform"))
    call.server.spare.prepare()  # it loads while the container is made
    try:
        made = call.engine.containers.create(asked, name=call.text("name"))
    except NotFound as error:
        if call.engine.images.find(asked.image) is None:
            raise
        # To clients "not found" means that they are to pull the image.
        raise Conflict(error.message, hint=error.hint) from None
    return Json({"Id": made.id, "Warnings": made.warnings}, 201)


def listing(call: Call) -> Answer:
    if call.flag("size"):  # which changes without a word
        return Json(_listed(call, size=True))
    answer: Answer = call.server.kept.answer(call, lambda: _listed(call))
    return answer


def _listed(call: Call, *, size: bool = False) -> list[dict[str, Any]]:
    limit = call.number("limit", -1) or -1
    found = list_containers(call.engine, filters=call.filters(), every=call.flag("all"), last=limit)
    summaries = Summaries(call.engine, time.time_ns())
    return [
        take_back(summaries.document(one, size=size), call.version, render.LISTED) for one in found
    ]


def inspect(call: Call) -> Answer:
    document = find(call).inspect(size=call.flag("size"))
    return Json(take_back(document, call.version, render.INSPECTED))


def rename(call: Call) -> Answer:
    find(call).rename(call.text("name"))
    return Empty()


def update(call: Call) -> Answer:
    container = find(call)
    with reading():
        fields = Fields(call.json(), "body")
        limits = parse_limits(fields)
        policy = fields.child("RestartPolicy")
        named = policy is not None and policy.text("Name")
        restart = parse_restart_policy(policy) if named else None
    return Json({"Warnings": container.update(limits, restart=restart)})


def remove(call: Call) -> Answer:
    """Remove a container, or with `link` what it knows another one as: `container/alias`."""
    if call.flag("link"):
        joining.unlink(call.engine, call.parameters["id"])
        return Empty()
    find(call).remove(force=call.flag("force"), volumes=call.flag("v"))
    return Empty()


def prune_all(call: Call) -> Answer:
    removed, freed = prune(call.engine, call.filters())
    return Json({"ContainersDeleted": removed or None, "SpaceReclaimed": freed})


def top(call: Call) -> Answer:
    table = find(call).top(call.text("ps_args", PS).split())
    return Json({"Titles": list(table.titles), "Processes": [list(row) for row in table.rows]})


def changes(call: Call) -> Answer:
    from knarr.engine.changes import changes as find_changes  # noqa: PLC0415 - loads snapshot

    kinds = {"C": 0, "A": 1, "D": 2}
    found = [{"Path": one.path, "Kind": kinds[one.kind]} for one in find_changes(find(call))]
    return Json(found or None)
