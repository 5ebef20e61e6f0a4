"""What the engine and its host are: ping, version, info."""

from __future__ import annotations

import os
import sys
import uuid

from knarr import __version__
from knarr.api import versions
from knarr.api.answers import Json, Text
from knarr.api.render.system import info_document, version_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.answers import Answer
    from knarr.api.call import Call


def ping(call: Call) -> Answer:  # noqa: ARG001 - handlers are alike
    headers = (
        ("Builder-Version", versions.BUILDER_VERSION),
        ("Cache-Control", "no-cache, no-store, must-revalidate"),
        ("Pragma", "no-cache"),
        ("Swarm", "inactive"),
    )
    return Text("OK", headers=headers)


def version(call: Call) -> Answer:  # noqa: ARG001 - handlers are alike
    python = ".".join(str(number) for number in sys.version_info[:3])
    return Json(version_document(__version__, python, os.uname()))


def info(call: Call) -> Answer:
    from knarr.engine.systeminfo import system_info  # noqa: PLC0415 - loads much

    facts = system_info(call.engine)
    engine_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{facts['Name']}{call.engine.paths.root}"))
    return Json(info_document(facts, engine_id))
