"""Volumes."""

from __future__ import annotations

from knarr.api.answers import Empty, Json
from knarr.api.parse.networks import NO_SWARM
from knarr.api.parse.reading import reading
from knarr.errors import Unavailable
from knarr.oci.document import Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.answers import Answer
    from knarr.api.call import Call

ONLY_ANONYMOUS = (1, 42)  # since then, prune spares volumes with names unless told otherwise


def list_(call: Call) -> Answer:
    found = [volume.inspect() for volume in call.engine.volumes.filtered(call.filters())]
    return Json({"Volumes": found, "Warnings": None})


def inspect(call: Call) -> Answer:
    return Json(call.engine.volumes.inspect(call.parameters["name"]))


def create(call: Call) -> Answer:
    with reading():
        fields = Fields(call.json(), "volume")
        if fields.child("ClusterVolumeSpec") is not None:
            raise Unavailable(NO_SWARM)
        volume = call.engine.volumes.create(
            fields.text("Name"),
            driver=fields.text("Driver") or "local",
            labels=fields.mapping("Labels"),
            options=fields.mapping("DriverOpts"),
        )
    return Json(volume.inspect(), 201)


def update(call: Call) -> Answer:  # noqa: ARG001 - handlers are alike
    """Refuse: what can be updated are volumes of a swarm."""
    message = "volume update only valid for cluster volumes, but swarm is unavailable"
    raise Unavailable(message)


def remove(call: Call) -> Answer:
    call.engine.volumes.remove(call.parameters["name"], force=call.flag("force"))
    return Empty()


def prune(call: Call) -> Answer:
    filters = call.filters()
    if call.version < ONLY_ANONYMOUS:
        filters.append("all=true")
    names, freed = call.engine.volumes.prune(filters)
    return Json({"VolumesDeleted": names, "SpaceReclaimed": freed})
