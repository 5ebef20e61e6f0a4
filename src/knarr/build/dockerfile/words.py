"""Words and variables, as a shell would read them but with the Dockerfile's own rules.

A `Lexer` walks over a text once and takes quotes, escapes and `$…` away. What an unset variable
means, and whether quotes and escapes stay in the result, depends on who asks:

* arguments of instructions: quotes and escapes go, unset is empty;
* the body of a heredoc: quotes are ordinary letters;
* finding `<<NAME`: quotes and escapes stay, unset variables stay as written.

Operators: `${v:-w} ${v-w} ${v:+w} ${v+w} ${v:?w} ${v?w} ${v#p} ${v##p} ${v%p} ${v%%p} ${v/p/r}
${v//p/r}`. In patterns and replacements an escape character stays, since the pattern needs it.
Positional and special parameters (`$1`, `$@`) are names like others, that nobody sets.
"""

from __future__ import annotations

from knarr.build.dockerfile import patterns
from knarr.build.dockerfile.fault import Fault
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SPECIAL = "@*#?-$!0"
_NEEDS_BRACE = "syntax error: missing '}'"


class Expansion(Value):
    """What became of a text: as one word, and split at the blanks that were not quoted.

    `used` are the variables it mentions that were set, `missing` those that were not.
    """

    text: str
    words: tuple[str, ...]
    used: frozenset[str]
    missing: frozenset[str]


class Lexer(Value):
    """How to read words: with which escape character, and what to leave as it is written."""

    escape: str = "\\"
    keep_quotes: bool = False
    keep_escapes: bool = False
    keep_unset: bool = False
    ignore_quotes: bool = False

    def expand(self, text: str, variables: Mapping[str, str]) -> Expansion:
        """Replace the variables in `text`. Raises: Fault"""
        scan = _Scan(self, text, variables)
        words = _Words()
        try:
            result = scan.until("", words, keep_escapes=self.keep_escapes)
        except Fault as fault:
            message = f'failed to process "{text}": {fault.message}'
            raise Fault(message, word=text, hint=fault.hint) from None
        return Expansion(
            text=result,
            words=words.finish(),
            used=frozenset(scan.used),
            missing=frozenset(scan.missing),
        )


