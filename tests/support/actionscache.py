"""GitHub Actions' cache service of our own, both versions of it, with a storage like Azure's.

with ActionsCache() as cache:
    token = cache.token(("refs/heads/main", 3))           may read and write there
    …                                                     a build with cache.environment(token, 2)
    cache.keys("index-")                                  what is there, newest last

Keys are given once, entries are found by the beginning of their keys in the scopes of the token,
and what is not committed is not found. Bytes go to and come from `/storage/N` by URLs with a
signature; `expire` ends all that were given so far. Blocks count when their list has come.

Spec: see knarr.engine.build.caching.actions
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from support import webservice

if TYPE_CHECKING:
    from support.certificates import Authority

READ, WRITE = 1, 2
GITHUB_TOKEN = "ghp_of-erik"
REPOSITORY = "erik/ship"
_ARTIFACTS = "/_apis/artifactcache"
_TWIRP = "/twirp/github.actions.results.api.v1.CacheService"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Entry:
    """What is kept under a key of a scope."""

    def __init__(self, number: int, key: str, version: str, scope: str) -> None:
        self.number = number
        self.key = key
        self.version = version
        self.scope = scope
        self.data = bytearray()
        self.blocks: dict[str, bytes] = {}
        self.committed = False


class Handler(webservice.Handler):
    """One connection."""

    service: ClassVar[ActionsCache]

    def reply(self, path: str) -> None:
        if path.startswith("/storage/"):
            self.store(int(path.rpartition("/")[2]))
        elif path.startswith("/repos/"):
            self.list_caches(path)
        elif self.headers.get("authorization", "").removeprefix("Bearer ") in self.service.tokens:
            for pattern, name in ROUTES:
                match = re.fullmatch(pattern, f"{self.command} {path}")
                if match:
                    getattr(self, name)(*match.groups())
                    return
            self.refuse(404, "bad_route", f"no handler for path {path}")
        else:
            self.refuse(401, "unauthenticated", "the token is not known")

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def scopes(self) -> tuple[tuple[str, int], ...]:
        token = self.headers["authorization"].removeprefix("Bearer ")
        return self.service.tokens[token]

    def say(self, document: object) -> None:
        self.send(200, json.dumps(document).encode(), Content_Type="application/json")

    def refuse(self, status: int, code: str, message: str) -> None:
        """Refuse in the form of the version that was asked."""
        if self.path.startswith("/twirp/"):
            raw = json.dumps({"code": code, "msg": message}).encode()
        else:
            kind = {"already_exists": "ArtifactCacheItemAlreadyExistsException"}.get(code, code)
            raw = _BYTE_ORDER_MARK + json.dumps({"message": message, "typeKey": kind}).encode()
        self.send(status, raw, Content_Type="application/json")

    def reserve(self) -> Entry | None:
        """Return a new entry of the scope that may be written to, or refuse."""
        key, version = self.document["key"], self.document["version"]
        writable = [name for name, permission in self.scopes if permission & WRITE]
        if not writable:
            self.refuse(403, "permission_denied", "the token may write nowhere")
            return None
        made = self.service.reserve(key, version, writable[-1])
        if made is None:
            self.refuse(409, "already_exists", f"cache already exists: {key}")
        return made

    def commit(self, entry: Entry, size: int) -> bool:
        if entry.committed or size != len(entry.data):
            self.refuse(400, "invalid_argument", f"{len(entry.data)} bytes came, not {size}")
            return False
        self.service.commit(entry)
        return True

    # the first version

    def find_first(self) -> None:
        keys = self.query["keys"].split(",")
        entry = self.service.find(keys, self.query["version"], self.scopes)
        if entry is None:
            self.send(204)
            return
        url = self.service.sign(entry, "r")
        self.say({"cacheKey": entry.key, "scope": entry.scope, "archiveLocation": url})

    def reserve_first(self) -> None:
        entry = self.reserve()
        if entry is not None:
            self.say({"cacheId": entry.number})

    def piece_first(self, number: str) -> None:
        entry = self.service.entries[int(number)]
        found = re.fullmatch(r"bytes (\d+)-(\d+)/\*", self.headers["content-range"])
        assert found is not None
        first, last = int(found[1]), int(found[2])
        if last - first + 1 != len(self.body):
            self.refuse(400, "invalid_argument", "a piece of another size than it says")
            return
        entry.data.extend(bytes(max(0, last + 1 - len(entry.data))))
        entry.data[first : last + 1] = self.body
        self.send(204)

    def commit_first(self, number: str) -> None:
        if self.commit(self.service.entries[int(number)], self.document["size"]):
            self.send(204)

    # the second version

    def find_second(self) -> None:
        keys = [self.document["key"], *self.document.get("restore_keys", [])]
        entry = self.service.find(keys, self.document["version"], self.scopes)
        if entry is None:
            self.say({"ok": False})
            return
        url = self.service.sign(entry, "r")
        self.say({"ok": True, "signed_download_url": url, "matched_key": entry.key})

    def reserve_second(self) -> None:
        entry = self.reserve()
        if entry is not None:
            self.say({"ok": True, "signed_upload_url": self.service.sign(entry, "w")})

    def commit_second(self) -> None:
        key, version = self.document["key"], self.document["version"]
        found = [e for e in self.service.entries.values() if (e.key, e.version) == (key, version)]
        if not found:
            self.refuse(404, "not_found", f"no such cache: {key}")
        elif self.commit(found[-1], int(self.document["size_bytes"])):
            self.say({"ok": True, "entry_id": str(found[-1].number)})

    # the storage

    def store(self, number: int) -> None:
        if "authorization" in self.headers:
            self.send(400, b"", x_ms_error_code="AuthenticationInformationGivenTwice")
            return
        right = {"GET": "r", "PUT": "w", "HEAD": "r"}[self.command]
        if not self.service.is_signed(self.path, right):
            self.send(403, b"", x_ms_error_code="AuthenticationFailed")
            return
        entry = self.service.entries[number]
        if self.command == "PUT":
            self.keep(entry)
        else:
            self.give(bytes(entry.data))

    def keep(self, entry: Entry) -> None:
        part = self.query.get("comp", "")
        if part == "block":
            entry.blocks[self.query["blockid"]] = self.body
        elif part == "blocklist":
            names = re.findall(rb"<(?:Latest|Uncommitted)>([^<]+)<", self.body)
            entry.data[:] = b"".join(entry.blocks[name.decode()] for name in names)
        elif self.headers.get("x-ms-blob-type") == "BlockBlob":
            entry.data[:] = self.body
        else:
            self.send(400, b"", x_ms_error_code="MissingRequiredHeader")
            return
        self.send(201, b"", x_ms_request_id=secrets.token_hex(8), ETag='"x"')

    def give(self, data: bytes) -> None:
        asked = self.headers.get("x-ms-range") or self.headers.get("range") or ""
        first = int(asked.removeprefix("bytes=").partition("-")[0] or 0)
        if not asked:
            self.send(200, data, x_ms_request_id=secrets.token_hex(8))
        elif first >= len(data):
            self.send(416, b"", x_ms_error_code="InvalidRange")
        else:
            where = f"bytes {first}-{len(data) - 1}/{len(data)}"
            self.send(206, data[first:], Content_Range=where)

    # GitHub's API

    def list_caches(self, path: str) -> None:
        if self.headers.get("authorization") != f"Bearer {GITHUB_TOKEN}":
            self.send(401, b'{"message": "Bad credentials"}')
            return
        if path != f"/repos/{REPOSITORY}/actions/caches":
            self.send(404, b'{"message": "Not Found"}')
            return
        keys = self.service.keys(self.query["key"], scope=self.query["ref"])
        size, page = int(self.query["per_page"]), int(self.query.get("page", "1"))
        shown = keys[(page - 1) * size : page * size]
        self.say({"total_count": len(keys), "actions_caches": [{"key": key} for key in shown]})


ROUTES = (
    (f"GET {_ARTIFACTS}/cache", "find_first"),
    (f"POST {_ARTIFACTS}/caches", "reserve_first"),
    (rf"PATCH {_ARTIFACTS}/caches/(\d+)", "piece_first"),
    (rf"POST {_ARTIFACTS}/caches/(\d+)", "commit_first"),
    (f"POST {_TWIRP}/GetCacheEntryDownloadURL", "find_second"),
    (f"POST {_TWIRP}/CreateCacheEntry", "reserve_second"),
    (f"POST {_TWIRP}/FinalizeCacheEntryUpload", "commit_second"),
)


class ActionsCache(webservice.Service):
    """The service: tokens with their scopes, and entries by their numbers."""

    def __init__(self, *, authority: Authority | None = None) -> None:
        self.tokens: dict[str, tuple[tuple[str, int], ...]] = {}
        self.entries: dict[int, Entry] = {}
        self._signed: dict[str, str] = {}
        self._order: list[Entry] = []
        super().__init__(Handler, authority=authority)

    def token(self, *scopes: tuple[str, int], life: float = 3600.0) -> str:
        """Return a new token for (name, permission), good for `life` seconds."""
        listed = [{"Scope": name, "Permission": permission} for name, permission in scopes]
        now = time.time()
        claims = {"ac": json.dumps(listed), "exp": int(now + life), "nbf": int(now - 60)}
        parts = ({"alg": "RS256", "typ": "JWT"}, claims, secrets.token_hex(16))
        token = ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
            for part in parts
        )
        self.tokens[token] = scopes
        return token

    def environment(self, token: str, version: int) -> dict[str, str]:
        """Return what a runner tells a job."""
        told = {"ACTIONS_RUNTIME_TOKEN": token, "GITHUB_API_URL": self.url}
        if version == 1:
            return {**told, "ACTIONS_CACHE_URL": f"{self.url}/"}
        return {**told, "ACTIONS_RESULTS_URL": f"{self.url}/", "ACTIONS_CACHE_SERVICE_V2": "True"}

    def keys(self, prefix: str = "", *, scope: str = "") -> list[str]:
        """Return the keys of what can be found, in the order in which it came."""
        return [
            entry.key
            for entry in self._order
            if entry.key.startswith(prefix) and scope in ("", entry.scope)
        ]

    def data(self, prefix: str) -> list[bytes]:
        """Return the bytes of what can be found."""
        return [bytes(entry.data) for entry in self._order if entry.key.startswith(prefix)]

    def drop(self, prefix: str) -> None:
        """Forget entries, as the service does with those that nobody asks for."""
        self._order = [entry for entry in self._order if not entry.key.startswith(prefix)]
        for number, entry in list(self.entries.items()):
            if entry.key.startswith(prefix):
                del self.entries[number]

    def expire(self) -> None:
        """End all URLs."""
        self._signed.clear()

    def reserve(self, key: str, version: str, scope: str) -> Entry | None:
        """Return a new entry, None if the key is taken."""
        for entry in self.entries.values():
            if (entry.key, entry.version, entry.scope) == (key, version, scope):
                return None
        number = 1 + max(self.entries, default=0)
        self.entries[number] = Entry(number, key, version, scope)
        return self.entries[number]

    def commit(self, entry: Entry) -> None:
        entry.committed = True
        self._order.append(entry)

    def find(
        self, keys: list[str], version: str, scopes: tuple[tuple[str, int], ...]
    ) -> Entry | None:
        """Return the newest entry whose key is, or begins with, the first of `keys` that finds."""
        for key in keys:
            for name, permission in scopes:
                there = [
                    entry
                    for entry in self._order
                    if entry.scope == name and permission & READ and entry.version == version
                ]
                exact = [entry for entry in there if entry.key == key]
                found = exact or [entry for entry in there if entry.key.startswith(key)]
                if found:
                    return found[-1]
        return None

    def sign(self, entry: Entry, right: str) -> str:
        """Return a URL that is good for reading or writing an entry."""
        signature = secrets.token_urlsafe(24)
        self._signed[signature] = f"{right} /storage/{entry.number}"
        return f"{self.url}/storage/{entry.number}?sv=2021-12-02&sp={right}&sig={signature}"

    def is_signed(self, path: str, right: str) -> bool:
        parts = urlsplit(path)
        signature = parts.query.partition("sig=")[2].partition("&")[0]
        return self._signed.get(signature) == f"{right} {parts.path}"
