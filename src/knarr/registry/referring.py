"""Referrers: what refers to a manifest as its subject (signatures, lists of contents).

A registry that knows them answers at `…/referrers/<digest>`. For one that does not, clients keep
the list themselves, as an index under the tag `sha256-<hex>`: it is read here, and added to when a
manifest with a subject was put there.

Spec: distribution-spec, "Listing Referrers", "Referrers Tag Schema"
"""

from __future__ import annotations

from knarr.errors import Corrupt, NotFound
from knarr.oci import descriptor as d
from knarr.oci.digest import digest_of
from knarr.oci.manifest import Index, Manifest, decode_manifest, encode_index
from knarr.registry import listing
from knarr.registry.faults import pull_error
from knarr.registry.transfer import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference
    from knarr.registry.client import Fetched
    from knarr.registry.transfer import Session

    class Repository(Protocol):
        """What is needed of `client.Repository`."""

        reference: Reference

        def manifest(self, wanted: str | Digest, /) -> Fetched:
            """Return a manifest."""

        def put_manifest(self, wanted: str | Digest, raw: bytes, media_type: str, /) -> Digest:
            """Put one there."""


def referrers(
    repository: Repository, session: Session, digest: Digest, artifact_type: str | None
) -> tuple[Descriptor, ...]:
    """Return what refers to `digest`."""
    path = session.path(f"referrers/{digest}")
    if artifact_type:
        path += f"?artifactType={quote(artifact_type)}"
    found: list[Descriptor] = []
    for page in listing.pages(session, path, session.pulling):
        kind = page.headers.get("content-type", "").partition(";")[0].strip()
        if page.refusal is None and kind == d.OCI_INDEX:
            found += _index(page.raw)
        elif page.status in (200, 400, 404, 405):
            # Old registries take it for something else, or for nothing they know.
            found += _tagged(repository, digest)
            break
        elif page.refusal is not None:
            raise pull_error(repository.reference, page.refusal)
    if artifact_type:  # whether or not the registry filtered
        found = [one for one in found if one.artifact_type == artifact_type]
    return tuple(found)


def note(repository: Repository, raw: bytes, media_type: str) -> None:
    """Add a manifest that was put there to its subject's list, for who knows no referrers."""
    if b'"subject"' not in raw:
        return
    document = decode_manifest(raw, media_type)
    if not isinstance(document, Manifest) or document.subject is None:
        return
    subject = document.subject.digest
    own = d.Descriptor(
        document.media_type,
        digest_of(raw),
        len(raw),
        document.annotations,
        artifact_type=document.artifact_type or document.config.media_type,
    )
    known = _tagged(repository, subject)
    if any(one.digest == own.digest for one in known):
        return
    index = encode_index((*known, own))
    repository.put_manifest(tag_of(subject), index.raw, index.media_type)


def tag_of(digest: Digest) -> str:
    """Return the tag under which the list of referrers of `digest` is kept."""
    return f"{digest.algorithm}-{digest.hex}"[:128]


def _tagged(repository: Repository, digest: Digest) -> tuple[Descriptor, ...]:
    try:
        return _index(repository.manifest(tag_of(digest)).raw)
    except NotFound:
        return ()


def _index(raw: bytes) -> tuple[Descriptor, ...]:
    document = decode_manifest(raw)
    if not isinstance(document, Index):
        message = "a list of referrers is not an index"
        raise Corrupt(message)
    return document.manifests
