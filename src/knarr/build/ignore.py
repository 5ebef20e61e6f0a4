""".dockerignore: which files of a context a build does not see.

Patterns are tried in order and the last that fits decides; one with `!` takes back. A pattern that
fits a directory fits all below it. Beyond `globs`, `**` crosses slashes, and `**/` also stands for
no directory at all. The same matcher serves COPY --exclude.

A walk does not ask from the root for every file: it hands down which patterns fitted the parent.
"""

from __future__ import annotations

import re
from posixpath import normpath

from knarr.build.globs import compile_class, compile_glob
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SPECIAL = frozenset("*?[]\\")

Fits = tuple[bool, ...]
"""Which pattern of a matcher fits a directory, in their order; () for what has no parent."""


def read_patterns(data: bytes) -> list[str]:
    """Return the patterns of a .dockerignore file, cleaned, without comments."""
    patterns = []
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    for line in text.split("\n"):
        pattern = line.strip()
        if line.startswith("#") or not pattern:
            continue
        negation = "!" if pattern.startswith("!") else ""
        pattern = pattern[len(negation) :].strip()
        if pattern:
            pattern = _clean(pattern)
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        patterns.append(negation + pattern)
    return patterns


class Pattern:
    """One line: `negated` if it takes back, `fits(path)` for a path relative to the root."""

    __slots__ = ("fits", "negated", "text")

    def __init__(self, text: str, *, negated: bool) -> None:
        self.text = text
        self.negated = negated
        self.fits: Callable[[str], object] = _compile(text)


class Matcher:
    """Tells which paths a list of patterns leaves out."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Compile the patterns. Raises: InvalidArgument"""
        self.patterns: list[Pattern] = []
        for given in patterns:
            if not given.strip():
                continue
            text = _clean(given.strip())
            negated = text.startswith("!")
            if text == "!":
                message = 'illegal exclusion pattern: "!"'
                raise InvalidArgument(message)
            text = text[negated:]
            compile_glob(text)  # refuses what filepath.Match refuses
            self.patterns.append(Pattern(text, negated=negated))
        self.has_negated = any(pattern.negated for pattern in self.patterns)

    def excludes(self, path: str) -> bool:
        """Tell whether `path`, relative to the root, is left out, looking at its parents too."""
        parents = _parents(path)
        excluded = False
        for pattern in self.patterns:
            if pattern.negated != excluded:
                continue  # it would change nothing
            if pattern.fits(path) or any(pattern.fits(parent) for parent in parents):
                excluded = not pattern.negated
        return excluded

    def walk(self, path: str, parent: Fits) -> tuple[bool, Fits]:
        """Tell whether `path` is left out, given what fitted its parent; () for the first level.

        Also returns what fits `path`, to hand down.
        """
        fits = []
        excluded = False
        for index, pattern in enumerate(self.patterns):
            fit = bool(parent) and parent[index]
            if not fit and pattern.negated == excluded:
                fit = bool(pattern.fits(path))
            fits.append(fit)
            if fit:
                excluded = not pattern.negated
        return excluded, tuple(fits)


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _clean(path: str) -> str:
    cleaned = normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _compile(text: str) -> Callable[[str], object]:
    """Return the cheapest test for a pattern: most are plain names or `**/name`."""
    if _is_plain(text):
        return text.__eq__
    if text.startswith("**") and _is_plain(text[2:]):
        return _ends(text[2:])
    if text.endswith("**") and _is_plain(text[:-2]):
        return _begins(text[:-2])
    return re.compile(_expression(text), re.DOTALL).fullmatch


def _is_plain(text: str) -> bool:
    return _SPECIAL.isdisjoint(text)


def _begins(prefix: str) -> Callable[[str], bool]:
    return lambda path: path.startswith(prefix)


def _ends(suffix: str) -> Callable[[str], bool]:
    """Here, and only here, `**` need not stop at a slash: `**file` fits `myfile`."""
    whole = suffix.removeprefix("/")
    return lambda path: path.endswith(suffix) or path == whole


def _expression(text: str) -> str:
    out = []
    at = 0
    while at < len(text):
        letter = text[at]
        at += 1
        if text.startswith("**", at - 1):
            at += 1
            at += text.startswith("/", at)
            out.append(".*" if at == len(text) else "(?:.*/)?")
        elif letter == "*":
            out.append("[^/]*")
        elif letter == "?":
            out.append("[^/]")
        elif letter == "[":
            expression, at = compile_class(text, at, strict=True)
            out.append(expression)
        elif letter == "\\":
            out.append(re.escape(text[at : at + 1] or letter))
            at += 1
        else:
            out.append(re.escape(letter))
    return "".join(out)
