"""Fetches one file or repository into a directory: a process of its own, so that a build goes on.

    python -c "from knarr.engine.build.fetching import main; main()" < request

The request is a JSON object: what to fetch, where to, and who to say we are. What happens is told
on stderr as it happens; the answer, an error or nothing, is a JSON object on stdout.

A file comes over HTTP through the same connections as those to registries: the proxies of the
environment, the host's CAs, no way down from TLS. Credentials stay with the host they are for.
Repositories are fetched by the program `git`, the only one that speaks all of its protocols; it
gets no configuration of the user's, asks nothing, and takes no local or foreign transport.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time

from knarr.errors import (
    Failed,
    InvalidArgument,
    KnarrError,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from knarr.registry.wire import Answer

MOST_REDIRECTS = 10
LONGEST = 1 << 40  # bytes; a server that goes on for ever fills a disk, and no more
_BLOCK = 1 << 20
_SHA256 = 64  # digits of a commit in a repository that hashes so
_REDIRECTS = (301, 302, 303, 307, 308)


def open_url(url: str, headers: Mapping[str, str], *, method: str = "GET") -> Answer:
    """Return the answer to a request for `url`, with redirects followed.

    Raises: NotFound, PermissionDenied, Unavailable, Failed
    """
    from knarr.registry.wire import Security, Wire  # noqa: PLC0415 - only for who fetches

    wire = Wire(os.environ)
    secure = url.startswith("https://")
    given = dict(headers)
    for _ in range(MOST_REDIRECTS):
        answer = wire.send(method, url, headers=given, security=Security())
        if answer.status not in _REDIRECTS:
            break
        target = answer.headers.get("location", "")
        answer.drop()
        following = _joined(url, target)
        if not following.startswith("https://" if secure else ("https://", "http://")):
            message = f"{url}: it redirects to {following}, which is not safe to follow"
            raise Failed(message)
        if _host(following) != _host(url):
            given.pop("Authorization", None)
        url = following
    else:
        message = f"{url}: more than {MOST_REDIRECTS} redirects"
        raise Failed(message)
    if answer.status != 200:
        answer.drop()
        raise _refusal(url, answer.status)
    return answer


def _joined(url: str, target: str) -> str:
    from urllib.parse import urljoin  # noqa: PLC0415 - for redirects

    return urljoin(url, target)


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].lower()


def _refusal(url: str, status: int) -> KnarrError:
    message = f"invalid response status {status} from {url}"
    if status in (404, 410):
        return NotFound(message)
    if status in (401, 403):
        host = _host(url)
        hint = f"Pass --secret id=HTTP_AUTH_TOKEN_{host} if the host wants a token."
        return PermissionDenied(message, hint=hint)
    return Unavailable(message)


def stamp_of(url: str, headers: Mapping[str, str]) -> str:
    """Return what tells the file at `url` from a later one, empty if the server does not say.

    Raises: as `open_url`
    """
    try:
        answer = open_url(url, headers, method="HEAD")
    except KnarrError:  # some servers know no HEAD
        answer = open_url(url, headers)
    said = [answer.headers.get(name, "") for name in ("etag", "last-modified", "content-length")]
    answer.close()
    return "\n".join(said) if said[0] or said[1] else ""


def fetch_file(url: str, path: str, headers: Mapping[str, str], checksum: str = "") -> None:
    """Write what is at `url` into a new file, with the time that the server says it has.

    Raises: as `open_url`, InvalidArgument (another checksum)
    """
    algorithm, _, wanted = checksum.partition(":")
    digest = hashlib.new(algorithm or "sha256")
    with open_url(url, headers) as answer, open(path, "xb", opener=_private) as file:
        size = 0
        while data := answer.read(_BLOCK):
            size += len(data)
            if size > LONGEST:
                message = f"{url}: it does not end"
                raise Failed(message)
            digest.update(data)
            file.write(data)
        length = answer.length
        if length is not None and length != size:
            message = f"{url}: {size} bytes came of {length}"
            raise Unavailable(message)
        stamp = _time_of(answer.headers.get("last-modified", ""))
    if wanted and digest.hexdigest() != wanted:
        message = f"digest mismatch {algorithm}:{digest.hexdigest()}: {checksum}"
        hint = f"{url} is not what the Dockerfile expects. If that is right, change --checksum."
        raise InvalidArgument(message, hint=hint)
    os.utime(path, (stamp, stamp))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _time_of(text: str) -> float:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - only for who fetches

    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return 0.0


# git


def commit_of(url: str, ref: str, auth: str = "") -> str:
    """Return the commit that a ref of a repository is at, empty if there is no such ref.

    Raises: Unavailable, Unsupported
    """
    with_tags = [ref or "HEAD", f"{ref}^{{}}"] if ref else ["HEAD"]
    said = _git(["ls-remote", "--", url, *with_tags], shown=_shown(url, auth))
    found: dict[str, str] = {}
    for line in said.splitlines():
        commit, _, name = line.partition("\t")
        found[name] = commit
    names = [f"refs/tags/{ref}", f"refs/heads/{ref}", ref] if ref else ["HEAD"]
    for name in names:
        for full in (f"{name}^{{}}", name):  # an annotated tag: what it is of
            if full in found:
                return found[full]
    return ""


def fetch_repository(request: Mapping[str, Any], directory: str, auth: str = "") -> int:
    """Check a repository out into an empty directory, at one commit, without its history.

    The time of the commit is returned, in seconds since 1970.

    Raises: NotFound, Unavailable, InvalidArgument
    """
    url, commit = request["url"], request["commit"]
    wanted = commit or request["ref"] or "HEAD"
    shown = _shown(url, auth)
    scratch = f"{directory}.git"
    git = [f"--git-dir={scratch}", f"--work-tree={directory}"]
    hashes = ["--object-format=sha256"] if len(commit) == _SHA256 else []
    _git(["init", "-q", "--bare", *hashes, scratch])
    _git([f"--git-dir={scratch}", "config", "core.bare", "false"])
    try:
        _git([*git, "fetch", "-q", "--depth=1", "--no-tags", "--", url, wanted], shown=shown)
    except Unavailable:
        # Not every server hands out a commit that no ref is at.
        _git([*git, "fetch", "-q", "--", url, "+refs/*:refs/remotes/origin/*"], shown=shown)
        try:
            _git([*git, "update-ref", "FETCH_HEAD", "--end-of-options", wanted])
        except Unavailable as error:
            message = f"repository does not contain ref {wanted}"
            raise NotFound(message) from error
    _git([*git, "-c", "advice.detachedHead=false", "checkout", "-q", "FETCH_HEAD"])
    actual = _git([*git, "rev-parse", "HEAD"]).strip()
    checksum = request.get("checksum", "")
    if checksum and not actual.startswith(checksum):
        message = f"expected checksum to match {checksum}, got {actual}"
        raise InvalidArgument(message)
    if request.get("submodules") and os.path.exists(f"{directory}/.gitmodules"):
        words = [*git, "submodule", "update", "-q", "--init", "--recursive"]
        try:
            _git([*words, "--depth=1"], shown=shown, cwd=directory)
        except Unavailable:  # a server of plain files hands out no less than all of the history
            _git(words, shown=shown, cwd=directory)
    committed = int(_git([*git, "show", "-s", "--format=%ct", "HEAD"]))
    if request.get("mtime") == "commit":
        _set_times(directory, committed)
    if request.get("keep_git_dir"):
        os.rename(scratch, f"{directory}/.git")
        _git([f"--git-dir={directory}/.git", "config", "--unset", "core.worktree"], fails=True)
    return committed


def _set_times(directory: str, seconds: int) -> None:
    """Let everything in a directory be as old as the commit that it is of."""
    for above, directories, files in os.walk(directory):
        for name in (*directories, *files):
            os.utime(f"{above}/{name}", (seconds, seconds), follow_symlinks=False)


def _shown(url: str, auth: str) -> dict[str, str]:
    """Return the settings by which git shows `auth` to the host of `url`, and to no other.

    Neither to those of submodules, nor to where the host sends git on to: once it has followed, git
    shows every header to whoever is there.
    """
    scheme, separator, rest = url.partition("://")
    if not auth or not separator:
        return {}
    host = f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}/"
    return {
        f"http.{host}.extraHeader": f"Authorization: {auth}",
        f"http.{host}.followRedirects": "false",
    }


def _git(
    words: list[str],
    *,
    shown: Mapping[str, str] | None = None,
    cwd: str | None = None,
    fails: bool = False,
) -> str:
    """Run git without anybody's configuration but `shown`, and return what it says.

    Raises: Unavailable, Failed
    """
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "http:https:git:ssh",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oStrictHostKeyChecking=accept-new",
        **{key: os.environ[key] for key in _PASSED if key in os.environ},
    }
    settings = ["-c", "protocol.version=2", "-c", "submodule.fetchJobs=2"]
    # In the environment, where nobody else sees it, unlike in the command line.
    environment["GIT_CONFIG_COUNT"] = str(len(shown or ()))
    for number, (key, value) in enumerate((shown or {}).items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    try:
        done = subprocess.run(
            ["git", *settings, *words], env=environment, cwd=cwd, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    except FileNotFoundError:
        message = "a git repository is asked for, and the program git is not there"
        raise Failed(message, hint="Install git.") from None
    if done.returncode and not fails:
        said = done.stderr.strip().splitlines() or [f"git ended with {done.returncode}"]
        message = f"git: {_cause(said)}"
        sent_on = shown and "URL returned error: 30" in message
        hint = (
            "It leads elsewhere, where credentials do not go: name that place." if sent_on else ""
        )
        raise Unavailable(message, hint=hint)
    return done.stdout


def _cause(said: list[str]) -> str:
    """Return the line of git's that says what is wrong.

    It is the fatal one, behind which may be advice; unless ssh has failed, which has said why.
    """
    at = max((n for n, line in enumerate(said) if line.startswith(_FATAL)), default=len(said) - 1)
    if at and said[at] == f"{_FATAL}Could not read from remote repository.":
        at -= 1
    return said[at].removeprefix(_FATAL)


_FATAL = "fatal: "
_PASSED = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "SSH_AUTH_SOCK", "GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip


# the process


def main() -> None:
    """Do what the request on stdin asks for."""
    request = jsontext.loads(sys.stdin.read())
    started = time.monotonic()
    answer: dict[str, str] = {}
    try:
        if request["kind"] == "http":
            path = f"{request['directory']}/{request['name']}"
            fetch_file(request["url"], path, request["headers"], request["checksum"])
            size = os.stat(path).st_size
        else:
            fetch_repository(request, request["directory"], request["auth"])
            size = 0
        seconds = time.monotonic() - started
        words = f"{size} bytes in {seconds:.1f}s" if size else f"checked out in {seconds:.1f}s"
        sys.stderr.write(f"{words}\n")
    except KnarrError as error:
        answer = {"error": error.message, "hint": error.hint, "kind": type(error).__name__}
    except OSError as error:
        answer = {"error": f"{request['url']}: {error.strerror}", "hint": "", "kind": "Failed"}
    sys.stdout.write(jsontext.dumps(answer))
