"""A registry of our own in a thread, which does what no good registry does when a test asks.

with TestRegistry() as registry:
    registry.add_blob("a/b", b"…")
    registry.on("GET", "/blobs/", cut_after(1000))           once (see support.webservice)

It speaks the distribution protocol on 127.0.0.1, with TLS if given certificates, and asks for Basic
credentials or Bearer tokens if told to.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from knarr.oci.digest import Digest, digest_of
from support import webservice

if TYPE_CHECKING:
    from support.certificates import Authority

INDEX = "application/vnd.oci.image.index.v1+json"
USER, PASSWORD = "erik", "s3cr3t-of-erik"
IDENTITY = "identity-token-of-erik"


class Handler(webservice.Handler):
    """One connection."""

    service: ClassVar[TestRegistry]

    @property
    def registry(self) -> TestRegistry:
        return self.service

    def reply(self, path: str) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/token":
            self.registry.give_token(self, parse_qs(parts.query))
        elif self.registry.is_allowed(self, parts.path):
            self.route(path)

    def route(self, path: str) -> None:
        for pattern, name in ROUTES:
            match = re.fullmatch(pattern, path)
            method = getattr(self, f"{name}_{self.command.lower()}", None)
            if match and method is not None:
                method(*match.groups())
                return
        self.send(404, b"404 page not found\n")

    # the protocol

    def base_get(self) -> None:
        self.send(200, b"{}")

    def blob_get(self, name: str, digest: str) -> None:
        data = self.registry.blobs.get((name, digest))
        if data is None:
            self.error(404, "BLOB_UNKNOWN", "blob unknown to registry")
            return
        asked = self.headers.get("range", "")
        if asked and self.registry.ranges:
            first = int(asked.removeprefix("bytes=").partition("-")[0])
            if first >= len(data):
                self.send(416)
                return
            where = f"bytes {first}-{len(data) - 1}/{len(data)}"
            self.send(206, data[first:], Content_Range=where)
        else:
            self.send(200, data, Docker_Content_Digest=digest)

    blob_head = blob_get

    def manifest_get(self, name: str, wanted: str) -> None:
        found = self.registry.manifests.get((name, wanted))
        if found is None:
            if not any(known == name for known, _ in self.registry.manifests):
                self.error(404, "NAME_UNKNOWN", "repository name not known to registry")
            else:
                self.error(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return
        raw, kind = found
        digest = str(digest_of(raw)) if self.registry.says_digest else ""
        self.send(200, raw, Content_Type=kind, Docker_Content_Digest=digest)

    manifest_head = manifest_get

    def manifest_put(self, name: str, wanted: str) -> None:
        document = json.loads(self.body)
        digest = digest_of(self.body)
        for key in {wanted, str(digest)}:
            self.registry.manifests[name, key] = (self.body, self.headers["content-type"])
        subject = (document.get("subject") or {}).get("digest", "")
        self.send(
            201,
            Location=f"/v2/{name}/manifests/{digest}",
            Docker_Content_Digest=str(digest),
            OCI_Subject=subject if self.registry.referrers else "",
        )

    def manifest_delete(self, name: str, wanted: str) -> None:
        known = self.registry.manifests.pop((name, wanted), None)
        if known is None:
            self.error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        else:
            self.send(202)

    def uploads_post(self, name: str) -> None:
        registry = self.registry
        source = (self.query.get("from", ""), self.query.get("mount", ""))
        if registry.mounts and source in registry.blobs:
            registry.blobs[name, source[1]] = registry.blobs[source]
            self.send(201, Location=f"/v2/{name}/blobs/{source[1]}")
            return
        upload = secrets.token_hex(4)
        registry.uploads[upload] = bytearray()
        self.send(
            202,
            Location=registry.location(name, upload),
            OCI_Chunk_Min_Length=registry.chunk_min,
        )

    def upload_get(self, name: str, upload: str) -> None:
        data = self.registry.uploads.get(upload)
        if data is None:
            self.error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
            return
        where = self.registry.location(name, upload)
        self.send(204, Location=where, Range=f"0-{max(0, len(data) - 1)}")

    def upload_patch(self, name: str, upload: str) -> None:
        data = self.registry.uploads.get(upload)
        if data is None:
            self.error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
            return
        first = int(self.headers.get("content-range", f"{len(data)}-").partition("-")[0])
        if first != len(data):
            self.send(416, Range=f"0-{max(0, len(data) - 1)}")
            return
        data += self.body
        where = self.registry.location(name, upload)
        self.send(202, Location=where, Range=f"0-{len(data) - 1}")

    def upload_put(self, name: str, upload: str) -> None:
        data = self.registry.uploads.pop(upload, None)
        if data is None:
            self.error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
            return
        whole = bytes(data) + self.body
        if self.query["digest"] != digest_of(whole):
            self.error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
            return
        self.registry.blobs[name, self.query["digest"]] = whole
        self.send(201, Location=f"/v2/{name}/blobs/{self.query['digest']}")

    def tags_get(self, name: str) -> None:
        tags = sorted(t for n, t in self.registry.manifests if n == name and ":" not in t)
        self.page(f"/v2/{name}/tags/list", "tags", tags)

    def catalog_get(self) -> None:
        self.page("/v2/_catalog", "repositories", sorted({n for n, _ in self.registry.manifests}))

    def page(self, path: str, key: str, names: list[str]) -> None:
        size = min(self.registry.page, int(self.query.get("n", "1000")))
        rest = [name for name in names if name > self.query.get("last", "")]
        link = ""
        if len(rest) > size:
            link = f'<{path}?last={rest[size - 1]}&n={size}>; rel="next"'
        body = json.dumps({"name": path, key: rest[:size]}).encode()
        self.send(200, body, Content_Type="application/json", Link=link)

    def referrers_get(self, name: str, digest: str) -> None:
        if not self.registry.referrers:
            self.send(404)
            return
        found = []
        for (repository, key), (raw, kind) in self.registry.manifests.items():
            document = json.loads(raw)
            subject = (document.get("subject") or {}).get("digest")
            if repository == name and ":" in key and subject == digest:
                found.append(
                    {
                        "mediaType": kind,
                        "digest": key,
                        "size": len(raw),
                        "artifactType": document.get("artifactType", ""),
                    }
                )
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": found}).encode()
        self.send(200, body, Content_Type=INDEX)

    def search_get(self) -> None:
        if self.registry.results is None:
            self.send(404)
        else:
            self.send(200, json.dumps({"results": self.registry.results}).encode())


NAME = r"([a-z0-9/._-]+)"
ROUTES = (
    (r"/v2/", "base"),
    (r"/v2/_catalog", "catalog"),
    (rf"/v2/{NAME}/blobs/(sha256:[0-9a-f]+)", "blob"),
    (rf"/v2/{NAME}/blobs/uploads/", "uploads"),
    (rf"/v2/{NAME}/blobs/uploads/([0-9a-f]+)", "upload"),
    (rf"/v2/{NAME}/manifests/(.+)", "manifest"),
    (rf"/v2/{NAME}/tags/list", "tags"),
    (rf"/v2/{NAME}/referrers/(.+)", "referrers"),
    (r"/v1/search", "search"),
)


class TestRegistry(webservice.Service):
    """The registry: what it holds, and its habits, to be set by tests."""

    def __init__(
        self, *, authority: Authority | None = None, client_certificates: bool = False,
        basic: bool = False, tokens: bool = False,
    ) -> None:  # fmt: skip
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[bytes, str]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.results: list[dict[str, Any]] | None = None
        self.ranges = self.mounts = self.referrers = self.says_digest = True
        self.chunk_min = ""
        self.page = 1000
        self.location_form = "/v2/{name}/blobs/uploads/{upload}"
        self.basic = basic
        self.tokens: dict[str, set[str]] | None = {} if tokens else None
        self.realm = ""
        self.token_life = 300
        self.gives_identity = False
        self.public = False
        super().__init__(Handler, authority=authority, client_certificates=client_certificates)

    # what a test prepares

    def add_blob(self, name: str, data: bytes) -> Digest:
        digest = digest_of(data)
        self.blobs[name, digest] = data
        return digest

    def add_manifest(self, name: str, tag: str, raw: bytes, kind: str) -> Digest:
        digest = digest_of(raw)
        self.manifests[name, tag] = self.manifests[name, digest] = (raw, kind)
        return digest

    def location(self, name: str, upload: str) -> str:
        return self.location_form.format(name=name, upload=upload, url=self.url)

    # who may do what

    def is_allowed(self, handler: Handler, path: str) -> bool:
        given = handler.headers.get("authorization", "")
        if self.basic and given != _basic(USER, PASSWORD):
            handler.error(
                401, "UNAUTHORIZED", "authentication required", WWW_Authenticate='Basic realm="x"'
            )
            return False
        if self.tokens is None:
            return True
        wanted = self.scope_of(handler.command, path)
        granted = self.tokens.get(given.removeprefix("Bearer "))
        if granted is not None and wanted in granted | {""}:
            return True
        realm = self.realm or f"{self.url}/token"
        scope = f',scope="{wanted}"' if wanted else ""
        handler.error(
            401, "UNAUTHORIZED", "authentication required",
            WWW_Authenticate=f'Bearer realm="{realm}",service="test.registry"{scope}',
        )  # fmt: skip
        return False

    @staticmethod
    def scope_of(method: str, path: str) -> str:
        """Return the one right that a request takes, `type:name:action`."""
        if path == "/v2/_catalog":
            return "registry:catalog:*"
        match = re.match(rf"/v2/{NAME}/(blobs|manifests|tags|referrers)/", path)
        if match is None:
            return ""
        action = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(method, "push")
        if "/uploads/" in path:
            action = "push"
        return f"repository:{match[1]}:{action}"

    def give_token(self, handler: Handler, query: dict[str, list[str]]) -> None:
        assert self.tokens is not None
        form = parse_qs(handler.body.decode()) if handler.command == "POST" else {}
        if form:
            known = form.get("refresh_token") == [IDENTITY]
            scopes = " ".join(form.get("scope", [])).split()
        else:
            given = handler.headers.get("authorization", "")
            known = given == _basic(USER, PASSWORD)
            if given and not known:
                handler.send(
                    401, json.dumps({"details": "incorrect username or password"}).encode()
                )
                return
            scopes = query.get("scope", [])
        if form and not known:
            handler.send(401, b"{}")
            return
        granted = set()
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            may = {"pull", "push", "delete", "*"} if known else {"pull"} if self.public else set()
            granted |= {f"{kind}:{name}:{action}" for action in may & set(actions.split(","))}
        text = secrets.token_hex(16)
        self.tokens[text] = granted
        document: dict[str, Any] = {"token": text, "expires_in": self.token_life}
        if self.gives_identity and "offline_token" in query:
            document["refresh_token"] = IDENTITY
        handler.send(200, json.dumps(document).encode(), Content_Type="application/json")


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
