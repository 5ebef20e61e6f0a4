"""In-toto statements about the image of a build, as BuildKit puts them beside it.

What a statement says is its predicate; whom it is about its subject: the image's manifest by its
digest, under each name that the image gets. So a statement can be made only when the manifest is.

Spec: in-toto attestation v1, statement.md; package-url, type docker
"""

from __future__ import annotations

from functools import partial

from knarr.engine.build.export.parts import Statement
from knarr.oci import document
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from knarr.engine.build.attesting.provenance import Circumstances
    from knarr.engine.engine import Engine
    from knarr.oci.descriptor import Platform
    from knarr.oci.manifest import Manifest
    from knarr.oci.reference import Reference

    Attest = Callable[[Manifest, Sequence[Reference]], list[Statement]]

MIN, MAX = "min", "max"
OWN, SYFT = "knarr", "syft"
_TYPE = "https://in-toto.io/Statement/v1"


class Wanted(Value):
    """What is to be attested: `provenance` is MIN, MAX or nothing, `sbom` OWN, SYFT or nothing."""

    provenance: str = ""
    sbom: str = ""


def plan_attestations(engine: Engine, wanted: Wanted, about: Circumstances) -> Attest | None:
    """Return what makes the statements about an image, None if nothing is wanted.

    Raises: NotFound, Failed
    """
    predicates: list[tuple[str, dict[str, Any]]] = []
    if wanted.sbom:
        from knarr.engine.build.attesting import sbom  # noqa: PLC0415 - for who asks for it

        predicates.append((sbom.TYPE, sbom.describe(engine, about.stack, wanted.sbom, about.name)))
    if wanted.provenance:
        from knarr.engine.build.attesting import provenance  # noqa: PLC0415 - as above

        whole = wanted.provenance == MAX
        predicates.append((provenance.TYPE, provenance.describe(engine, about, whole=whole)))
    if not predicates:
        return None
    return partial(_state, about.platform, predicates)


def _state(
    platform: Platform,
    predicates: list[tuple[str, dict[str, Any]]],
    manifest: Manifest,
    names: Sequence[Reference],
) -> list[Statement]:
    digest = manifest.digest
    subjects = [
        {"name": package_url(name, platform), "digest": {digest.algorithm: digest.hex}}
        for name in names
    ] or [{"name": "_", "digest": {digest.algorithm: digest.hex}}]
    return [
        Statement(
            kind,
            document.dump(
                {
                    "_type": _TYPE,
                    "subject": subjects,
                    "predicateType": kind,
                    "predicate": predicate,
                }
            ),
        )
        for kind, predicate in predicates
    ]


def package_url(name: Reference, platform: Platform) -> str:
    """Return the package URL of an image, as `pkg:docker/app@1?platform=linux%2Famd64`."""
    from urllib.parse import quote  # noqa: PLC0415 - for who asks for attestations

    version = f"@{quote(name.tag or str(name.digest), safe='')}"
    where = quote(str(platform), safe="")
    return f"pkg:docker/{name.familiar_name}{version}?platform={where}"
