"""Images that come and go: pulled, imported, pushed; and what a registry says of one."""

from __future__ import annotations

from functools import partial

from knarr.api.answers import Json, JsonLines
from knarr.api.parse.credentials import parse_auth
from knarr.api.parse.names import join_tag, parse_platforms, parse_source
from knarr.api.render import transfers as render
from knarr.engine.image.pushing import tags_of
from knarr.engine.images import parse_tag
from knarr.errors import InvalidArgument
from knarr.oci.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.api.answers import Answer
    from knarr.api.call import Call
    from knarr.api.outlet import Outlet
    from knarr.engine.image.pulling import Pulled
    from knarr.oci.descriptor import Platform
    from knarr.oci.reference import Reference


def create(call: Call) -> Answer:
    """Pull an image, or import one."""
    if call.text("fromImage"):
        reference = parse_source(call.text("fromImage"), call.text("tag"))
        platform = next(iter(parse_platforms(call)), None)
        call.engine.registries.act_as(parse_auth(call.headers))
        if reference.tag is None and reference.digest is None:
            return JsonLines(partial(_pull_all, call, reference, platform))
        return JsonLines(partial(_pull, call, reference, platform))
    return JsonLines(partial(_import, call))


def _pull(call: Call, reference: Reference, platform: Platform | None, out: Outlet) -> None:
    layers = render.Layers(out.send, new="Pulling fs layer")
    layers.opening = render.pulling(reference.with_default_tag())
    pulled = call.engine.images.pull(reference, platform=platform, report=layers)
    layers.open()
    _send_all(out, render.pulled(pulled))


def _pull_all(call: Call, reference: Reference, platform: Platform | None, out: Outlet) -> None:
    """Pull every tag of a repository. Docker: what a pull without a tag means."""
    from knarr.engine.image.pulling import pull_all  # noqa: PLC0415 - few pull so much

    layers = render.Layers(out.send, new="Pulling fs layer")

    def before(tag: str) -> None:
        layers.opening = render.pulling(reference.replace(tag=tag))

    def after(pulled: Pulled) -> None:
        layers.open()
        _send_all(out, render.pulled(pulled))

    pull_all(call.engine, reference, platform=platform, report=layers, before=before, after=after)


def _import(call: Call, out: Outlet) -> None:
    from knarr.engine.image.importing import ImportOptions  # noqa: PLC0415 - most pull

    source, name = call.text("fromSrc"), join_tag(call.text("repo"), call.text("tag"))
    if not source:
        message = "neither fromImage nor fromSrc is given"
        raise InvalidArgument(message)
    options = ImportOptions(
        reference=parse_tag(name) if name else None,
        changes=tuple(call.texts("changes")),
        message=call.text("message") or f"Imported from {source}",
        platform=next(iter(parse_platforms(call)), None),
    )
    if source == "-":
        image_id = call.engine.images.import_archive(call.body, options)
    else:
        from knarr.engine.build.fetching import open_url  # noqa: PLC0415 - few are far away

        url = source if "://" in source else f"http://{source}"
        with open_url(url, {}) as answer:
            out.send(render.status(f"Downloading from {url}"))
            image_id = call.engine.images.import_archive(answer, options)
    out.send(render.status(str(image_id)))


def push(call: Call) -> Answer:
    name, tag = call.parameters["name"], call.text("tag")
    reference = parse_reference(join_tag(name, tag))
    if reference.digest is not None:
        message = "cannot push a digest reference"
        raise InvalidArgument(message)
    platform = next(iter(parse_platforms(call)), None) if call.version >= (1, 46) else None
    call.engine.registries.act_as(parse_auth(call.headers))
    return JsonLines(partial(_push, call, reference, platform))


def _push(call: Call, reference: Reference, platform: Platform | None, out: Outlet) -> None:
    """Push an image. Docker: without a tag, every tag of the repository"""
    out.send(render.pushing(reference))
    for each in [reference] if reference.tag else tags_of(call.engine, reference):
        layers = render.Layers(out.send)
        pushed = call.engine.images.push(each, platform=platform, report=layers)
        _send_all(out, render.pushed(pushed))


def _send_all(out: Outlet, documents: Iterable[render.Document]) -> None:
    for document in documents:
        out.send(document)


def distribution(call: Call) -> Answer:
    from knarr.engine.image.remote import describe  # noqa: PLC0415 - few ask

    call.engine.registries.act_as(parse_auth(call.headers))
    reference = parse_reference(call.parameters["name"]).with_default_tag()
    descriptor, platforms = describe(call.engine, reference)
    return Json(render.distribution(descriptor, platforms))
