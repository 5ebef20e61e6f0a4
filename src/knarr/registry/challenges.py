"""What a server that refuses asks for: the field WWW-Authenticate.

    WWW-Authenticate: Bearer realm="https://auth.example/token",service="x",scope="a:b:pull", Basic

A comma parts both challenges and the parameters of one challenge; what follows it decides.

Spec: RFC 9110, sections 11.2 to 11.6 and 5.6
"""

from __future__ import annotations

from knarr.oci.document import EMPTY, FrozenDict
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_TOKEN68 = _TOKEN | frozenset("/=")
_MAX_LENGTH = 16 << 10


class Challenge(Value):
    """One way to identify oneself: `scheme` in lower case, parameters by lower-case name."""

    scheme: str
    parameters: FrozenDict = EMPTY


def parse_challenges(lines: Iterable[str]) -> list[Challenge]:
    """Return the challenges in the field's `lines`, up to the first thing that is not one."""
    found: list[Challenge] = []
    for line in lines:
        found += _Scanner(line[:_MAX_LENGTH]).challenges()
    return found


class _Scanner:
    """One pass over one line."""

    def __init__(self, text: str) -> None:
        """Begin at the start of `text`."""
        self.text = text
        self.at = 0

    def challenges(self) -> list[Challenge]:
        """Return what can be read."""
        found: list[Challenge] = []
        self._skip(" \t,")
        while scheme := self._word(_TOKEN):
            self._skip(" \t")
            found.append(Challenge(scheme.lower(), FrozenDict(self._parameters())))
            self._skip(" \t,")
        return found

    def _parameters(self) -> dict[str, str]:
        """Return the parameters, and stop before the scheme of the next challenge."""
        found: dict[str, str] = {}
        if self._token68():
            return found
        while True:
            start = self.at
            name = self._word(_TOKEN)
            self._skip(" \t")
            if not name or not self._take("="):
                self.at = start
                return found
            self._skip(" \t")
            value = self._quoted() if self._take('"') else self._word(_TOKEN68)
            found.setdefault(name.lower(), value)
            self._skip(" \t,")

    def _token68(self) -> bool:
        """Pass over credentials of the form that has no names, which no registry uses."""
        start = self.at
        word = self._word(_TOKEN68)
        self._skip(" \t")
        ends = self.at == len(self.text) or self.text[self.at] == ","
        if word and ends and "=" not in word.rstrip("="):
            return True
        self.at = start
        return False

    def _quoted(self) -> str:
        characters = []
        while self.at < len(self.text):
            character = self.text[self.at]
            self.at += 1
            if character == '"':
                break
            if character == "\\" and self.at < len(self.text):
                character = self.text[self.at]
                self.at += 1
            characters.append(character)
        return "".join(characters)

    def _word(self, allowed: frozenset[str]) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] in allowed:
            self.at += 1
        return self.text[start : self.at]

    def _take(self, character: str) -> bool:
        if self.text[self.at : self.at + 1] == character:
            self.at += 1
            return True
        return False

    def _skip(self, characters: str) -> None:
        while self.at < len(self.text) and self.text[self.at] in characters:
            self.at += 1
