"""Which files a COPY takes.

Sources are read as BuildKit reads them:

* a path is followed through links, its last component too, and never leads out of the tree;
* `*`, `?` and `[…]` are tried against names below the first component that has one, not through
  links; a directory that matches is taken whole. A pattern that fits nothing takes nothing, a
  plain path that does not exist is an error;
* a directory stands for its contents, links in it stay links;
* what .dockerignore or --exclude leaves out is not there. A directory that is left out is looked
  into if a pattern with `!` may bring something below it back.

What was found is digested and copied by `knarr.snapshot`, which asks a `Chooser` about every path.
"""

from __future__ import annotations

import os
import stat
from posixpath import normpath

from knarr.build.globs import compile_glob, first_glob
from knarr.build.ignore import Matcher
from knarr.errors import NotFound
from knarr.linux.path import open_plain, resolve_in_root
from knarr.linux.tree import Walk
from knarr.snapshot.copy import SEARCH, SKIP, TAKE
from knarr.snapshot.treehash import StatCache, tree_digest
from knarr.util.quoting import quote
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.build.graph import Copy
    from knarr.build.ignore import Fits
    from knarr.snapshot.contents import Contents
    from knarr.snapshot.treehash import Keep

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Tree(Value):
    """What is copied from: an open directory. Owners in a build context do not count."""

    descriptor: int
    hidden: Matcher | None = None
    owned: bool = False


class Taken(Value):
    """One match of a source: a directory whose contents are taken, or another file.

    `path` is relative and has no links; `base` the name the file has in a directory. `wanted`
    is for --parents: which names below count.
    """

    path: str
    base: str
    is_directory: bool
    wanted: str = ""


def select(tree: Tree, copy: Copy) -> list[Taken]:
    """Return what `copy` takes from `tree`. Raises: NotFound"""
    if copy.parents:
        return _with_parents(tree, copy.source)
    source = _clean(copy.source)
    at = first_glob(source)
    if at < 0:
        return [_take(tree, source)]
    return [_take(tree, path) for path in _matches(tree, source, at)]


def fingerprint(
    tree: Tree,
    copy: Copy,
    cache: StatCache,
    keep: Keep | None = None,
    contents: Contents | None = None,
) -> str:
    """Return a digest of what arrives when `copy` is carried out.

    `keep` gets what was digested, `contents` what was read, as of `tree_digest`.

    Raises: NotFound
    """
    found = [
        (
            "" if taken.is_directory else taken.base,
            tree_digest(
                tree.descriptor,
                [taken.path],
                owners=tree.owned and not copy.chown,
                select=chooser(tree, taken, copy),
                cache=cache,
                keep=keep,
                contents=contents,
            ),
        )
        for taken in select(tree, copy)
    ]
    return " ".join(f"{digest}:{name}" if name else str(digest) for name, digest in found)


def chooser(tree: Tree, taken: Taken, copy: Copy) -> Chooser | None:
    """Return what says which paths below a match are taken; None if all are."""
    if not taken.is_directory or not (tree.hidden or copy.exclude or taken.wanted):
        return None
    return Chooser(tree.hidden, taken, copy.exclude)


class Chooser:
    """Says of each path below a directory whether it is taken; asked for directories first."""

    def __init__(self, hidden: Matcher | None, taken: Taken, exclude: tuple[str, ...]) -> None:
        self._hidden = hidden
        self._exclude = Matcher(exclude) if exclude else None
        self._wanted = Matcher([taken.wanted]) if taken.wanted else None
        self._lead = f"{taken.path}/" if taken.path else ""
        self._fits: dict[str, tuple[Fits, Fits, Fits]] = {"": (_above(hidden, taken.path), (), ())}

    def __call__(self, path: str, directory: bool) -> str:  # noqa: FBT001 - the form is given
        """Return TAKE, SKIP, or SEARCH for a directory that may hold something to take."""
        above = self._fits[path.rpartition("/")[0]]
        hidden, hidden_fits = _ask(self._hidden, self._lead + path, above[0])
        excluded, exclude_fits = _ask(self._exclude, path, above[1])
        wanted, wanted_fits = _ask(self._wanted, path, above[2], without=True)
        if directory:
            self._fits[path] = (hidden_fits, exclude_fits, wanted_fits)
        if wanted and not hidden and not excluded:
            return TAKE
        if directory and _may_return(self._hidden, hidden) and _may_return(self._exclude, excluded):
            return SEARCH
        return SKIP


