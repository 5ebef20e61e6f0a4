"""What a build takes from elsewhere: which state of it there is, and how it becomes a layer.

Fetching is done by a process of its own (`fetching`), into the directory of a step whose changes
are then a layer like any other; steps copy from it, stages stand on it. A directory of the host,
named on the command line, is copied into such a layer too.
"""

from __future__ import annotations

import os
import subprocess
import sys

from knarr import errors
from knarr.build.graph import Copy
from knarr.build.remote import GIT, HTTP, is_commit
from knarr.build.selection import Tree, fingerprint
from knarr.engine.build.context import hidden_in
from knarr.linux import path as paths
from knarr.linux.tree import remove_tree
from knarr.snapshot.treehash import StatCache
from knarr.util import jsontext
from knarr.util.undo import Undo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import IO

    from knarr.build.graph import Fetch, Stack
    from knarr.engine.build.run import Means

_PROGRAM = "from knarr.engine.build.fetching import main; main()"
_PIECE = 1 << 16
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Fetches:
    """The sources of one build."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._states: dict[Fetch, str] = {}

    def state(self, fetch: Fetch) -> str:
        """Return what tells this state of a source from another: for git, the commit.

        Raises: NotFound, PermissionDenied, Unavailable, Failed
        """
        if fetch not in self._states:
            self._states[fetch] = self._find_state(fetch)
        return self._states[fetch]

    def _find_state(self, fetch: Fetch) -> str:
        if fetch.kind not in (HTTP, GIT):
            return self._of_directory(fetch.url)
        from knarr.engine.build import fetching  # noqa: PLC0415 - few builds fetch

        if fetch.kind == HTTP:
            if fetch.checksum:
                return fetch.checksum
            stamp = fetching.stamp_of(fetch.url, http_headers(self._means.secrets, fetch.url))
            return stamp or os.urandom(16).hex()  # it has to be fetched to be known
        if fetch.by_commit or is_commit(fetch.ref):
            return fetch.checksum if fetch.by_commit else fetch.ref
        commit = fetching.commit_of(fetch.url, fetch.ref, git_auth(self._means.secrets, fetch.url))
        if not commit:
            message = f"repository {fetch.url} does not contain ref {fetch.ref or 'HEAD'}"
            raise errors.NotFound(message, hint="git ls-remote lists those that it has.")
        return commit

    def _of_directory(self, directory: str) -> str:
        descriptor = os.open(directory, _DIRECTORY)
        try:
            tree = Tree(descriptor, hidden_in(directory))
            return fingerprint(tree, _EVERYTHING, StatCache())
        finally:
            os.close(descriptor)

    def start(self, fetch: Fetch, emit: Callable[[int, bytes], None]) -> FetchJob:
        """Begin to fetch."""
        return FetchJob(self._means, fetch, self.state(fetch), emit)


_EVERYTHING = Copy(0, "/", "/")


class FetchJob:
    """One source on its way, as a `Job` of the solver."""

    def __init__(
        self, means: Means, fetch: Fetch, state: str, emit: Callable[[int, bytes], None]
    ) -> None:
        """Begin. Raises: OSError"""
        self._means = means
        self._fetch = fetch
        self._emit = emit
        self._id = os.urandom(32).hex()
        self._undo = Undo()
        self._directory = means.steps.begin(self._id)
        self._undo.push("removing what was fetched", means.steps.end, self._id)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            means.engine.layers.prepare(self._directory, ())
            if fetch.kind in (HTTP, GIT):
                self._process = self._spawn(state)
        except BaseException:
            self._undo.run()
            raise

    def _spawn(self, state: str) -> subprocess.Popen[bytes]:
        fetch = self._fetch
        request = {
            "kind": fetch.kind,
            "url": fetch.url,
            "name": fetch.name,
            "ref": fetch.ref,
            "checksum": fetch.checksum,
            "keep_git_dir": fetch.keep_git_dir,
            "submodules": fetch.submodules,
            "mtime": fetch.mtime,
            "directory": f"{self._directory}/upper",
            "commit": state if fetch.kind == GIT else "",
            "headers": http_headers(self._means.secrets, fetch.url),
            "auth": git_auth(self._means.secrets, fetch.url),
        }
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            umask=0o022, start_new_session=True, env={**os.environ, "PYTHONPATH": home()},
        )  # fmt: skip
        self._undo.push("ending the fetch", _end, process)
        assert process.stdin is not None
        process.stdin.write(jsontext.dumps(request).encode())
        process.stdin.close()
        os.set_blocking(_stream(process.stderr).fileno(), False)
        return process

    def descriptors(self) -> Sequence[int]:
        if self._process is None:
            return []
        return [_stream(self._process.stderr).fileno()]

    def advance(self) -> Stack | None:
        if self._process is None:
            self._copy_directory()
            return self._finish()
        data = os.read(_stream(self._process.stderr).fileno(), _PIECE)
        if data:
            self._emit(2, data)
            return None
        answer = _stream(self._process.stdout).read()
        if self._process.wait() or not answer:
            message = f"fetching {self._fetch.url} ended with {self._process.returncode}"
            raise errors.Failed(message)
        said = jsontext.loads(answer.decode())
        if said:
            kind = getattr(errors, said["kind"], errors.Failed)
            raise kind(said["error"], hint=said["hint"])
        if self._fetch.subdir:
            self._narrow(self._fetch.subdir)
        return self._finish()

    def _copy_directory(self) -> None:
        from knarr.build.placing import place  # noqa: PLC0415 - for named directories alone

        layers = self._means.engine.layers
        source = os.open(self._fetch.url, _DIRECTORY)
        try:
            root_fd = layers.mount((), active=self._directory, volatile=True)
            try:
                tree = Tree(source, hidden_in(self._fetch.url))
                place(tree, root_fd, _EVERYTHING, owner=None, mode=None)
            finally:
                os.close(root_fd)
        finally:
            os.close(source)

    def _narrow(self, subdir: str) -> None:
        """Leave a directory of the repository, which may be anybody's, in place of all of it."""
        _require(self._fetch, f"{self._directory}/upper")
        os.rename(f"{self._directory}/upper", f"{self._directory}/whole")
        os.rename(f"{self._directory}/whole/{subdir}", f"{self._directory}/upper")
        above = os.open(self._directory, _DIRECTORY)
        try:
            remove_tree(above, "whole")
        finally:
            os.close(above)

    def _finish(self) -> Stack:
        applied = self._means.engine.layers.adopt(f"{self._directory}/upper", parents=())
        self._means.made(applied)
        self._close()
        return (applied.chain_id,)

    def cancel(self) -> None:
        self._close()

    def _close(self) -> None:
        failures = self._undo.run()
        if failures:
            message = "cleaning up after a fetch failed"
            raise ExceptionGroup(message, failures)


