"""In-toto statements about what a build made, as BuildKit puts them beside it.

What a statement says is its predicate; whom it is about its subject: the image's manifest by its
digest, under each name that the image gets, or each of the files that are given away. So a
statement can be made only when these are.

Spec: in-toto attestation v1, statement.md; package-url, type docker
"""

from __future__ import annotations

from knarr.engine.build.export.parts import Statement
from knarr.oci import document
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from knarr.engine.build.attesting.provenance import Circumstances
    from knarr.engine.engine import Engine
    from knarr.oci.descriptor import Platform
    from knarr.oci.digest import Digest
    from knarr.oci.manifest import Manifest
    from knarr.oci.reference import Reference

MIN, MAX = "min", "max"
OWN, SYFT = "knarr", "syft"
_TYPE = "https://in-toto.io/Statement/v1"


class Wanted(Value):
    """What is to be attested: `provenance` is MIN, MAX or nothing, `sbom` OWN, SYFT or nothing."""

    provenance: str = ""
    sbom: str = ""


class Predicate(Value):
    """What is said: of which kind it is, and what its file is called among files."""

    kind: str
    file: str
    said: Mapping[str, Any]


class Attestations:
    """Makes the statements about what one platform's build came to."""

    def __init__(self, platform: Platform, predicates: Sequence[Predicate]) -> None:
        self._platform = platform
        self._predicates = predicates

    def of_image(self, manifest: Manifest, names: Sequence[Reference]) -> list[Statement]:
        """Return the statements about an image that gets `names`."""
        urls = [package_url(name, self._platform) for name in names] or ["_"]
        subjects = [_subject(url, manifest.digest) for url in urls]
        return [
            Statement(each.kind, document.dump(_statement(each, subjects)))
            for each in self._predicates
        ]

    def of_files(self, files: Iterable[tuple[str, Digest]]) -> list[tuple[str, bytes]]:
        """Return the statements about files with these digests, each with the name of its file."""
        import json  # noqa: PLC0415 - for who asks for attestations

        subjects = [_subject(path, digest) for path, digest in files]
        return [
            (each.file, json.dumps(_statement(each, subjects), indent=2).encode())
            for each in self._predicates
        ]


def _subject(name: str, digest: Digest) -> dict[str, Any]:
    return {"name": name, "digest": {digest.algorithm: digest.hex}}


def _statement(predicate: Predicate, subjects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "_type": _TYPE,
        "subject": subjects,
        "predicateType": predicate.kind,
        "predicate": predicate.said,
    }


def plan_attestations(engine: Engine, wanted: Wanted, about: Circumstances) -> Attestations | None:
    """Return what makes the statements, None if nothing is wanted.

    Raises: NotFound, Failed
    """
    predicates = []
    if wanted.sbom:
        from knarr.engine.build.attesting import sbom  # noqa: PLC0415 - for who asks for it

        said = sbom.describe(engine, about.stack, wanted.sbom, about.name)
        predicates.append(Predicate(sbom.TYPE, "sbom.spdx.json", said))
    if wanted.provenance:
        from knarr.engine.build.attesting import provenance  # noqa: PLC0415 - as above

        said = provenance.describe(engine, about, whole=wanted.provenance == MAX)
        predicates.append(Predicate(provenance.TYPE, "provenance.json", said))
    return Attestations(about.platform, predicates) if predicates else None


def package_url(name: Reference, platform: Platform) -> str:
    """Return the package URL of an image, as `pkg:docker/app@1?platform=linux%2Famd64`."""
    from urllib.parse import quote  # noqa: PLC0415 - for who asks for attestations

    version = f"@{quote(name.tag or str(name.digest), safe='')}"
    where = quote(str(platform), safe="")
    return f"pkg:docker/{name.familiar_name}{version}?platform={where}"
