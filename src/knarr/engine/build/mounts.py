"""What `RUN --mount` shows to a step: contents of layers, caches that outlive builds, secrets.

    <root>/builds/caches/<name>/data       a cache, mounted as it is (see `cachemounts`)
    <root>/builds/caches/<name>/lock       held by a step that wants it for itself
    <run>/builds/secrets-<step>/           secrets, as a rule in memory, and sockets of agents;
                                           gone with the step

Contents that may be written to are copied for the step, since what it writes is not kept. A cache
is shared by all who name it, unless a step asks to be alone (`locked`): then it waits its turn, as
for a cache key. With `private` it gets another one instead.
"""

from __future__ import annotations

import os

from knarr.build.runmounts import CONTENT
from knarr.engine.build.cachemounts import caches_dir, note_use
from knarr.errors import NotFound
from knarr.oci.digest import hasher
from knarr.util.files import FileLock, delete_with_files, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.build.graph import Run, RunMount, Stack
    from knarr.engine.build.agents import Forwarding
    from knarr.engine.build.run import Means
    from knarr.engine.engine import Engine
    from knarr.engine.paths import Paths
    from knarr.oci.runtime import Mount

_PRIVATE_CACHES = 1000
_CACHE_MODE = 0o755
_AGENT_VARIABLE = "SSH_AUTH_SOCK="


def cache_dir(paths: Paths, key: str) -> str:
    """Return the directory of a cache by its key, but for private ones."""
    return f"{caches_dir(paths)}/{_cache_name(key)}"


def cache_key(mount: RunMount) -> str:
    """Return what tells a cache from others: its ID, and for whom it is if that was said.

    Docker: caches of one ID with other owners or modes are others
    """
    if (mount.uid, mount.gid, mount.mode) == (0, 0, _CACHE_MODE):
        return mount.id
    return f"{mount.id} {mount.uid}:{mount.gid} {mount.mode:o}"


def _cache_name(key: str) -> str:
    return hasher(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]


