"""Options as Docker's command line reads them (the conventions of Go's pflag).

`-it` is `-i -t`; `-p80:80`, `-p 80:80` and `-p=80:80` are the same; so are `--name=x` and
`--name x`. A flag takes a value only behind `=`. `--` ends the options; with a command that is not
`interspersed` so does the first argument. The words of errors are Docker's, which scripts know.
"""

from __future__ import annotations

from knarr.cli.command import Misuse, Option, Options
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from knarr.cli.command import Command

HELP = Option("help", "Print usage", hidden=True)

LISTS = ("list", "filter")

# What an option that is not given has for a value.
EMPTY: dict[str, Any] = {
    "flag": False,
    "string": "",
    "int": 0,
    "uint": 0,
    "uint16": 0,
    "bytes": 0,
    "duration": 0.0,
    "decimal": 0,
}


def parse(command: Command, words: list[str], *, path: str) -> tuple[Options, list[str]]:
    """Return the options and the arguments in `words`; `path` is how the command was called.

    The option `help` is always there. The number of arguments is not looked at: see `check`.

    Raises: Misuse
    """
    return _Parser(command, path).parse(words)


def check(command: Command, arguments: list[str], *, path: str) -> None:
    """Raise unless the number of arguments is one the command accepts.

    Raises: Misuse
    """
    count, low, high = len(arguments), command.minimum, command.maximum
    if count >= low and (high is None or count <= high):
        return
    if high == 0:
        expected = "accepts no arguments"
    elif low == high:
        expected = f"requires {_arguments(low)}"
    elif high is None:
        expected = f"requires at least {_arguments(low)}"
    elif low == 0:
        expected = f"requires at most {_arguments(high)}"
    else:
        expected = f"requires at least {low} and at most {_arguments(high)}"
    raise Misuse(f"'{path}' {expected}", path=path, usage=command.usage)


def _arguments(count: int) -> str:
    return f"{count} argument{'s' if count != 1 else ''}"


class _Parser:
    """One pass over the words of a command line."""

    def __init__(self, command: Command, path: str) -> None:
        self.command = command
        self.path = path
        self.long = {HELP.name: HELP}
        self.short = {}
        for option in command.options:
            self.long[option.name] = option
            for alias in option.aliases:
                self.long[alias] = option
            if option.short:
                self.short[option.short] = option
        self.short.setdefault("h", HELP)
        self.values: dict[str, Any] = {HELP.name: False}
        for option in command.options:
            default = [] if option.kind in LISTS else EMPTY[option.kind]
            self.values[option.name] = default if option.default is None else option.default
        self.given: set[str] = set()

    def parse(self, words: list[str]) -> tuple[Options, list[str]]:
        arguments: list[str] = []
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == "--":
                arguments += rest
                break
            if word.startswith("--"):
                self._long(word, rest)
            elif word.startswith("-") and word != "-":
                self._shorts(word, rest)
            else:
                arguments.append(word)
                if not self.command.interspersed:
                    arguments += rest
                    break
        return Options(self.values, frozenset(self.given)), arguments

    def _long(self, word: str, rest: list[str]) -> None:
        name, equals, value = word[2:].partition("=")
        if not name or name.startswith("-"):
            raise self._fault(f"bad flag syntax: {word}")
        option = self.long.get(name)
        if option is None:
            raise self._fault(f"unknown flag: --{name}", hint=self._suggest(name))
        if equals:
            self._set(option, value)
        elif option.kind == "flag":
            self._set(option, "true")
        elif rest:
            self._set(option, rest.pop(0))
        else:
            raise self._fault(f"flag needs an argument: --{name}")

    def _shorts(self, word: str, rest: list[str]) -> None:
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            option = self.short.get(letter)
            if option is None:
                raise self._fault(f"unknown shorthand flag: {letter!r} in {word}")
            if letters.startswith("="):
                self._set(option, letters[1:])
                return
            if option.kind == "flag":
                self._set(option, "true")
            elif letters or rest:
                self._set(option, letters or rest.pop(0))
                return
            else:
                raise self._fault(f"flag needs an argument: {letter!r} in {word}")

    def _set(self, option: Option, text: str) -> None:
        try:
            value = CONVERT[option.kind](text)
        except (InvalidArgument, ValueError) as error:
            name = f"-{option.short}, --{option.name}" if option.short else f"--{option.name}"
            message = f'invalid argument "{text}" for "{name}" flag: {error}'
            raise self._fault(message, hint=getattr(error, "hint", "")) from None
        if option.kind in LISTS:
            # The default gives way to what is given.
            value = [*self.values[option.name], value] if option.name in self.given else [value]
        self.values[option.name] = value
        self.given.add(option.name)

    def _suggest(self, name: str) -> str:
        from knarr.util.suggest import closest  # noqa: PLC0415 - nobody waits for an error

        shown = [option.name for option in self.command.options if not option.hidden]
        found = closest(name, shown)
        return f"Did you mean --{found[0]}?" if found else ""

    def _fault(self, message: str, *, hint: str = "") -> Misuse:
        return Misuse(message, path=self.path, usage=self.command.usage, bare=True, hint=hint)


def _flag(text: str) -> bool:
    if text == "true":  # of most of them, which have no value
        return True
    from knarr.util.booleans import find_boolean  # noqa: PLC0415 - only for --flag=VALUE

    found = find_boolean(text)
    if found is None:
        message = f'strconv.ParseBool: parsing "{text}": invalid syntax'
        raise InvalidArgument(message)
    return found


def _int(text: str) -> int:
    digits = text[1:] if text[:1] in ("-", "+") else text
    if digits.isascii() and digits.isdigit():
        return int(text)
    message = f'strconv.ParseInt: parsing "{text}": invalid syntax'
    raise InvalidArgument(message)


def _unsigned(text: str, bits: int) -> int:
    if not (text.isascii() and text.isdigit()):
        message = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        raise InvalidArgument(message)
    if int(text) >> bits:
        message = f'strconv.ParseUint: parsing "{text}": value out of range'
        raise InvalidArgument(message)
    return int(text)


def _filter(text: str) -> str:
    if "=" not in text:
        message = "bad format of filter (expected name=value)"
        raise InvalidArgument(message)
    return text


def _bytes(text: str) -> int:
    from knarr.util.text import parse_size  # noqa: PLC0415 - only for who gives a size

    return parse_size(text)


def _duration(text: str) -> float:
    from knarr.util.durations import (  # noqa: PLC0415 - only for who gives a duration
        SECOND,
        parse_duration,
    )

    return parse_duration(text) / SECOND


def _decimal(text: str) -> int:
    from knarr.util.text import parse_billionths  # noqa: PLC0415 - only for who gives a decimal

    return parse_billionths(text)


CONVERT: dict[str, Callable[[str], Any]] = {
    "flag": _flag,
    "string": str,
    "list": str,
    "filter": _filter,
    "int": _int,
    "uint": lambda text: _unsigned(text, 64),
    "uint16": lambda text: _unsigned(text, 16),
    "bytes": _bytes,
    "duration": _duration,
    "decimal": _decimal,
}
