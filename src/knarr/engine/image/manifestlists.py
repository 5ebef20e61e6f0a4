"""Lists of manifests that are put together here and pushed: `knarr manifest`.

Manifests are had from registries; a list is made of their descriptors, each with the platform of
its image or what `annotate` says instead. Nothing of the images themselves is kept. A push takes
over from other repositories of the same registry what the new one lacks, and copies the rest.

Docker: the words of "docker manifest", and the bytes of a list: the same has the same digest
"""

from __future__ import annotations

import io
import json

from knarr.engine.image.places.registry import RegistryTarget
from knarr.engine.image.remote import platform_of
from knarr.engine.image.transfer import copy_all
from knarr.errors import Conflict, InvalidArgument, NotFound, Unsupported
from knarr.oci import descriptor as d
from knarr.oci.manifest import Index, Manifest, decode_manifest
from knarr.oci.reference import parse_reference
from knarr.store.manifests import ManifestRecords, Member
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Stream
    from knarr.oci.descriptor import Descriptor, Platform
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference
    from knarr.registry.client import Repository

# What programs can be compiled for, by Go at least: anything else is a slip of the pen.
_ARCHITECTURES = {
    "linux": "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x",
    "windows": "386 amd64 arm arm64",
    "darwin": "amd64 arm64 386 arm",
    "freebsd": "386 amd64 arm arm64 riscv64",
    "netbsd": "386 amd64 arm arm64",
    "openbsd": "386 amd64 arm arm64",
    "dragonfly": "amd64",
    "solaris": "amd64",
    "plan9": "386 amd64 arm",
    "wasip1": "wasm",
    "js": "wasm",
}


class Changes(Value):
    """What `annotate` says of an image's platform instead of its config; empty is as it was."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()


class ManifestLists:
    """The lists of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._records = ManifestRecords(engine.database)

    def create(
        self, name: str, manifests: Iterable[str], *, amend: bool = False, insecure: bool = False
    ) -> Reference:
        """Make a list of manifests in registries, or with `amend` add them to the one there is.

        Raises: InvalidArgument, Conflict, NotFound, Unauthorized, Unavailable, Corrupt
        """
        reference = _list_name(name)
        known = {member.reference for member in self._records.members(reference)}
        if known and not amend:
            message = "refusing to amend an existing manifest list with no --amend flag"
            raise Conflict(message)
        wanted = [_tagged(text) for text in manifests]
        members = [self._fetch(one, insecure=insecure) for one in wanted if one not in known]
        self._records.put(reference, members)
        return reference

    def annotate(self, name: str, manifest: str, changes: Changes) -> None:
        """Let a list say something else of a manifest's platform than its config does.

        Raises: InvalidArgument, NotFound
        """
        reference, wanted = _list_name(name), _tagged(manifest)
        with self._engine.database.transaction():
            member = self._member(reference, wanted)
            if member is None:
                message = f"manifest for image {wanted} does not exist in {reference}"
                raise NotFound(message)
            platform = _changed(member.descriptor.platform, changes)
            descriptor = member.descriptor.replace(platform=platform)
            self._records.put(reference, [member.replace(descriptor=descriptor)])

    def document(self, name: str, *, within: str = "", insecure: bool = False) -> Manifest | Index:
        """Return a manifest, or a list: one that is made here, or what a registry has.

        `within` names the list made here that the manifest is looked for in.

        Raises: InvalidArgument, NotFound, Unauthorized, Unavailable, Corrupt
        """
        reference = _tagged(name)
        if within:
            return decode_manifest(self._listed(within, reference).raw)
        members = self._records.members(reference)
        if members:
            return render_list(members)
        return self._ask(reference, insecure=insecure)[1]

    def members(
        self, name: str, *, within: str = "", insecure: bool = False
    ) -> Member | list[Member]:
        """Return the same with what can be found out about each manifest.

        Raises: InvalidArgument, NotFound, Unauthorized, Unavailable, Corrupt
        """
        reference = _tagged(name)
        if within:
            return self._listed(within, reference)
        members = self._records.members(reference)
        if members:
            return members
        repository, found = self._ask(reference, insecure=insecure)
        if isinstance(found, Manifest):
            return _described(repository, reference, found)
        return [
            Member(reference.replace(digest=entry.digest), entry, _raw(repository, entry.digest))
            for entry in found.manifests
        ]

    def push(
        self,
        name: str,
        *,
        purge: bool = False,
        insecure: bool = False,
        told: Callable[[Reference], object],
    ) -> Digest:
        """Give a list, with all images in it, to the registry in its name; return its digest.

        `told` is called with each manifest that is there. With `purge` the list is forgotten.

        Raises: NotFound, Unauthorized, Unavailable, PermissionDenied, Corrupt
        """
        reference = _list_name(name)
        members = self._records.members(reference)
        if not members:
            raise _missing(reference)
        repository = self._connect(reference, insecure=insecure)
        for member in members:
            origin = self._connect(member.reference, insecure=insecure)
            same = member.reference.registry == reference.registry
            neighbours = {member.reference.repository} if same else set()
            target = RegistryTarget(
                repository, mount_from=sorted(neighbours - {reference.repository})
            )
            copy_all(_MemberSource(member, origin), target, str(member.reference))
            told(reference.replace(tag=None, digest=member.descriptor.digest))
        index = render_list(members)
        digest = repository.put_manifest(reference.tag or index.digest, index.raw, index.media_type)
        if purge:
            self._records.remove(reference)
        return digest

    def remove(self, name: str) -> None:
        """Forget a list.

        Raises: InvalidArgument, NotFound
        """
        reference = _list_name(name)
        if not self._records.remove(reference):
            raise _missing(reference)

    def _member(self, name: Reference, wanted: Reference) -> Member | None:
        found = [one for one in self._records.members(name) if one.reference == wanted]
        return found[0] if found else None

    def _listed(self, within: str, wanted: Reference) -> Member:
        member = self._member(_list_name(within), wanted)
        if member is None:
            raise _missing(wanted)
        return member

    def _connect(self, reference: Reference, *, insecure: bool) -> Repository:
        return self._engine.registries.connect(reference, insecure=insecure)

    def _ask(self, reference: Reference, *, insecure: bool) -> tuple[Repository, Manifest | Index]:
        repository = self._connect(reference, insecure=insecure)
        try:
            fetched = repository.manifest(reference.digest or reference.tag or "")
        except NotFound as error:
            message = f"no such manifest: {reference}"
            raise NotFound(message, hint=error.hint) from error
        return repository, decode_manifest(fetched.raw, fetched.media_type)

    def _fetch(self, reference: Reference, *, insecure: bool) -> Member:
        repository, found = self._ask(reference, insecure=insecure)
        if isinstance(found, Index):
            message = f"{reference} is a manifest list"
            raise Unsupported(message, hint="Name the manifests that it lists, by their digests.")
        return _described(repository, reference, found)