def take_file(fetch: Fetch, directory: str, headers: Mapping[str, str]) -> str:
    """Fetch a file into a new directory at once, and return where it is."""
    from knarr.engine.build import fetching  # noqa: PLC0415 - few builds fetch

    os.makedirs(directory, 0o700)
    path = f"{directory}/{fetch.name}"
    fetching.fetch_file(fetch.url, path, headers, fetch.checksum)
    return path


def take_repository(fetch: Fetch, directory: str, auth: str) -> tuple[str, int]:
    """Fetch a repository into a new directory at once.

    Where the part that is wanted lies is returned, and the time of the commit, in seconds.

    Raises: NotFound, Unavailable, InvalidArgument
    """
    from knarr.engine.build import fetching  # noqa: PLC0415 - few builds fetch

    whole = f"{directory}/repository"
    os.makedirs(whole, 0o700)
    known = fetch.checksum if fetch.by_commit else ""
    commit = known or fetching.commit_of(fetch.url, fetch.ref, auth)
    request = {
        "url": fetch.url,
        "ref": fetch.ref,
        "commit": commit,
        "checksum": fetch.checksum,
        "keep_git_dir": fetch.keep_git_dir,
        "submodules": fetch.submodules,
        "mtime": fetch.mtime,
    }
    committed = fetching.fetch_repository(request, whole, auth)
    if not fetch.subdir:
        return whole, committed
    _require(fetch, whole)
    return f"{whole}/{fetch.subdir}", committed


def _require(fetch: Fetch, whole: str) -> None:
    """Raise unless the part of a repository that is wanted is a directory in it, and no link."""
    root = os.open(whole, _DIRECTORY)
    try:
        os.close(paths.open_plain(root, fetch.subdir, os.O_PATH | os.O_DIRECTORY))
    except OSError as error:
        message = f"repository {fetch.url} has no directory {fetch.subdir}"
        raise errors.NotFound(message) from error
    finally:
        os.close(root)


def http_headers(secrets: Mapping[str, bytes], url: str) -> dict[str, str]:
    """Return what to show to the host of a URL, from the secrets that BuildKit knows by name."""
    host = _host_of(url)
    header = secrets.get(f"HTTP_AUTH_HEADER_{host}")
    token = secrets.get(f"HTTP_AUTH_TOKEN_{host}")
    if header is not None:
        return {"Authorization": header.decode("latin-1").strip()}
    if token is not None:
        return {"Authorization": f"Bearer {token.decode('latin-1').strip()}"}
    return {}


def git_auth(secrets: Mapping[str, bytes], url: str) -> str:
    """Return the value of the header Authorization for a repository, empty for none."""
    from base64 import b64encode  # noqa: PLC0415 - few builds fetch

    host = _host_of(url)
    for suffix in (f".{host}", ""):
        if f"GIT_AUTH_HEADER{suffix}" in secrets:
            return secrets[f"GIT_AUTH_HEADER{suffix}"].decode("latin-1").strip()
        if f"GIT_AUTH_TOKEN{suffix}" in secrets:
            token = secrets[f"GIT_AUTH_TOKEN{suffix}"].strip()
            return f"basic {b64encode(b'x-access-token:' + token).decode()}"
    return ""


def _host_of(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process with what it started, git and its helpers, and forget it."""
    import signal  # noqa: PLC0415 - loaded by subprocess anyway

    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdout, process.stderr):
        _stream(stream).close()


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def home() -> str:
    """Return where this package is imported from."""
    import knarr  # noqa: PLC0415 - for its place

    return os.path.dirname(os.path.dirname(os.path.abspath(knarr.__file__)))
