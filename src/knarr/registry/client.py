"""One repository at one registry: the distribution protocol.

    repository = connect(parse_reference("debian:bookworm"), hosts, Keychain())
    fetched = repository.manifest("bookworm")
    with repository.blob(layer) as reader:
        …VerifyingReader(reader, layer.digest, layer.size)…

What is read is asked for at each endpoint in turn: mirrors first, the registry itself last. A
mirror that does not have it, does not answer or lies is passed over. What is written goes to the
registry itself.

A repository may be used by several threads at once. Importing this module loads urllib3, which
takes 50 ms: the engine does so when there is something to ask a registry.

Spec: distribution-spec
"""

from __future__ import annotations

from knarr.errors import Corrupt, InvalidArgument, KnarrError, NotFound
from knarr.oci import descriptor as d
from knarr.oci.descriptor import Descriptor
from knarr.oci.digest import Digest, digest_of, hasher
from knarr.registry import listing, referring
from knarr.registry.download import BlobReader
from knarr.registry.faults import Refusal, pull_error, push_error
from knarr.registry.transfer import Patience, Session, quote
from knarr.registry.upload import Upload
from knarr.registry.wire import MAX_DOCUMENT, Wire
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO, TypeVar

    from knarr.oci.reference import Reference
    from knarr.registry.credentials import Keychain
    from knarr.registry.handed import Handed
    from knarr.registry.hosts import Hosts
    from knarr.registry.transfer import Listener

    Read = TypeVar("Read")

# What a manifest may have; the specification asks registries to take at least as much.
MAX_MANIFEST = MAX_DOCUMENT
# Every kind of manifest we can be given. Schema 1 is not among them, so that registries that could
# make one for old clients do not; who has nothing else sends it all the same.
ALL = (d.OCI_INDEX, d.OCI_MANIFEST, d.DOCKER_LIST, d.DOCKER_MANIFEST)
# A mirror is not waited for: there is another place.
MIRROR = Patience(attempts=2)
_DIGEST_FIELD = "docker-content-digest"


class Fetched(Value):
    """A manifest as it came: the bytes, whose digest was verified, and what they were called."""

    raw: bytes
    media_type: str
    digest: Digest


def connect(
    reference: Reference,
    hosts: Hosts,
    credentials: Keychain | Handed | None,
    *,
    wire: Wire | None = None,
    insecure: bool = False,
    listener: Listener | None = None,
) -> Repository:
    """Return the repository that `reference` names; nothing is sent yet.

    `credentials` as None means nobody. One `wire` for several repositories shares connections.
    With `insecure` any certificate will do, and plain HTTP where there is no TLS.

    Raises: PermissionDenied (blocked), InvalidArgument, Failed, NotFound, Corrupt (settings)
    """
    import os  # noqa: PLC0415 - for who gives no wire

    wire = wire or Wire(os.environ)
    sessions = []
    for endpoint in hosts.endpoints(reference):
        if insecure:
            endpoint = endpoint.trusting()
        login = None
        if credentials is not None:
            login = credentials.find(endpoint.registry, endpoint.repository)
        patience = MIRROR if endpoint.mirror else Patience()
        session = Session(wire, endpoint, hosts, login, patience=patience, listener=listener)
        sessions.append(session)
    return Repository(reference, sessions)