class _MemberSource:
    """A manifest as a place to copy from: the document is here, the rest is in its registry."""

    def __init__(self, member: Member, repository: Repository) -> None:
        self._member = member
        self._repository = repository

    def resolve(self, name: str) -> Descriptor:  # noqa: ARG002 - there is but one
        return self._member.descriptor.replace(platform=None)

    def open(self, descriptor: Descriptor) -> Stream:
        if descriptor.digest == self._member.descriptor.digest:
            return io.BytesIO(self._member.raw)
        return self._repository.blob(descriptor)


def render_list(members: list[Member]) -> Index:
    """Return the list of `members`: OCI's index if the first is an OCI manifest, else Docker's.

    Docker: the order of fields, and three blanks for each level
    """
    oci = members[0].descriptor.media_type == d.OCI_MANIFEST
    media_type = d.OCI_INDEX if oci else d.DOCKER_LIST
    entries = [_entry(member.descriptor) for member in members]
    value = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    raw = json.dumps(value, indent=3, ensure_ascii=False).encode()
    return Index(raw, media_type, tuple(member.descriptor for member in members))


def _entry(descriptor: Descriptor) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "size": descriptor.size,
        "digest": str(descriptor.digest),
    }
    if descriptor.platform is not None:
        fields["platform"] = platform_fields(descriptor.platform)
    return fields


def platform_fields(platform: Platform) -> dict[str, Any]:
    """Return the JSON object of a platform, its fields in Docker's order."""
    fields = d.encode_platform(platform)
    order = ("architecture", "os", "os.version", "os.features", "variant")
    return {name: fields[name] for name in order if name in fields}


def _list_name(text: str) -> Reference:
    try:
        return _tagged(text)
    except InvalidArgument as error:
        message = f"error parsing name for manifest list {text}: {error}"
        raise InvalidArgument(message, hint=error.hint) from error


def _tagged(text: str) -> Reference:
    reference = parse_reference(text).with_default_tag()
    return reference.replace(tag=None) if reference.digest is not None else reference


def _raw(repository: Repository, digest: Digest) -> bytes:
    return repository.manifest(digest).raw


def _described(repository: Repository, reference: Reference, manifest: Manifest) -> Member:
    """Return a manifest with the platform that its image's config names."""
    platform = platform_of(repository, manifest)
    return Member(reference, manifest.descriptor.replace(platform=platform), manifest.raw)


def _changed(platform: Platform | None, changes: Changes) -> Platform:
    """Return a platform as `changes` want it.

    Raises: InvalidArgument
    """
    before = platform or d.Platform("", "")
    features = [one for one in changes.os_features if one not in before.os_features]
    after = d.Platform(
        changes.os or before.os,
        changes.architecture or before.architecture,
        changes.variant or before.variant,
        changes.os_version or before.os_version,
        (*before.os_features, *dict.fromkeys(features)),
    )
    if after.architecture not in _ARCHITECTURES.get(after.os, "").split():
        message = (
            "manifest entry for image has unsupported os/arch combination: "
            f"{after.os}/{after.architecture}"
        )
        known = _ARCHITECTURES.get(after.os)
        hint = f"For {after.os} there is: {known}." if known else ""
        raise InvalidArgument(message, hint=hint)
    return after


def _missing(reference: Reference) -> NotFound:
    message = f"No such manifest: {reference}"
    return NotFound(message)