def _ask(
    matcher: Matcher | None, path: str, fits: Fits, *, without: bool = False
) -> tuple[bool, Fits]:
    return matcher.walk(path, fits) if matcher is not None else (without, ())


def _may_return(matcher: Matcher | None, left_out: bool) -> bool:  # noqa: FBT001 - reads well
    return not left_out or (matcher is not None and matcher.has_negated)


def _above(hidden: Matcher | None, path: str) -> Fits:
    """Return which patterns fit the directory `path`."""
    fits: Fits = ()
    if hidden is not None and path:
        parts = path.split("/")
        for count in range(len(parts)):
            _, fits = hidden.walk("/".join(parts[: count + 1]), fits)
    return fits


def _clean(source: str) -> str:
    cleaned = normpath(f"/{source}").lstrip("/")
    return "" if cleaned == "." else cleaned


def _matches(tree: Tree, source: str, at: int) -> list[str]:
    """Return the paths that a pattern fits."""
    cut = source.rfind("/", 0, at) + 1
    expression = compile_glob(source[cut:])
    depth = source[cut:].count("/")
    try:
        start = resolve_in_root(tree.descriptor, source[:cut])
        top_fd = open_plain(tree.descriptor, start, _DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return []
    try:
        names = list(_names(top_fd, depth))
    finally:
        os.close(top_fd)
    paths = [f"{start}/{name}" if start else name for name in names if expression.fullmatch(name)]
    return [path for path in paths if _visible(tree, path)]


def _names(top_fd: int, depth: int) -> Iterator[str]:
    """Yield the paths that have `depth` directories below `top_fd`."""
    walk = Walk(top_fd)
    for path, _, _, _ in walk:
        if path.count("/") == depth:
            walk.prune()
            yield path


def _take(tree: Tree, path: str, *, wanted: str = "") -> Taken:
    """Return the match for a path that must be there."""
    try:
        resolved = resolve_in_root(tree.descriptor, path)
        descriptor = open_plain(tree.descriptor, resolved, os.O_PATH | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(path) from None
    status = os.fstat(descriptor)
    os.close(descriptor)
    if not (_visible(tree, path) and (path == resolved or _visible(tree, resolved))):
        raise _missing(path)
    directory = stat.S_ISDIR(status.st_mode)
    return Taken(resolved, os.path.basename(path), directory, wanted)


def _visible(tree: Tree, path: str) -> bool:
    """Tell whether a build sees a path: it is not left out, or something in it is not."""
    if tree.hidden is None or not path or not tree.hidden.excludes(path):
        return True
    if not tree.hidden.has_negated:
        return False
    try:
        top_fd = open_plain(tree.descriptor, path, _DIRECTORY)
    except NotADirectoryError:
        return False
    except OSError:
        return False  # a link: what it leads to has a name of its own
    try:
        return _takes_any(top_fd, Chooser(tree.hidden, Taken(path, "", is_directory=True), ()))
    finally:
        os.close(top_fd)


def _takes_any(top_fd: int, choose: Chooser) -> bool:
    walk = Walk(top_fd)
    for path, _, _, status in walk:
        choice = choose(path, stat.S_ISDIR(status.st_mode))
        if choice == TAKE:
            return True
        if choice == SKIP:
            walk.prune()
    return False


def _missing(path: str) -> NotFound:
    message = (
        "failed to compute cache key: failed to calculate checksum of ref context: "
        f"{quote(f'/{path}')}: not found"
    )
    return NotFound(message)


def _with_parents(tree: Tree, source: str) -> list[Taken]:
    """Return what COPY --parents takes: files with the directories that lead to them.

    What stands before `/./` is where names begin; `**` crosses directories after it.
    """
    lead, pivot, rest = source.partition("/./")
    start, pattern = (_clean(lead), _clean(rest)) if pivot else ("", _clean(source))
    at = first_glob(start)
    if at >= 0:
        return [
            _take(tree, path, wanted=pattern or "**")
            for path in _matches(tree, start, at)
            if _is_directory(tree, path)
        ]
    if pattern and first_glob(pattern) < 0:
        _take(tree, f"{start}/{pattern}".lstrip("/"))
    return [_take(tree, start, wanted=pattern or "**")]


def _is_directory(tree: Tree, path: str) -> bool:
    return _take(tree, path).is_directory
