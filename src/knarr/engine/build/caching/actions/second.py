"""The second version of the service: calls of Twirp, bytes in Azure's storage by signed URLs.

    CreateCacheEntry           {key, version}                → signed_upload_url; 409: there is one
    PUT signed_upload_url                                      all of it, if it is little; or
    PUT …&comp=block&blockid=…                                 each piece, and
    PUT …&comp=blocklist                                       their list
    FinalizeCacheEntryUpload   {key, version, size_bytes}      that was all
    GetCacheEntryDownloadURL   {key, restore_keys, version}  → matched_key, signed_download_url

A signed URL is all that its host is shown: the token stays with the service.

Spec: actions/toolkit, packages/cache; Azure's "Put Blob", "Put Block" and "Put Block List"
"""

from __future__ import annotations

import base64

from knarr.engine.build.caching.actions.calls import PIECE, VERSION, Found, Slot
from knarr.errors import Corrupt, Failed
from knarr.registry.wire import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.build.caching.actions.calls import Body, Caller
    from knarr.oci.document import Fields

_PATH = "twirp/github.actions.results.api.v1.CacheService"


class Second:
    """The service at one URL."""

    def __init__(self, caller: Caller, url: str) -> None:
        """Ask nothing yet."""
        self._caller = caller
        self._base = f"{url.rstrip('/')}/{_PATH}"

    def find(self, key: str) -> Found | None:
        """Return the newest entry whose key begins with `key`."""
        found = self._call("GetCacheEntryDownloadURL", key=key, restore_keys=[key])
        if not found.boolean("ok"):
            return None
        return Found(found.text("matched_key"), canonical(found.text("signed_download_url")))

    def reserve(self, key: str) -> Slot:
        """Reserve a key. Raises: Conflict (somebody has), Failed"""
        answer = self._succeed("CreateCacheEntry", key=key)
        return Slot(key, canonical(answer.text("signed_upload_url")))

    def upload(self, slot: Slot, body: Body) -> None:
        """Send the bytes: at once if they are one piece, else in blocks."""
        if body.size <= PIECE:
            headers = {"x-ms-blob-type": "BlockBlob"}
            self._caller.send_part("PUT", slot.place, body, 0, body.size, headers)
            return
        joint = "&" if "?" in slot.place else "?"
        names = []
        for number, (offset, size) in enumerate(body.pieces()):
            name = base64.urlsafe_b64encode(f"{number:09}".encode()).decode()
            url = f"{slot.place}{joint}comp=block&blockid={name}"
            self._caller.send_part("PUT", url, body, offset, size, {})
            names.append(name)
        listed = "".join(f"<Latest>{name}</Latest>" for name in names)
        text = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'
        headers = {"Content-Type": "application/xml"}
        self._caller.send("PUT", f"{slot.place}{joint}comp=blocklist", headers, text.encode())

    def commit(self, slot: Slot, size: int) -> None:
        """Let the entry be found. Raises: Failed"""
        # 64-bit numbers are strings in the JSON of protocol buffers; both are understood.
        self._succeed("FinalizeCacheEntryUpload", key=slot.key, size_bytes=size)

    def _succeed(self, name: str, **fields: object) -> Fields:
        answer = self._call(name, **fields)
        if not answer.boolean("ok"):
            words = answer.text("message") or "it does not say why"
            message = f"the cache service refuses {name}: {words}"
            raise Failed(message)
        return answer

    def _call(self, name: str, **fields: object) -> Fields:
        value = {**fields, "version": VERSION}
        answer = self._caller.ask("POST", f"{self._base}/{name}", value)
        if answer is None:
            message = f"the cache service has no answer to {name}"
            raise Corrupt(message)
        return answer
