"""A build worker without images, layers or commands: results are made up from what is asked for."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from knarr.build.graph import Fetch
from knarr.build.worker import Base, Cached
from knarr.errors import CommandFailed, NotFound
from knarr.oci.config import RunConfig, encode_config
from knarr.oci.descriptor import Platform
from knarr.oci.digest import Digest, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from knarr.build.graph import Copy, Files, Run, Stack

LINUX = Platform("linux", "amd64")


class FakeJob:
    """Ends when as many jobs are under way as the worker waits for."""

    def __init__(self, worker: FakeWorker, result: Stack, error: Exception | None) -> None:
        self._worker = worker
        self._result = result
        self._error = error
        self.ready, self._bell = os.pipe()
        self.cancelled = False

    def ring(self) -> None:
        os.write(self._bell, b"!")

    def descriptors(self) -> Sequence[int]:
        return [self.ready]

    def advance(self) -> Stack | None:
        self.close()
        if self._error is not None:
            raise self._error
        return self._result

    def cancel(self) -> None:
        self.cancelled = True
        self.close()

    def close(self) -> None:
        if self.ready >= 0:
            os.close(self.ready)
            os.close(self._bell)
            self.ready = -1
            self._worker.active.remove(self)


class FakeWorker:
    """Knows images by reference and context files by path; `log` is what it was asked to do."""

    def __init__(self, *, together: int = 1) -> None:
        self.images: dict[str, Base] = {}
        self.files: dict[str, str] = {}
        self.records: dict[str, Cached] = {}
        self.about: dict[str, dict[str, object]] = {}
        self.held: set[str] = set()
        self.log: list[str] = []
        self.active: list[FakeJob] = []
        self.failing = ""
        self._together = together

    def add_image(
        self, reference: str, config: RunConfig | None = None, *, platform: Platform = LINUX
    ) -> Base:
        diff_id = digest_of(reference.encode())
        document = encode_config(platform=platform, config=config, diff_ids=(diff_id,))
        self.images[reference] = Base(f"docker.io/library/{reference}", document, (diff_id,))
        return self.images[reference]

    def resolve(self, reference: str, platform: Platform) -> Base:
        self.log.append(f"resolve {reference} {platform}")
        if reference not in self.images:
            message = f"no such image: {reference}"
            raise NotFound(message)
        return self.images[reference]

    def fingerprint(self, taken: Copy | Fetch, source: Stack | None) -> str:
        if isinstance(taken, Fetch):
            return f"the state of {taken.url}"
        if source is not None:
            return f"{taken.source} of {source[-1] if source else 'nothing'}"
        if taken.source not in self.files:
            message = f'"{taken.source}": not found'
            raise NotFound(message)
        return self.files[taken.source]

    def find(self, key: str) -> Cached | None:
        return self.records.get(key)

    def record(self, key: str, result: Stack, about: dict[str, object]) -> Cached:
        self.records[key] = Cached(result, len(self.records) + 1)
        self.about[key] = about
        return self.records[key]

    def claim(
        self,
        key: str,
        operation: Run | Files | Fetch,  # noqa: ARG002 - nothing here is for one alone
    ) -> AbstractContextManager[None] | None:
        return None if key in self.held else self._claim(key)

    @contextmanager
    def _claim(self, key: str) -> Iterator[None]:
        self.held.add(key)
        yield
        self.held.remove(key)

    def start(
        self,
        operation: Run | Files | Fetch,
        inputs: Sequence[Stack],
        emit: Callable[[int, bytes], None],
    ) -> FakeJob:
        arguments = getattr(operation, "arguments", ())
        what = arguments[-1] if arguments else "files"
        self.log.append(what)
        emit(1, f"doing {what}\n".encode())
        error = CommandFailed("it failed", status=1) if what == self.failing else None
        made: Digest = digest_of(repr((operation, inputs, len(self.log))).encode())
        job = FakeJob(self, (*(inputs[0] if inputs else ()), made), error)
        self.active.append(job)
        if len(self.active) >= self._together:
            for each in self.active:
                each.ring()
        return job
