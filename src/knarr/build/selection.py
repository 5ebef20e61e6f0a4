"""Which files a COPY takes: found once, fingerprinted for the cache, and then copied as found.

Sources are read as BuildKit reads them:

* a path is followed through links, its last component too, and never leads out of the tree;
* `*`, `?` and `[…]` are tried against names below the first component that has one, not through
  links; a directory that matches is taken whole. A pattern that fits nothing takes nothing, a
  plain path that does not exist is an error;
* a directory stands for its contents, links in it stay links;
* what .dockerignore or --exclude leaves out is not there. A directory that is left out is looked
  into if a pattern with `!` may bring something below it back.

`select` returns roots, each with its entries, directories before what is in them, names in order.
"""

from __future__ import annotations

import os
import stat

from knarr.build.globs import compile_glob, first_glob
from knarr.build.ignore import Matcher
from knarr.errors import NotFound
from knarr.linux.path import resolve_in_root
from knarr.util.quoting import quote
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.build.graph import Copy
    from knarr.build.ignore import Fits


class Entry:
    """A file to copy. `name` is its place below the destination, "" for the root itself."""

    __slots__ = ("name", "path", "status")

    def __init__(self, name: str, path: str, status: os.stat_result) -> None:
        self.name = name
        self.path = path
        self.status = status


class Root(Value):
    """One match of a source: a directory whose contents are taken, or one other file.

    `base` is the name it has where a directory is the destination.
    """

    base: str
    is_directory: bool
    entries: tuple[Entry, ...]


class Tree:
    """A directory to copy from. Paths in it are relative, without links, "" for itself.

    `top` is where it can be reached: a path, or that of a descriptor. `owned` trees have owners
    and attributes that count; in a build context everything belongs to root.
    """

    def __init__(
        self, top: str, *, descriptor: int = -1, hidden: Matcher | None = None, owned: bool
    ) -> None:
        self.top = top
        self.descriptor = descriptor
        self.hidden = hidden
        self.owned = owned

    def where(self, path: str) -> str:
        """Return the path by which the kernel knows `path`."""
        return f"{self.top}/{path}" if path else self.top

    def resolve(self, path: str) -> str:
        """Return `path` with all links followed inside the tree. Raises: OSError"""
        found = resolve_in_root(self.descriptor, path)
        return str(found).strip("/")

    def hides(self, path: str) -> bool:
        """Tell whether `path` is left out for certain."""
        return bool(path) and self.hidden is not None and self.hidden.excludes(path)


def select(tree: Tree, copy: Copy) -> list[Root]:
    """Return what `copy` takes from `tree`. Raises: NotFound"""
    exclude = Matcher(copy.exclude) if copy.exclude else None
    source = _clean(copy.source)
    if copy.parents:
        return _with_parents(tree, copy.source, exclude)
    at = first_glob(source)
    if at < 0:
        return [_root(tree, source, exclude)]
    return [_root(tree, path, exclude) for path in _matches(tree, source, at)]


def _clean(source: str) -> str:
    cleaned = os.path.normpath(f"/{source}").lstrip("/")
    return "" if cleaned == "." else cleaned


def _matches(tree: Tree, source: str, at: int) -> list[str]:
    """Return the paths that a pattern fits."""
    cut = source.rfind("/", 0, at) + 1
    expression = compile_glob(source[cut:])
    try:
        start = tree.resolve(source[:cut])
        status = os.stat(tree.where(start))
    except (FileNotFoundError, NotADirectoryError):
        return []
    if not stat.S_ISDIR(status.st_mode):
        return []
    found = []
    depth = source[cut:].count("/")
    for path, name in _below(tree, start, "", depth):
        if name.count("/") == depth and expression.fullmatch(name) and _visible(tree, path):
            found.append(path)
    return sorted(found)


def _visible(tree: Tree, path: str) -> bool:
    """Tell whether a build sees a path: it is not left out, or something in it is not."""
    if not tree.hides(path):
        return True
    assert tree.hidden is not None
    if not tree.hidden.has_negated or not os.path.isdir(tree.where(path)):
        return False
    return any(entry.name for entry in _walk(tree, path, None))


def _below(tree: Tree, start: str, name: str, depth: int) -> Iterator[tuple[str, str]]:
    with os.scandir(tree.where(start)) as listing:
        items = [(item.name, item.is_dir(follow_symlinks=False)) for item in listing]
    for item, is_directory in items:
        path = f"{start}/{item}" if start else item
        inner = f"{name}/{item}" if name else item
        yield path, inner
        if is_directory and depth:
            yield from _below(tree, path, inner, depth - 1)