class Caches:
    """The caches that one step uses. `acquire` them before the step, `release` after it."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._parent = caches_dir(engine.paths)
        self._mounts = [mount for mount in run.mounts if mount.kind == "cache"]
        self._locks: list[FileLock] = []
        self._directories: dict[RunMount, str] = {}

    def acquire(self) -> bool:
        """Take the caches; return False, with none of them taken, if one has to be waited for."""
        for mount in self._mounts:
            if not self._take(mount):
                self.release()
                return False
        return True

    def _take(self, mount: RunMount) -> bool:
        name = _cache_name(cache_key(mount))
        if mount.sharing != "private":
            return self._lock(mount, name, shared=mount.sharing == "shared")
        return any(self._lock(mount, f"{name}-{n}", shared=False) for n in range(_PRIVATE_CACHES))

    def _lock(self, mount: RunMount, name: str, *, shared: bool) -> bool:
        directory = f"{self._parent}/{name}"
        os.makedirs(directory, 0o700, exist_ok=True)
        lock = FileLock(f"{directory}/lock")
        if not lock.acquire(shared=shared, wait=False):
            return False
        note_use(directory, mount.id)
        self._locks.append(lock)
        self._directories[mount] = directory
        return True

    def directory(self, mount: RunMount) -> str:
        """Return the directory of a cache that was taken."""
        return self._directories[mount]

    def release(self) -> None:
        """Let others have the caches."""
        while self._locks:
            self._locks.pop().release()


class StepMounts:
    """The mounts of one step. `close` takes away what must not stay."""

    def __init__(
        self,
        means: Means,
        step_id: str,
        directory: str,
        caches: Caches,
    ) -> None:
        self.env: list[str] = []
        self._imports = means.imports
        self._engine = means.engine
        self._directory = directory
        self._caches = caches
        self._secrets = means.secrets
        self._agents = means.agents
        self._forwardings: list[Forwarding] = []
        self._secrets_dir = f"{means.engine.paths.run}/builds/secrets-{step_id[:12]}"

    def make(self, run: Run, inputs: Sequence[Stack]) -> list[Mount]:
        """Return the mounts of `run`, with everything ready to be mounted. Raises: NotFound"""
        found = []
        for number, mount in enumerate(run.mounts):
            if mount.kind == "tmpfs":
                found.append(_tmpfs(mount))
            elif mount.kind == "cache":
                found.append(self._cache(mount, inputs))
            elif mount.kind == "secret":
                found += self._secret(mount, number)
            elif mount.kind == "ssh":
                found += self._agent(mount, number, run)
            else:
                found.append(self._bind(mount, inputs[mount.origin], number))
        return found

    def _bind(self, mount: RunMount, stack: Stack, number: int) -> Mount:
        source = self._engine.layers.path(stack[-1]) + CONTENT
        if not mount.readonly:
            copy = f"{self._directory}/mount-{number}"
            self._copy(stack, copy)
            source = copy
        return _mount(mount, source, "ro" if mount.readonly else "rw")

    def _copy(self, stack: Stack, target: str) -> None:
        from knarr.snapshot.copy import copy_tree  # noqa: PLC0415 - seldom wanted

        root_fd = self._engine.layers.mount(stack, readonly=True)
        parent_fd = os.open(os.path.dirname(target), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            copy_tree(root_fd, CONTENT, parent_fd, os.path.basename(target))
        finally:
            os.close(root_fd)
            os.close(parent_fd)

    def _cache(self, mount: RunMount, inputs: Sequence[Stack]) -> Mount:
        data = f"{self._caches.directory(mount)}/data"
        if not os.path.isdir(data) and not self._import(mount, data):
            if mount.origin:
                self._copy(inputs[mount.origin], data)
            else:
                os.makedirs(data, exist_ok=True)
            os.chown(data, mount.uid, mount.gid)
            os.chmod(data, mount.mode)
        return _mount(mount, data, "ro" if mount.readonly else "rw")

    def _import(self, mount: RunMount, data: str) -> bool:
        """Get the contents of a cache from elsewhere; tell whether they could be had."""
        imported = self._imports.mount(cache_key(mount)) if self._imports else None
        if imported is None:
            return False
        from knarr.engine.build.caching.mounts import unpack  # noqa: PLC0415 - seldom

        return unpack(data, *imported)

    def _secret(self, mount: RunMount, number: int) -> list[Mount]:
        secret = self._secrets.get(mount.id)
        if secret is None:
            if mount.required:
                message = f"secret {mount.id}: not found"
                hint = f"Give it with --secret id={mount.id},src=FILE."
                raise NotFound(message, hint=hint)
            return []
        if mount.env:
            self.env.append(f"{mount.env}={secret.decode('utf-8', 'surrogateescape')}")
        if not mount.target:
            return []
        os.makedirs(self._secrets_dir, 0o700, exist_ok=True)
        path = f"{self._secrets_dir}/{number}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, secret)
            os.fchown(descriptor, mount.uid, mount.gid)
            os.fchmod(descriptor, mount.mode)
        finally:
            os.close(descriptor)
        return [_mount(mount, path, "ro")]

    def _agent(self, mount: RunMount, number: int, run: Run) -> list[Mount]:
        """Return the mount of a socket that leads to an agent."""
        agent = self._agents.get(mount.id)
        if agent is None:
            if mount.required:
                message = f"unset ssh forward key {mount.id}"
                raise NotFound(message, hint=f"Give it with --ssh {mount.id}.")
            return []
        from knarr.engine.build.agents import Forwarding  # noqa: PLC0415 - few steps have one

        os.makedirs(self._secrets_dir, 0o700, exist_ok=True)
        owner = (mount.uid, mount.gid)
        forwarding = Forwarding(
            agent, self._secrets_dir, f"ssh-{number}", mode=mount.mode, owner=owner
        )
        self._forwardings.append(forwarding)
        given = any(each.startswith(_AGENT_VARIABLE) for each in (*run.env, *self.env))
        if not given:
            self.env.append(f"{_AGENT_VARIABLE}{mount.target}")
        return [_mount(mount, forwarding.path, "rw")]

    def close(self) -> None:
        """Remove the files with secrets, and let others have the caches."""
        while self._forwardings:
            self._forwardings.pop().close()
        delete_with_files(self._secrets_dir)
        self._caches.release()


def _mount(mount: RunMount, source: str, access: str) -> Mount:
    options = ["bind", "rprivate", "nodev", access]
    return {"destination": mount.target, "type": "bind", "source": source, "options": options}


def _tmpfs(mount: RunMount) -> Mount:
    options = ["nosuid", "nodev", "mode=1777"]
    if mount.size:
        options.append(f"size={mount.size}")
    if mount.readonly:
        options.append("ro")
    return {"destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": options}
