"""Repositories whose client sleeps for no one: pauses are written down instead."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from knarr.oci.descriptor import OCI_LAYER, Descriptor
from knarr.oci.digest import VerifyingReader, digest_of
from knarr.oci.reference import parse_reference
from knarr.registry.client import Repository
from knarr.registry.hosts import Hosts
from knarr.registry.transfer import Patience, Session
from knarr.registry.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from knarr.registry.credentials import Login
    from knarr.registry.hosts import Endpoint


class Talk:
    """Makes repositories. `pauses` has the seconds that were waited for nothing."""

    def __init__(
        self, hosts: Hosts | None = None, *, login: Login | None = None,
        environ: Mapping[str, str] | None = None, attempts: int = 4, read_timeout: float = 30.0,
    ) -> None:  # fmt: skip
        self.hosts = hosts or Hosts()
        self.login = login
        self.pauses: list[float] = []
        self.patience = Patience(attempts=attempts)
        self.wire = Wire(environ or {}, connect_timeout=30, read_timeout=read_timeout)

    def session(self, endpoint: Endpoint) -> Session:
        return Session(
            self.wire, endpoint, self.hosts, self.login,
            patience=self.patience, sleep=self.pauses.append,
        )  # fmt: skip

    def __call__(self, name: str) -> Repository:
        """Return the repository that the reference `name` is in."""
        reference = parse_reference(name)
        return Repository(reference, [self.session(e) for e in self.hosts.endpoints(reference)])


def layer(data: bytes, **changes: Any) -> Descriptor:
    """Return the descriptor of `data`."""
    return Descriptor(OCI_LAYER, digest_of(data), len(data)).replace(**changes)


def opener(data: bytes) -> Callable[[int], BinaryIO]:
    """Return what opens `data` at an offset."""

    def open_at(offset: int) -> BinaryIO:
        stream = io.BytesIO(data)
        stream.seek(offset)
        return stream

    return open_at


def download(repository: Repository, descriptor: Descriptor, *, piece: int = 10_000) -> bytes:
    """Return a blob that was read in pieces and verified."""
    with repository.blob(descriptor) as reader:
        verifying = VerifyingReader(reader, descriptor.digest, descriptor.size)
        return b"".join(iter(lambda: verifying.read(piece), b""))


def noise(size: int) -> bytes:
    """Return bytes that nothing has seen before."""
    return os.urandom(size)
