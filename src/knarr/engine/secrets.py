"""Secrets: small pieces of data that containers get, and that nothing else ever shows.

    <root>/secrets/<id>         the data, for root alone (0600, in a directory of 0700)
    <root>/secrets/<id>.json    name, labels, times; written last: without it there is no secret

A lock on the directory is held by who changes anything. How a container gets them is in
`engine.supplies.secrets`. The data is not encrypted: who can read root's files can read it.

Podman: the file driver, its names and limits
"""

from __future__ import annotations

import os
import time

from knarr.errors import Conflict, Corrupt, InvalidArgument, NotFound
from knarr.util import jsontext
from knarr.util.files import read_file, write_atomically
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from typing import Any

    from knarr.engine.engine import Engine

    SecretList = list["Secret"]  # `list` is a method below

LARGEST = 512_000
DRIVER = "file"
ID_LENGTH = 25
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NAME = _LETTERS | frozenset("_.-")
_LONGEST_NAME = 253


class Secret(Value):
    """A secret without its data."""

    id: str
    name: str
    created_ns: int
    updated_ns: int
    labels: Mapping[str, str] = {}


class Secrets:
    """The secrets of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._directory = f"{engine.paths.root}/secrets"

    def list(self) -> SecretList:
        """Return all secrets, in order of their names."""
        return sorted(self._all(), key=lambda secret: secret.name)

    def find(self, name: str) -> Secret | None:
        """Return the secret of this name or ID, or of the one ID that begins so; else None."""
        known = list(self._all())
        for secret in known:
            if name in (secret.name, secret.id):
                return secret
        found = [secret for secret in known if name and secret.id.startswith(name)]
        return found[0] if len(found) == 1 else None

    def get(self, name: str) -> Secret:
        """Return the secret of this name or ID.

        Raises: NotFound
        """
        secret = self.find(name)
        if secret is None:
            message = f'no secret with name or id "{name}": no such secret'
            raise NotFound(message)
        return secret

    def read(self, secret: Secret) -> bytes:
        """Return the data.

        Raises: NotFound
        """
        try:
            return read_file(f"{self._directory}/{secret.id}")
        except FileNotFoundError:
            message = f'no secret with name or id "{secret.name}": no such secret'
            raise NotFound(message) from None

    def create(
        self, name: str, data: bytes, *, labels: Mapping[str, str] | None = None,
        replace: bool = False,
    ) -> Secret:  # fmt: skip
        """Keep `data` under a name that is free, or with `replace` in place of what is there.

        Raises: InvalidArgument, Conflict
        """
        _check(name, data)
        with self._locked():
            known = next((one for one in self._all() if one.name == name), None)
            if known is not None and not replace:
                message = f"{name}: secret name in use"
                raise Conflict(message)
            now = time.time_ns()
            secret = Secret(
                os.urandom(ID_LENGTH).hex()[:ID_LENGTH],
                name,
                known.created_ns if known else now,
                now,
                labels or {},
            )
            path = f"{self._directory}/{secret.id}"
            write_atomically(path, data, mode=0o600)
            write_atomically(f"{path}.json", _encode(secret), mode=0o600)
            if known is not None:
                self._delete(known)
        return secret

    def remove(self, name: str) -> Secret:
        """Remove a secret; containers that ask for it do not start any more.

        Raises: NotFound
        """
        with self._locked():
            secret = self.get(name)
            self._delete(secret)
        return secret

    def _delete(self, secret: Secret) -> None:
        for path in (f"{self._directory}/{secret.id}.json", f"{self._directory}/{secret.id}"):
            os.unlink(path)

    def _all(self) -> Iterator[Secret]:
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return
        for name in names:
            if name.endswith(".json"):
                try:
                    content = read_file(f"{self._directory}/{name}")
                except FileNotFoundError:  # removed a moment ago
                    continue
                yield _decode(content, name)

    def _locked(self) -> AbstractContextManager[None]:
        from contextlib import contextmanager  # noqa: PLC0415 - for who changes something
        from fcntl import LOCK_EX, flock  # noqa: PLC0415

        @contextmanager
        def held() -> Iterator[None]:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                flock(descriptor, LOCK_EX)
                yield
            finally:
                os.close(descriptor)

        return held()


def _check(name: str, data: bytes) -> None:
    message = ""
    if name[:1] not in _LETTERS or not _NAME.issuperset(name) or len(name) > _LONGEST_NAME:
        message = (
            f'secret name "{name}" can not include "=", "/", ",", or the NULL character: it is '
            "up to 253 letters, digits, _, . and -, the first one a letter or digit"
        )
    elif not data or len(data) >= LARGEST:
        message = "secret data must be larger than 0 and less than 512000 bytes"
    if message:
        raise InvalidArgument(message)


def _encode(secret: Secret) -> bytes:
    fields = {field: getattr(secret, field) for field in Secret._fields}
    return jsontext.dumps({**fields, "labels": dict(secret.labels)}).encode()


def _decode(content: bytes, name: str) -> Secret:
    try:
        fields: dict[str, Any] = jsontext.loads(content)
        return Secret(**fields)
    except (ValueError, TypeError) as error:
        message = f"the record of a secret cannot be read: {name}: {error}"
        raise Corrupt(message) from error
