"""Sources that are not in the context: URLs of files, and git repositories.

    https://example.org/file.tar.gz             a file
    https://example.org/project.git#v2:docs     a repository: a ref, and a directory in it
    git@example.org:project.git?ref=v2&subdir=docs&keep-git-dir=1
    github.com/user/project                     a repository, for a context alone

A URL of HTTP is a repository if its path ends in `.git`.

Docker: git_ref.go and dockerfile2llb of BuildKit
"""

from __future__ import annotations

import re
from os.path import abspath

from knarr.build.graph import Fetch
from knarr.errors import InvalidArgument
from knarr.util.booleans import find_boolean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

HTTP, GIT, LOCAL = "http", "git", "local"
_UNNAMED = "__unnamed__"  # what a file is called whose URL names a host alone
CHECKOUT, COMMIT = "checkout", "commit"

_SCHEMES = ("http://", "https://")
_GIT_SCHEMES = ("git://", "ssh://")
_SCP = re.compile(r"[a-zA-Z0-9_.-]+@[a-zA-Z0-9.-]+:(?!//)\S+\Z")
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_PREFIX = re.compile(r"[0-9a-f]{7,64}\Z")
_SHA256 = re.compile(r"sha(?:256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})\Z")
_KEYS = (
    "ref", "tag", "branch", "subdir", "checksum", "commit", "keep-git-dir", "submodules", "mtime",
    "fetch-by-commit",
)  # fmt: skip


def is_remote(source: str) -> bool:
    """Tell whether a source is not a path."""
    return source.startswith((*_SCHEMES, *_GIT_SCHEMES)) or _SCP.match(source) is not None


def is_git(source: str) -> bool:
    """Tell whether a source is a git repository."""
    if source.startswith(_SCHEMES):
        path = source.partition("#")[0].partition("?")[0]
        return path.endswith(".git")
    return source.startswith(_GIT_SCHEMES) or _SCP.match(source) is not None


def parse_remote(source: str) -> Fetch:
    """Return what to fetch for a source that is remote.

    Raises: InvalidArgument
    """
    return parse_git(source) if is_git(source) else parse_url(source)


def parse_url(source: str) -> Fetch:
    """Return what to fetch for the URL of a file."""
    from urllib.parse import unquote  # noqa: PLC0415 - few builds have one

    url = source.partition("#")[0]
    path = re.sub(r"^https?://[^/?]*", "", url).partition("?")[0]
    name = unquote(path).rstrip("/").rpartition("/")[2]
    return Fetch(HTTP, url, name=name if name not in ("", ".", "..") else _UNNAMED)


def parse_git(source: str) -> Fetch:
    """Return what to fetch for a git repository.

    Raises: InvalidArgument
    """
    place, _, fragment = source.partition("#")
    url, _, query = place.partition("?")
    ref, _, subdir = fragment.partition(":")
    fields = _query(source, query)
    if fields and fragment:
        message = f"invalid git URL {source}: a fragment and a query cannot be combined"
        raise InvalidArgument(message, hint="Put the ref and the directory into the query.")
    named = [fields[key] for key in ("ref", "branch", "tag") if fields.get(key)]
    if len(named) > 1:
        message = f"invalid git URL {source}: it names more than one ref"
        raise InvalidArgument(message)
    checksum = fields.get("checksum") or fields.get("commit", "")
    if checksum and not _PREFIX.match(checksum):
        message = f"invalid checksum {checksum} of {url}: it is a commit in hexadecimal digits"
        raise InvalidArgument(message)
    ref = named[0] if named else ref
    if fields.get("tag"):
        ref = f"refs/tags/{ref.removeprefix('refs/tags/')}"
    elif fields.get("branch"):
        ref = f"refs/heads/{ref.removeprefix('refs/heads/')}"
    if ref.startswith("-"):
        message = f"invalid git ref {ref}"
        raise InvalidArgument(message)
    mtime = fields.get("mtime") or CHECKOUT
    if mtime not in (CHECKOUT, COMMIT):
        message = f"invalid value {mtime!r} of mtime in the git URL {source}"
        raise InvalidArgument(message, hint=f"It is {CHECKOUT} or {COMMIT}.")
    by_commit = _flag(source, fields, "fetch-by-commit", default=False)
    if by_commit and not is_commit(checksum):
        message = f"fetch-by-commit needs the whole commit in the git URL {source}"
        raise InvalidArgument(message, hint="Name it with commit=.")
    return Fetch(
        GIT,
        url,
        ref=ref,
        subdir=_subdir(source, fields.get("subdir") or subdir),
        checksum=checksum,
        keep_git_dir=_flag(source, fields, "keep-git-dir", default=False),
        submodules=_flag(source, fields, "submodules", default=True),
        mtime=mtime,
        by_commit=by_commit,
    )