class _Words:
    """Collects letters into words; a blank that is not quoted ends one."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._letters: list[str] = []

    def add(self, text: str) -> None:
        for letter in text:
            if letter.isspace():
                self._end()
            else:
                self._letters.append(letter)

    def add_quoted(self, text: str) -> None:
        self._letters.append(text)

    def finish(self) -> tuple[str, ...]:
        self._end()
        return tuple(self._done)

    def _end(self) -> None:
        word = "".join(self._letters)
        if word:
            self._done.append(word)
        self._letters.clear()


class _Scan:
    """One walk over a text: `at` is the next letter to read."""

    def __init__(self, lexer: Lexer, text: str, variables: Mapping[str, str]) -> None:
        self.lexer = lexer
        self.text = text
        self.at = 0
        self.keep_escapes = lexer.keep_escapes
        self.variables = variables
        self.used: set[str] = set()
        self.missing: set[str] = set()

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def take(self) -> str:
        letter = self.peek()
        self.at += 1
        return letter

    def until(self, stop: str, words: _Words, *, keep_escapes: bool) -> str:
        """Read up to the letter `stop` that is neither quoted nor escaped; "" is the end."""
        before, self.keep_escapes = self.keep_escapes, keep_escapes
        out: list[str] = []
        while letter := self.peek():
            if letter == stop:
                self.at += 1
                self.keep_escapes = before
                return "".join(out)
            out.append(self._piece(letter, words))
        self.keep_escapes = before
        if stop:
            message = f"unexpected end of statement while looking for matching {stop}"
            raise Fault(message)
        return "".join(out)

    def _piece(self, letter: str, words: _Words) -> str:
        if letter == "$":
            piece = self._dollar()
            words.add(piece)
            return piece
        if letter in "'\"" and not self.lexer.ignore_quotes:
            piece = self._single_quoted() if letter == "'" else self._double_quoted()
        elif letter == "<":
            piece = self._perhaps_heredoc()
        elif letter == self.lexer.escape:
            self.at += 1
            piece = (letter if self.keep_escapes else "") + self.take()
        else:
            self.at += 1
            words.add(letter)
            return letter
        words.add_quoted(piece)
        return piece

    def _single_quoted(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            message = "unexpected end of statement while looking for matching single-quote"
            raise Fault(message)
        inner = self.text[self.at + 1 : end]
        self.at = end + 1
        return f"'{inner}'" if self.lexer.keep_quotes else inner

    def _double_quoted(self) -> str:
        quote = '"' if self.lexer.keep_quotes else ""
        self.at += 1
        out = [quote]
        while letter := self.peek():
            if letter == '"':
                self.at += 1
                return "".join((*out, quote))
            if letter == "$":
                out.append(self._dollar())
                continue
            self.at += 1
            if letter == self.lexer.escape:
                following = self.peek()
                if not following:
                    break
                # Only these can be escaped; any other backslash stays what it is.
                if following in ('"', "$", self.lexer.escape):
                    if self.keep_escapes:
                        out.append(letter)
                    letter = self.take()
            out.append(letter)
        message = "unexpected end of statement while looking for matching double-quote"
        raise Fault(message)

    def _perhaps_heredoc(self) -> str:
        """Keep `<<  NAME` together, blanks and all."""
        self.at += 1
        if self.peek() != "<":
            return "<"
        start = self.at - 1
        self.at += 1
        while self.peek() in ("\t", "\r", " "):
            self.at += 1
        return self.text[start : self.at]

    def _dollar(self) -> str:
        self.at += 1
        if self.peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._value(name)
            return value if value is not None else self._unset(f"${name}")
        self.at += 1
        if not self.peek():
            raise Fault(_NEEDS_BRACE)
        if self.peek() in "{}:":
            message = "syntax error: bad substitution"
            raise Fault(message)
        return self._braced(self._name())

    def _braced(self, name: str) -> str:
        """Read the rest of `${name`."""
        operator = self.take()
        if not operator:
            raise Fault(_NEEDS_BRACE)
        if operator == "}":
            value = self._value(name)
            return value if value is not None else self._unset(f"${{{name}}}")
        if operator == "/":
            return self._substituted(name)
        colon = operator == ":"
        if colon:
            operator = self.take()
        written = ":" + operator if colon else operator
        if operator in ("#", "%") and not colon:
            return self._trimmed(name, operator)
        if operator not in ("-", "+", "?"):
            message = f"unsupported modifier ({written}) in substitution"
            raise Fault(message)
        word = self._close(keep_escapes=False)
        value = self._value(name)
        if value is None and self.lexer.keep_unset:
            return f"${{{name}{written}{word}}}"
        return _choose(name, value, operator, word, empty_is_unset=colon)

    def _trimmed(self, name: str, operator: str) -> str:
        pattern = self._close(keep_escapes=True)
        value = self._value(name)
        if value is None:
            return self._unset(f"${{{name}{operator}{pattern}}}")
        greedy = pattern[:1] == operator
        cut = patterns.cut_prefix if operator == "#" else patterns.cut_suffix
        return cut(value, pattern[1:] if greedy else pattern, greedy=greedy)

    def _substituted(self, name: str) -> str:
        everywhere = self.peek() == "/"
        if everywhere:
            self.at += 1
        pattern = self._close("/", missing="syntax error: missing '/' in ${}", keep_escapes=True)
        replacement = self._close(keep_escapes=True)
        value = self._value(name)
        if value is None:
            return self._unset(f"${{{name}/{pattern}/{replacement}}}")
        return patterns.substitute(value, pattern, replacement, everywhere=everywhere)

    def _close(self, stop: str = "}", *, missing: str = _NEEDS_BRACE, keep_escapes: bool) -> str:
        try:
            return self.until(stop, _Words(), keep_escapes=keep_escapes)
        except Fault:
            if self.at >= len(self.text):
                raise Fault(missing) from None
            raise

    def _name(self) -> str:
        start = self.at
        letter = self.peek()
        if letter.isdigit():
            while self.peek().isdigit():
                self.at += 1
        elif letter and letter in _SPECIAL:
            self.at += 1
        else:
            while self.peek().isalnum() or self.peek() == "_":
                self.at += 1
        return self.text[start : self.at]

    def _value(self, name: str) -> str | None:
        value = self.variables.get(name)
        (self.missing if value is None else self.used).add(name)
        return value

    def _unset(self, written: str) -> str:
        return written if self.lexer.keep_unset else ""


def _choose(name: str, value: str | None, operator: str, word: str, *, empty_is_unset: bool) -> str:
    """Do what `-`, `+` and `?` do."""
    absent = value is None or (empty_is_unset and value == "")
    if operator == "-":
        return word if absent else value or ""
    if operator == "+":
        return "" if absent else word
    if absent:
        why = "is not allowed to be unset" if value is None else "is not allowed to be empty"
        message = f"{name}: {word or why}"
        raise Fault(message)
    return value or ""
