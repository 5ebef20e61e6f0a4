"""Images that are here: listed, looked at, named, removed."""

from __future__ import annotations

import time

from knarr.api import versions
from knarr.api.answers import Empty, Json
from knarr.api.origins import Origins
from knarr.api.parse.names import join_tag, parse_platforms
from knarr.api.render import images as render
from knarr.engine.image.filters import parse_image_filters
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.answers import Answer
    from knarr.api.call import Call
    from knarr.oci.descriptor import Platform
    from knarr.store.images import ImageRow

COUNTED = (1, 51)  # since then, lists say how many containers were made of an image
IDENTIFIED = (1, 54)  # since then, lists say on demand where images came from


def list_(call: Call) -> Answer:
    images = call.engine.images
    pattern = call.text("filter") if call.version < (1, 25) else ""
    filters = parse_image_filters(call.filters(), now_ns=time.time_ns(), reference=pattern)
    manifests, identity = call.flag("manifests"), call.flag("identity")
    if identity and not manifests:
        message = "conflicting options: identity requires manifests=1"
        raise InvalidArgument(message)
    found = images.list(filters, every=call.flag("all"))
    shared = _shared_sizes(call) if call.flag("shared-size") else {}
    made = _made_of(call) if manifests or call.version >= COUNTED else {}
    origins = Origins(call.engine) if identity and call.version >= IDENTIFIED else None
    documents = []
    for image in found:
        key = str(image.row.id)
        sized = render.Sized(
            image,
            shared.get(key, render.UNKNOWN),
            len(made.get(key, ())),
            _manifests(call, image.row, made, origins) if manifests else None,
        )
        document = render.summary(sized)
        documents.append(versions.take_back(document, call.version, render.SUMMARY))
    return Json(documents)


def _shared_sizes(call: Call) -> dict[str, int]:
    from knarr.engine.space.diskusage import disk_use  # noqa: PLC0415 - few ask for it

    return {str(use.image.row.id): use.shared for use in disk_use(call.engine).images}


def _made_of(call: Call) -> dict[str, list[str]]:
    """Return the containers that were made of each image."""
    made: dict[str, list[str]] = {}
    for container in call.engine.containers.all():
        made.setdefault(str(container.row.image), []).append(container.id)
    return made


def _manifests(
    call: Call, row: ImageRow, made: dict[str, list[str]], origins: Origins | None = None
) -> tuple[render.Manifested, ...]:
    """Return the manifests of an image and of those that came by the same index."""
    from knarr.engine.image.places.storesource import StoreSource  # noqa: PLC0415 - few ask for it
    from knarr.engine.image.platforms import siblings  # noqa: PLC0415 - as above

    source, images = StoreSource(call.engine), call.engine.images
    return tuple(
        render.Manifested(
            source.resolve(each.id),
            each.platform,
            each.size,
            tuple(made.get(str(each.id), ())),
            origins.of(images.image(each)) if origins else None,
        )
        for each in (row, *siblings(call.engine, row))
    )


def inspect(call: Call) -> Answer:
    manifests, platforms = call.flag("manifests"), parse_platforms(call)
    if manifests and platforms:
        message = "conflicting options: manifests and platform options cannot both be set"
        raise InvalidArgument(message)
    row = _chosen(call, platforms)
    images = call.engine.images
    document = render.inspected(images.inspect(str(row.id)))
    if identity := Origins(call.engine).of(images.image(row)):
        document["Identity"] = identity
    if manifests:
        found = _manifests(call, row, _made_of(call))
        document["Manifests"] = [render.manifest_summary(each) for each in found]
    return Json(versions.take_back(document, call.version, render.INSPECTED))


def _chosen(call: Call, platforms: list[Platform]) -> ImageRow:
    images, name = call.engine.images, call.parameters["name"]
    if not platforms:
        return images.get(name)
    return images.get(images.for_platform(name, str(platforms[0])))


def history(call: Call) -> Answer:
    row = _chosen(call, parse_platforms(call))
    return Json(render.history(call.engine.images.history(str(row.id))))


def tag(call: Call) -> Answer:
    call.engine.images.tag(call.parameters["name"], join_tag(call.text("repo"), call.text("tag")))
    return Empty(201)


def remove(call: Call) -> Answer:
    images, name = call.engine.images, call.parameters["name"]
    force, prune = call.flag("force"), not call.flag("noprune")
    gone = []
    for platform in parse_platforms(call, "platforms"):
        gone += images.remove_platform(name, str(platform), force=force)
    if not call.given("platforms"):
        gone += images.remove(name, force=force, prune=prune)
    return Json(render.removed(gone))


def prune(call: Call) -> Answer:
    filters, every = [], False
    for text in call.filters():
        if text.startswith("dangling="):
            every = text.removeprefix("dangling=").lower() in ("0", "f", "false")
        else:
            filters.append(text)
    pruned = call.engine.images.prune(filters, every=every)
    gone = render.removed(pruned.removed)
    return Json({"ImagesDeleted": gone or None, "SpaceReclaimed": pruned.freed})


def search(call: Call) -> Answer:
    from knarr.api.parse.credentials import parse_auth  # noqa: PLC0415 - few search

    call.engine.registries.act_as(parse_auth(call.headers))
    found = call.engine.registries.search(
        call.text("term"), limit=call.number("limit") or 0, filters=call.filters()
    )
    return Json(render.found(found))


def attestations(call: Call) -> Answer:
    from knarr.engine.image.attesting import statements  # noqa: PLC0415 - few ask for it

    platforms = parse_platforms(call)
    if len(platforms) > 1:
        message = "only one platform value is currently supported"
        raise InvalidArgument(message)
    wanted = [text.strip() for text in call.texts("type") if text.strip()]
    found = statements(call.engine, _chosen(call, platforms))
    whole = call.flag("statement")
    return Json([
        render.statement(one, whole=whole)
        for one in found
        if not wanted or one.predicate_type in wanted
    ])  # fmt: skip