def _root(tree: Tree, path: str, exclude: Matcher | None) -> Root:
    base = os.path.basename(path)
    if tree.hides(path) and not _visible(tree, path):
        raise _missing(path)
    try:
        resolved = tree.resolve(path)
        status = os.lstat(tree.where(resolved))
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(path) from None
    if not stat.S_ISDIR(status.st_mode):
        if resolved != path and tree.hides(resolved):
            raise _missing(path)
        return Root(base, is_directory=False, entries=(Entry("", resolved, status),))
    entries = tuple(_walk(tree, resolved, exclude))
    if resolved and tree.hides(resolved) and len(entries) == 1:
        raise _missing(path)
    return Root(base, is_directory=True, entries=entries)


def _missing(path: str) -> NotFound:
    message = f"failed to compute cache key: {quote(f'/{path}')}: not found"
    hint = "The path is looked up in the build context, or in what --from names."
    return NotFound(message, hint=hint)


def _with_parents(tree: Tree, source: str, exclude: Matcher | None) -> list[Root]:
    """Return what COPY --parents takes: files with the directories that lead to them.

    What stands before `/./` is where names begin; `**` crosses directories.
    """
    lead, pivot, rest = source.partition("/./")
    start, pattern = (_clean(lead), _clean(rest)) if pivot else ("", _clean(source))
    wanted = Matcher([pattern] if pattern else ["**"])
    root = _root(tree, start, exclude)
    kept = _kept(root, wanted)
    if len(kept) <= 1 and first_glob(pattern) < 0 and first_glob(start) < 0:
        raise _missing(_clean(source))
    return [root.replace(entries=tuple(kept))]


def _kept(root: Root, wanted: Matcher) -> list[Entry]:
    """Return the entries that fit, and the directories above them."""
    kept: list[Entry] = []
    waiting: list[Entry] = []
    for entry in root.entries:
        waiting = [
            each for each in waiting if not each.name or entry.name.startswith(f"{each.name}/")
        ]
        if entry.name and wanted.excludes(entry.name):
            kept += waiting
            kept.append(entry)
            waiting = []
        elif stat.S_ISDIR(entry.status.st_mode):
            waiting.append(entry)
    return kept


def _walk(tree: Tree, path: str, exclude: Matcher | None) -> Iterator[Entry]:
    """Yield a directory and everything below it that is not left out."""
    entry = Entry("", path, os.lstat(tree.where(path)))
    yield entry
    hidden = tree.hidden
    fits: Fits = ()
    if hidden is not None and path:
        parts = path.split("/")
        for count in range(len(parts)):
            _, fits = hidden.walk("/".join(parts[: count + 1]), fits)
    yield from _Walk(tree, exclude).below(path, "", fits, (), [])


class _Walk:
    """A walk that knows, for each directory, which patterns fitted it."""

    def __init__(self, tree: Tree, exclude: Matcher | None) -> None:
        self.tree = tree
        self.hidden = tree.hidden
        self.exclude = exclude

    def below(
        self, path: str, name: str, hidden_fits: Fits, exclude_fits: Fits, pending: list[Entry]
    ) -> Iterator[Entry]:
        """Yield what is in a directory; `pending` are left-out directories on the way to it."""
        with os.scandir(self.tree.where(path)) as listing:
            items = sorted(listing, key=lambda item: item.name)
        for item in items:
            inner = f"{path}/{item.name}" if path else item.name
            label = f"{name}/{item.name}" if name else item.name
            hidden, hidden_below = _ask(self.hidden, inner, hidden_fits)
            excluded, exclude_below = _ask(self.exclude, label, exclude_fits)
            left_out = hidden or excluded
            is_directory = item.is_dir(follow_symlinks=False)
            if left_out and not (
                is_directory and self._may_return(hidden=hidden, excluded=excluded)
            ):
                continue
            entry = Entry(label, inner, item.stat(follow_symlinks=False))
            if stat.S_ISSOCK(entry.status.st_mode):
                continue  # nobody answers at a copy of a socket
            if not left_out:
                yield from pending
                pending.clear()
                yield entry
            if is_directory:
                mine = [*pending, entry] if left_out else pending
                yield from self.below(inner, label, hidden_below, exclude_below, mine)
                if left_out and not mine:
                    pending.clear()

    def _may_return(self, *, hidden: bool, excluded: bool) -> bool:
        """Tell whether something below a directory that is left out may be taken all the same."""
        return (not hidden or bool(self.hidden and self.hidden.has_negated)) and (
            not excluded or bool(self.exclude and self.exclude.has_negated)
        )


def _ask(matcher: Matcher | None, path: str, fits: Fits) -> tuple[bool, Fits]:
    return matcher.walk(path, fits) if matcher is not None else (False, ())
