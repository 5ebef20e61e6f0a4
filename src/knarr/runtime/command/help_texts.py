"""What `--help` prints, in the layout of programs that are written with urfave/cli, as runc is."""

from __future__ import annotations

from knarr.errors import InvalidArgument
from knarr.runtime.command import arguments, voice

_KINDS = {arguments.TEXT: " value", arguments.NUMBER: " value", arguments.LIST: " value"}


def usage() -> str:
    """Return what `--help` prints."""
    name = voice.name()
    commands = [f"   {each:<10} {what}" for each, (_, _, _, _, what) in arguments.COMMANDS.items()]
    return "\n".join(
        (
            "NAME:",
            f"   {name} - Open Container Initiative runtime",
            "",
            "USAGE:",
            f"   {name} [global options] command [command options] [arguments...]",
            "",
            "COMMANDS:",
            *commands,
            "",
            "GLOBAL OPTIONS:",
            *_options(arguments.GLOBAL),
        )
    )


def usage_of(command: str) -> str:
    """Return what `command --help` prints.

    Raises: InvalidArgument
    """
    name = voice.name()
    if command in arguments.UNSUPPORTED:
        why = arguments.UNSUPPORTED[command]
        return f"NAME:\n   {name} {command} - not supported: {why}"
    if command not in arguments.COMMANDS:
        message = f"No help topic for '{command}'"
        raise InvalidArgument(message, hint=f"{name} --help lists the commands.")
    options, _, _, words, what = arguments.COMMANDS[command]
    lines = ["NAME:", f"   {name} {command} - {what}", "", "USAGE:"]
    lines.append(f"   {name} {command} [command options] {words}".rstrip())
    if options:
        lines += ["", "OPTIONS:", *_options(options)]
    return "\n".join(lines)


def _options(options: dict[str, str]) -> list[str]:
    return [f"   --{name}{_KINDS.get(kind, '')}" for name, kind in options.items()]
