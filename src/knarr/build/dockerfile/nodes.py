"""From logical lines to nodes: keyword, flags and arguments, by the grammar each keyword has.

A node says how its line is put together, not what that means: an unknown keyword has a node too.
Most arguments are words between blanks; some take a JSON array of strings, and a text that is not
one falls back to the other form silently, as Docker's users rely on.
"""

from __future__ import annotations

import re

from knarr.build.dockerfile.fault import Fault
from knarr.build.dockerfile.heredocs import Heredoc, heredocs_of
from knarr.util.quoting import quote
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_BLANKS = re.compile(r"[\t\v\f\r ]+")
_WITH_HEREDOCS = ("run", "copy", "add")


class Pair(Value):
    """A `key=value`, or with `legacy` the old form `key value`, quotes still in place."""

    key: str
    value: str
    legacy: bool = False


class Node(Value):
    """One instruction as it is written.

    `text` is the whole of it, continuation lines joined; `first` and `last` are its lines. ENV
    and LABEL have `pairs`, ONBUILD an `inner` node, everything else `words`.
    """

    name: str
    text: str
    flags: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    json: bool = False
    pairs: tuple[Pair, ...] = ()
    inner: Node | None = None
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()
    first: int = 0
    last: int = 0

    @property
    def keyword(self) -> str:
        """The keyword in lower case."""
        return self.name.lower()

    def heredocs_to_read(self) -> list[Heredoc]:
        """Return the heredocs whose bodies follow this line."""
        node = self.inner if self.inner is not None and self.keyword == "onbuild" else self
        if node.keyword not in _WITH_HEREDOCS or node.json or "<<" not in self.text:
            return []
        return heredocs_of(self.text)


def parse_node(text: str, *, escape: str = "\\") -> Node:
    """Return the node of one logical line. Raises: Fault"""
    parts = _BLANKS.split(text.strip(), maxsplit=1)
    name = parts[0]
    arguments, flags = _cut_flags(parts[1], escape) if len(parts) > 1 else ("", ())
    arguments = arguments.strip()
    parse = _GRAMMARS.get(name.lower(), _nothing)
    return parse(arguments, escape).replace(name=name, text=text, flags=flags)


def split_words(text: str, escape: str) -> list[str]:
    """Split at blanks outside quotes; quotes and escapes stay in the words."""
    words: list[str] = []
    word: list[str] = []
    quote_mark = ""
    at = 0
    while at < len(text):
        letter = text[at]
        at += 1
        if not quote_mark and letter.isspace():
            if word:
                words.append("".join(word))
                word.clear()
            continue
        if letter == escape and quote_mark != "'":
            if at == len(text):
                break  # an escape character at the very end means nothing
            word.append(letter)
            letter = text[at]
            at += 1
        elif letter == quote_mark:
            quote_mark = ""
        elif not quote_mark and letter in "'\"":
            quote_mark = letter
        word.append(letter)
    if word:
        words.append("".join(word))
    return words


def parse_json_words(text: str) -> tuple[str, ...] | None:
    """Return the strings of a JSON array, or None if `text` is not one. Raises: Fault"""
    if not text.startswith("["):
        return None
    from json import loads  # noqa: PLC0415 - most lines have none

    try:
        found = loads(text, parse_constant=_refuse)
    except ValueError:
        return None
    if not all(isinstance(item, str) for item in found):
        message = "when using JSON array syntax, arrays must be comprised of strings only"
        raise Fault(message)
    return tuple(found)


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def _cut_flags(text: str, escape: str) -> tuple[str, tuple[str, ...]]:
    """Return what follows the leading `--flags`, and those, quotes and escapes taken out."""
    flags: list[str] = []
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if not text.startswith("--", at):
            return text[at:], tuple(flags)
        flag, at = _flag(text, at, escape)
        if flag == "--":
            return text[at:], tuple(flags)
        flags.append(flag)


def _flag(text: str, at: int, escape: str) -> tuple[str, int]:
    letters: list[str] = []
    quote_mark = ""
    while at < len(text):
        letter = text[at]
        if not quote_mark and letter.isspace():
            break
        at += 1
        if letter == quote_mark:
            quote_mark = ""
        elif not quote_mark and letter in "'\"":
            quote_mark = letter
        elif letter == escape:
            letters.append(text[at : at + 1])
            at += 1
        else:
            letters.append(letter)
    return "".join(letters), at


def _nothing(_: str, __: str) -> Node:
    return Node(name="", text="")


def _string(text: str, _: str) -> Node:
    return Node(name="", text="", words=(text,) if text else ())


def _blank_separated(text: str, _: str) -> Node:
    return Node(name="", text="", words=tuple(_BLANKS.split(text)) if text else ())


def _json_or_string(text: str, escape: str) -> Node:
    words = parse_json_words(text)
    return _string(text, escape) if words is None else _json(words)


def _json_or_blank_separated(text: str, escape: str) -> Node:
    words = parse_json_words(text)
    return _blank_separated(text, escape) if words is None else _json(words)


def _json(words: tuple[str, ...]) -> Node:
    return Node(name="", text="", words=words, json=True)


def _quoted_words(text: str, escape: str) -> Node:
    return Node(name="", text="", words=tuple(split_words(text, escape)))


def _pairs_of(keyword: str) -> Callable[[str, str], Node]:
    def parse(text: str, escape: str) -> Node:
        return Node(name="", text="", pairs=_pairs(keyword, text, split_words(text, escape)))

    return parse


def _pairs(keyword: str, text: str, words: list[str]) -> tuple[Pair, ...]:
    if not words:
        return ()
    if "=" not in words[0]:
        parts = _BLANKS.split(text, maxsplit=1)
        if len(parts) < 2:
            message = f"{keyword} must have two arguments"
            raise Fault(message, word=text)
        return (Pair(key=parts[0], value=parts[1], legacy=True),)
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            message = (
                f"Syntax error - can't find = in {quote(word)}. Must be of the form: name=value"
            )
            raise Fault(message, word=word)
        pairs.append(Pair(key=key, value=value))
    return tuple(pairs)


def _healthcheck(text: str, escape: str) -> Node:
    kind, *rest = text.split(maxsplit=1) or [""]
    if not kind:
        return _nothing(text, escape)
    command = _json_or_string(rest[0] if rest else "", escape)
    return command.replace(words=(kind, *command.words))


def _onbuild(text: str, escape: str) -> Node:
    return Node(name="", text="", inner=parse_node(text, escape=escape) if text else None)


_GRAMMARS: dict[str, Callable[[str, str], Node]] = {
    "add": _json_or_blank_separated,
    "arg": _quoted_words,
    "cmd": _json_or_string,
    "copy": _json_or_blank_separated,
    "entrypoint": _json_or_string,
    "env": _pairs_of("ENV"),
    "expose": _blank_separated,
    "from": _blank_separated,
    "healthcheck": _healthcheck,
    "label": _pairs_of("LABEL"),
    "maintainer": _string,
    "onbuild": _onbuild,
    "run": _json_or_string,
    "shell": _json_or_string,
    "stopsignal": _string,
    "user": _string,
    "volume": _json_or_blank_separated,
    "workdir": _string,
}

KEYWORDS = tuple(keyword.upper() for keyword in _GRAMMARS)