class Repository:
    """What one repository has, and what can be added. Made by `connect`."""

    def __init__(self, reference: Reference, sessions: list[Session]) -> None:
        """Read from all `sessions` in turn, write to the last."""
        self.reference = reference
        self._sessions = sessions
        self._home = sessions[-1]
        self._uploads: dict[Digest, str] = {}

    @property
    def host(self) -> str:
        """The host of the registry itself, that is of no mirror."""
        return self._home.endpoint.host

    def manifest(self, wanted: str | Digest, accept: Iterable[str] = ALL) -> Fetched:
        """Return the manifest with the tag or digest `wanted`, its digest verified.

        Raises: NotFound, Unauthorized, Unavailable, Corrupt
        """
        return self._read(lambda session: self._manifest(session, wanted, accept))

    def _manifest(self, session: Session, wanted: str | Digest, accept: Iterable[str]) -> Fetched:
        reply = session.get(
            session.path(f"manifests/{wanted}"),
            scopes=session.pulling,
            headers={"Accept": ", ".join(accept)},
            limit=MAX_MANIFEST,
        )
        if reply.refusal is not None:
            raise pull_error(self._named(wanted), reply.refusal)
        digest = _verify(reply.raw, wanted, reply.headers.get(_DIGEST_FIELD, ""))
        return Fetched(reply.raw, _media_type(reply.headers.get("content-type", "")), digest)

    def head(self, wanted: str | Digest, accept: Iterable[str] = ALL) -> Descriptor | None:
        """Return what the registry says of the manifest `wanted`, None if it has none.

        Raises: Unauthorized, Unavailable, Corrupt
        """
        try:
            return self._read(lambda session: self._head(session, wanted, tuple(accept)))
        except NotFound:
            return None

    def _head(self, session: Session, wanted: str | Digest, accept: tuple[str, ...]) -> Descriptor:
        answer = session.request(
            "HEAD",
            session.path(f"manifests/{wanted}"),
            scopes=session.pulling,
            headers={"Accept": ", ".join(accept)},
        )
        announced, size = answer.headers.get(_DIGEST_FIELD, ""), answer.length
        if answer.status != 200:
            raise pull_error(self._named(wanted), Refusal(answer))
        answer.close()
        if size is None or not (announced or isinstance(wanted, Digest)):
            # Not every registry says as much; all of them give the manifest.
            found = self._manifest(session, wanted, accept)
            return Descriptor(found.media_type, found.digest, len(found.raw))
        digest = wanted if isinstance(wanted, Digest) else Digest(announced)
        return Descriptor(_media_type(answer.headers.get("content-type", "")), digest, size)

    def blob(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        """Return a reader of the blob, from `offset` on, that survives cut connections.

        It ends where the descriptor says; the caller verifies the digest.

        Raises: NotFound, Unauthorized, Unavailable, Corrupt
        """
        reader = BlobReader(self._places(), descriptor, self.reference)
        reader.open(offset)
        return reader

    def has_blob(self, digest: Digest) -> bool:
        """Tell whether the registry itself has the blob in this repository.

        Raises: Unauthorized, Unavailable
        """
        session = self._home
        answer = session.request("HEAD", session.path(f"blobs/{digest}"), scopes=self._home.pushing)
        if answer.status == 404:
            answer.drop()
            return False
        if answer.status != 200:
            raise push_error(self.reference, Refusal(answer))
        answer.close()
        return True

    def mount_blob(self, digest: Digest, from_repository: str) -> bool:
        """Take the blob over from another repository of the registry; tell whether it could.

        Raises: Unauthorized, Unavailable
        """
        session = self._home
        scopes = (*self._home.pushing, f"repository:{from_repository}:pull")
        path = session.path(f"blobs/uploads/?mount={digest}&from={quote(from_repository)}")
        answer = session.request("POST", path, scopes=scopes, body=b"")
        location = answer.headers.get("location", "")
        if answer.status == 202 and location:
            # It began an upload instead, which `upload_blob` goes on with.
            self._uploads[digest] = location
        done = answer.status == 201
        answer.drop()
        return done

    def upload_blob(
        self,
        descriptor: Descriptor,
        open: Callable[[int], BinaryIO],  # noqa: A002 - what it does
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Put a blob there; `open(offset)` opens its bytes from `offset` on.

        `progress` is told how many bytes of it have been sent, fewer after a cut.

        Raises: Unauthorized, Unavailable, Corrupt (the registry got other bytes)
        """
        upload = Upload(
            self._home, self._home.path("blobs/uploads/"), self._home.pushing, self.reference
        )
        upload.run(descriptor, open, progress, location=self._uploads.pop(descriptor.digest, ""))

    def put_manifest(self, wanted: str | Digest, raw: bytes, media_type: str) -> Digest:
        """Put a manifest there under a tag, or under its digest alone.

        A registry that does not know referrers gets the list of them under its tag.

        Raises: Unauthorized, Unavailable, Corrupt, InvalidArgument
        """
        digest = digest_of(raw)
        if isinstance(wanted, Digest) and wanted != _same_algorithm(raw, wanted):
            message = f"{wanted} is not the digest of the manifest"
            raise InvalidArgument(message)
        session = self._home
        answer = session.request(
            "PUT",
            session.path(f"manifests/{wanted}"),
            scopes=self._home.pushing,
            headers={"Content-Type": media_type},
            body=raw,
        )
        if answer.status not in (200, 201, 202):
            raise push_error(self.reference, Refusal(answer))
        announced = answer.headers.get(_DIGEST_FIELD, "")
        knows_referrers = bool(answer.headers.get("oci-subject"))
        answer.drop()
        if announced.startswith("sha256:") and announced != digest:
            message = f"{self.host} keeps the manifest as {announced[:80]}, not as {digest}"
            raise Corrupt(message)
        if not knows_referrers:
            referring.note(self, raw, media_type)
        return digest

    def delete_manifest(self, wanted: str | Digest) -> None:
        """Remove a manifest (by digest) or a tag from the registry itself.

        Raises: NotFound, Unauthorized, Unsupported, Unavailable
        """
        session = self._home
        name = session.endpoint.repository
        scopes = (*self._home.pushing, f"repository:{name}:delete")
        answer = session.request("DELETE", session.path(f"manifests/{wanted}"), scopes=scopes)
        if answer.status not in (200, 202, 204):
            refusal = Refusal(answer)
            if refusal.status == 404:
                raise pull_error(self._named(wanted), refusal)
            raise push_error(self.reference, refusal)
        answer.drop()

    def tags(self, last: str = "") -> Iterator[str]:
        """Yield the tags there are, after `last` if given, page by page.

        Raises: NotFound, Unauthorized, Unavailable, Corrupt
        """
        session = self._home
        query = f"?n={listing.PAGE}" + (f"&last={quote(last)}" if last else "")
        for page in listing.pages(session, session.path("tags/list") + query, session.pulling):
            if page.refusal is not None:
                raise pull_error(self.reference, page.refusal)
            yield from listing.texts(page, "tags", self.host)

    def referrers(self, digest: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """Return the manifests whose subject is `digest`, of one type if given.

        Raises: Unauthorized, Unavailable, Corrupt
        """
        return referring.referrers(self, self._home, digest, artifact_type)

    def _read(self, read: Callable[[Session], Read]) -> Read:
        """Return what the first endpoint gives that has it."""
        for session in self._places()[:-1]:
            try:
                return read(session)
            except KnarrError as error:
                # Mirrors come and go: the registry itself has the last word.
                session.pass_over(error)
        return read(self._home)

    def _places(self) -> list[Session]:
        """Return whom to ask, in order: mirrors that answer, and the registry itself."""
        return [*(s for s in self._sessions[:-1] if not s.given_up), self._home]

    def _named(self, wanted: str | Digest) -> Reference:
        if isinstance(wanted, Digest):
            return self.reference.replace(tag=None, digest=wanted)
        return self.reference.replace(tag=wanted, digest=None)


def _verify(raw: bytes, wanted: str | Digest, announced: str) -> Digest:
    """Return the digest of a manifest, which has to be what was wanted and what was announced."""
    if isinstance(wanted, Digest):
        promised: Digest | None = wanted
    else:
        promised = Digest(announced) if announced else None
    if promised is None:
        return digest_of(raw)
    found = _same_algorithm(raw, promised)
    if found != promised:
        message = f"manifest {promised} is what was promised, {found} came"
        raise Corrupt(message)
    return promised


def _same_algorithm(raw: bytes, digest: Digest) -> Digest:
    found = hasher(raw, algorithm=digest.algorithm).hexdigest()
    return Digest(f"{digest.algorithm}:{found}")


def _media_type(field: str) -> str:
    """Return a field Content-Type without its parameters."""
    return field.partition(";")[0].strip().lower()