def parse_context(name: str, value: str) -> str | Fetch:
    """Return the image or the source that `--build-context name=value` names.

    Raises: InvalidArgument
    """
    kind, _, rest = value.partition("://")
    if kind == "docker-image":
        return rest
    if kind == "oci-layout":
        return f"{kind}://{abspath(rest)}"
    if kind in ("target", "input"):
        message = f"the context {name} is of a kind that is not known here: {kind}://"
        hint = "It can be a directory, docker-image://, oci-layout://, a URL, or a git repository."
        raise InvalidArgument(message, hint=hint)
    if is_remote(value):
        return parse_remote(value)
    return Fetch(LOCAL, value, name=name)


def as_context(place: str) -> Fetch | None:
    """Return what to fetch for a build's own context, None if it is a path."""
    if place.startswith("github.com/"):
        place = f"https://{place}" if is_git(f"https://{place}") else _on_github(place)
    return parse_remote(place) if is_remote(place) else None


def _on_github(place: str) -> str:
    path, hash_sign, fragment = place.partition("#")
    return f"https://{path.rstrip('/')}.git{hash_sign}{fragment}"


def with_checksum(fetch: Fetch, checksum: str) -> Fetch:
    """Return `fetch` with the checksum that `--checksum` asks for.

    Raises: InvalidArgument
    """
    pattern = _SHA256 if fetch.kind == HTTP else _PREFIX
    if not pattern.match(checksum):
        kinds = "sha256:…, sha384:… or sha512:…" if fetch.kind == HTTP else "a commit"
        message = f"invalid checksum {checksum}"
        raise InvalidArgument(message, hint=f"It is {kinds}, in hexadecimal digits.")
    if fetch.checksum and not fetch.checksum.startswith(checksum):
        message = f"checksum mismatch: --checksum={checksum}, and {fetch.checksum} in the URL"
        raise InvalidArgument(message)
    return fetch.replace(checksum=fetch.checksum or checksum)


def is_commit(ref: str) -> bool:
    """Tell whether a ref is the whole name of a commit."""
    return _SHA.match(ref) is not None


def _query(source: str, query: str) -> Mapping[str, str]:
    from urllib.parse import parse_qsl  # noqa: PLC0415 - few sources have one

    fields: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _KEYS:
            message = f"unexpected query {key!r} in the git URL {source}"
            raise InvalidArgument(message, hint=f"It may have {', '.join(_KEYS)}.")
        if key in fields:
            message = f"query {key!r} is given twice in the git URL {source}"
            raise InvalidArgument(message)
        fields[key] = value
    return fields


def _flag(source: str, fields: Mapping[str, str], key: str, *, default: bool) -> bool:
    text = fields.get(key)
    if text is None:
        return default
    found = find_boolean(text.lower() or "true")
    if found is None:
        message = f"invalid value {text!r} of {key} in the git URL {source}"
        raise InvalidArgument(message, hint="It is true or false.")
    return found


def _subdir(source: str, subdir: str) -> str:
    path = subdir.strip("/")
    if ".." in path.split("/"):
        message = f"invalid subdirectory {subdir!r} in the git URL {source}"
        raise InvalidArgument(message)
    return path
