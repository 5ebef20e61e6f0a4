"""What a build needs of its surroundings, in six methods. `knarr.engine.builds` implements it.

A worker knows images and layers, keeps the cache's records, and carries single operations out. It
never decides what to do: that is the solver's part.
"""

from __future__ import annotations

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import Protocol

    from knarr.build.graph import Copy, Fetch, Files, Run, Stack
    from knarr.oci.config import ImageConfig
    from knarr.oci.descriptor import Platform
else:
    Protocol = object


class Base(Value):
    """An image to build on: its full reference, its config, the stack of its layers."""

    reference: str
    config: ImageConfig
    stack: Stack


class Cached(Value):
    """A result with the time when it came about, which the image's history tells."""

    stack: Stack
    created_ns: int


class Hollow(Exception):
    """A result is known, and its files are neither here nor to be had: they have to be made."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self.stack = stack


class Job(Protocol):
    """An operation under way."""

    def descriptors(self) -> Sequence[int]:
        """Return what to wait for; nothing if `advance` can go on at once."""

    def advance(self) -> Stack | None:
        """Go on without waiting, and return the result once there is one. Raises: KnarrError"""

    def cancel(self) -> None:
        """Stop and take everything back. Nothing happens after the result was returned."""


class Resolver(Protocol):
    """What knows images: all that reading a Dockerfile needs."""

    def resolve(self, reference: str, platform: Platform) -> Base:
        """Return the image that a FROM names. Raises: NotFound, InvalidArgument"""


class Worker(Resolver, Protocol):
    """What carries a build out."""

    def fingerprint(self, taken: Copy | Fetch, source: Stack | None) -> str:
        """Return a digest of all that is taken: copied from `source`, or the context for None.

        Equal digests mean equal names, kinds, modes, owners, attributes and contents, as far as
        these arrive in the result; times do not count. Of what is fetched, it tells one state of
        it from another. Raises: NotFound, Unavailable, Hollow
        """

    def find(self, key: str) -> Cached | None:
        """Return the result that is recorded under `key`; its files may have to be fetched."""

    def record(self, key: str, result: Stack, about: dict[str, object]) -> Cached:
        """Record a result with what its key was made of, for who wants to know why."""

    def claim(
        self, key: str, operation: Run | Files | Fetch
    ) -> AbstractContextManager[None] | None:
        """Return the right to do the work of `key` to its end, None while another has it.

        An empty key stands for work that is done whatever others do. What else the operation must
        have for itself is claimed too.
        """

    def start(
        self,
        operation: Run | Files | Fetch,
        inputs: Sequence[Stack],
        emit: Callable[[int, bytes], None],
    ) -> Job:
        """Begin an operation on its inputs, of which the first is changed. Raises: Hollow"""
