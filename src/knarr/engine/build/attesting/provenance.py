"""Provenance: from what, by whom and how an image was built, as SLSA wants it told.

    min   the base images and sources with their digests, the target, when it was
    max   also the build arguments and labels, the names of secrets, and the Dockerfile

Values of secrets are in neither. A build argument may hold what should not be read by everybody:
that is why `min` leaves them out.

Spec: slsa.dev/provenance/v1
"""

from __future__ import annotations

import platform as machine

from knarr.build.graph import Fetch, Image, in_order
from knarr.engine.build.attesting.statements import package_url
from knarr.engine.build.layouts import LAYOUT
from knarr.oci.descriptor import host_platform
from knarr.oci.reference import parse_reference
from knarr.util.times import render_rfc3339
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from knarr.build.graph import Stack, Vertex
    from knarr.engine.engine import Engine
    from knarr.oci.descriptor import Platform
    from knarr.oci.digest import Digest

TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:knarr:dockerfile:1"


class Circumstances(Value):
    """How a build was: what it stood on, and what was asked of it.

    `states` tell of each source by its vertex which state of it was taken; `source` is the
    context's place if that is not on this machine.
    """

    id: str
    name: str
    target: Vertex
    stack: Stack
    platform: Platform
    states: Mapping[str, str] = {}
    source: str = ""
    dockerfile: str = "Dockerfile"
    text: bytes = b""
    stage: str = ""
    arguments: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    secrets: tuple[str, ...] = ()
    began_ns: int = 0
    ended_ns: int = 0


def describe(engine: Engine, about: Circumstances, *, whole: bool) -> dict[str, Any]:
    """Return the predicate; `whole` for mode max."""
    from knarr import __version__  # noqa: PLC0415 - for who asks for attestations

    request: dict[str, Any] = {"frontend": "dockerfile.v0"}
    if about.stage:
        request["args"] = {"target": about.stage}
    if whole:
        arguments = {f"build-arg:{name}": value for name, value in about.arguments.items()}
        labels = {f"label:{name}": value for name, value in about.labels.items()}
        request["args"] = {**request.get("args", {}), **arguments, **labels}
        request["secrets"] = [{"id": name} for name in about.secrets]
    source = {"uri": about.source} if about.source else {}
    metadata: dict[str, Any] = {
        "invocationId": about.id,
        "startedOn": render_rfc3339(about.began_ns),
        "finishedOn": render_rfc3339(about.ended_ns),
    }
    if whole:
        metadata["knarr_source"] = about.text.decode("utf-8", "replace")
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "configSource": {**source, "path": about.dockerfile},
                "request": request,
            },
            "internalParameters": {"builderPlatform": str(host_platform())},
            "resolvedDependencies": _dependencies(engine, about),
        },
        "runDetails": {
            "builder": {
                "id": "urn:knarr:builder",
                "version": {"knarr": __version__, "linux": machine.release()},
            },
            "metadata": metadata,
        },
    }


def _dependencies(engine: Engine, about: Circumstances) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for vertex in in_order(about.target):
        operation = vertex.operation
        if isinstance(operation, Image) and operation.reference:
            material = _image(engine, operation, about.platform)
        elif isinstance(operation, Fetch) and operation.kind != "local":
            material = _source(operation, about.states.get(vertex.digest, ""))
        else:
            continue
        found[material["uri"]] = material
    return list(found.values())


def _image(engine: Engine, image: Image, platform: Platform) -> dict[str, Any]:
    """Return an image with the digest that its registry has it under, or its ID."""
    row = engine.images.records.matching(image.id)[0]
    if image.reference.startswith(("sha256:", LAYOUT)):
        return _material(image.reference, row.id)
    reference = parse_reference(image.reference)
    known = [
        tag.reference.digest
        for tag in engine.images.tags.of(row.id)
        if tag.reference.digest and tag.reference.name == reference.name
    ]
    digest = reference.digest or (known[0] if known else row.manifest or row.id)
    return _material(package_url(reference, platform), digest)


def _material(uri: str, digest: Digest) -> dict[str, Any]:
    return {"uri": uri, "digest": {digest.algorithm: digest.hex}}


def _source(fetch: Fetch, state: str) -> dict[str, Any]:
    """Return a source with the commit or checksum that was taken, if it is known."""
    uri = fetch.url
    if fetch.kind == "git":
        uri = f"git+{fetch.url}{f'#{fetch.ref}' if fetch.ref else ''}"
        return {"uri": uri, "digest": {"sha1" if len(state) == 40 else "sha256": state}}
    algorithm, colon, value = fetch.checksum.partition(":")
    return {"uri": uri, "digest": {algorithm: value}} if colon else {"uri": uri}
