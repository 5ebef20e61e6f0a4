"""Lists of names and values: `-e`, `--env-file`, `-l`, `--label-file`, `--sysctl`, `--log-opt`."""

from __future__ import annotations

from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BOM = "\ufeff"


def parse_env(text: str, surroundings: Mapping[str, str]) -> str | None:
    """Return the entry of one `-e`: KEY=value as it is, KEY with its value in `surroundings`.

    None when there is no such variable, in which case Docker leaves KEY out, unless the image
    has it: an entry without `=` takes it away.

    Raises: InvalidArgument
    """
    name, equals, _ = text.partition("=")
    if not name:
        message = f"invalid environment variable: {text}"
        raise InvalidArgument(message)
    if equals:
        return text
    value = surroundings.get(name)
    return None if value is None else f"{name}={value}"


def parse_env_file(content: bytes, path: str, surroundings: Mapping[str, str]) -> list[str]:
    """Return the entries of an `--env-file`: a KEY=value a line, comments behind `#` at its start.

    Docker: cli/opts ParseEnvFile: nothing is unquoted; blanks in front of a line are dropped.

    Raises: InvalidArgument
    """
    try:
        return list(_entries(content, surroundings))
    except ValueError as error:
        message = f"invalid env file ({path}): {error}"
        raise InvalidArgument(message) from None


def _entries(content: bytes, surroundings: Mapping[str, str]) -> Iterator[str]:
    for number, raw in enumerate(content.split(b"\n"), 1):
        try:
            line = raw.rstrip(b"\r").decode()
        except UnicodeDecodeError:
            shown = " ".join(str(byte) for byte in raw)
            message = f"invalid utf8 bytes at line {number}: [{shown}]"
            raise ValueError(message) from None
        line = (line.removeprefix(BOM) if number == 1 else line).lstrip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if any(letter.isspace() for letter in name):
            message = f"variable '{name}' contains whitespaces"
            raise ValueError(message)
        if not name:
            message = f"no variable name on line '{line}'"
            raise ValueError(message)
        if equals:
            yield f"{name}={value}"
        elif name in surroundings:
            yield f"{name}={surroundings[name]}"


def parse_pairs(texts: Iterable[str]) -> dict[str, str]:
    """Return the mapping of entries like `key=value` or `key`; the last one of a key counts."""
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def check_label(text: str) -> str:
    """Return the label of one `-l`, whose name is one.

    Raises: InvalidArgument
    """
    name = text.partition("=")[0].lstrip(" \t")
    message = ""
    if not name:
        message = f"invalid label '{text}': empty name"
    elif " " in name or "\t" in name:
        message = f"label '{name}' contains whitespaces"
    if message:
        raise InvalidArgument(message)
    return text


NAMESPACED_SYSCTLS = frozenset((
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
    "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
))  # fmt: skip
NAMESPACED_PREFIXES = ("net.", "fs.mqueue.")


def check_sysctl(text: str) -> str:
    """Return the kernel parameter of one `--sysctl`, which is one that a namespace has.

    Raises: InvalidArgument
    """
    name, equals, _ = text.partition("=")
    if not equals or not (name in NAMESPACED_SYSCTLS or name.startswith(NAMESPACED_PREFIXES)):
        message = f"sysctl '{text}' is not allowed"
        hint = "Write NAME=value, of a parameter that belongs to a namespace (net.…)."
        raise InvalidArgument(message, hint=hint)
    return text


def merge_env(*lists: Iterable[str]) -> tuple[str, ...]:
    """Return the entries of all lists; a later one replaces an earlier one in its place.

    An entry without `=` takes the variable out.
    """
    merged: dict[str, str] = {}
    for entries in lists:
        for entry in entries:
            name, equals, value = entry.partition("=")
            if equals:
                merged[name] = value
            else:
                merged.pop(name, None)
    return tuple(f"{name}={value}" for name, value in merged.items())
