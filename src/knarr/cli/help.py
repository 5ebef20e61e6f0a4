"""Help in Docker's layout, made from the commands' data.

Options are shown in alphabetical order, one column for their names and one for what they do, which
is wrapped to the terminal.
"""

from __future__ import annotations

from knarr.cli import table
from knarr.cli.globals import GLOBAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Command, Option

# A line of text may be this much longer than the column when it is the last one of its paragraph.
SLOP = 5


def page(names: list[str], columns: int) -> str:
    """Return the help of the command called by `names`; no names: that of knarr."""
    if not names:
        return _overview(columns)
    if len(names) == 1 and names[0] in table.GROUPS:
        return _group(names[0])
    if len(names) == 1:
        module = table.find(names[0]) or ""
    else:
        module = table.GROUPS[names[0]][1][" ".join(names[1:])]
    home = __import__(f"knarr.cli.commands.{module}", fromlist=("COMMAND",))
    return command_page(f"knarr {' '.join(names)}", home.COMMAND, table.paths(module), columns)


def command_page(path: str, command: Command, paths: list[str], columns: int) -> str:
    """Return the help of one command, called as `path`, that can be called by all of `paths`."""
    about = _wrap(command.long or command.short, columns)
    parts = [f"Usage:  {path} {command.usage}".rstrip(), "", *about]
    if len(paths) > 1:
        parts += ["", "Aliases:", "  " + ", ".join(f"knarr {other}" for other in paths)]
    options = list(command.options)
    if any(not option.hidden for option in options):
        parts += ["", "Options:", *_options(options, columns)]
    return "\n".join(parts) + "\n"


def _overview(columns: int) -> str:
    groups = {name: entry[0] for name, entry in table.GROUPS.items()}
    common = {name: entry[1] for name, entry in table.COMMON.items()}
    others = {name: entry[1] for name, entry in table.COMMANDS.items()}
    parts = [f"Usage:  knarr {GLOBAL.usage}", "", GLOBAL.short]
    width = max(map(len, (*groups, *common, *others)))
    for title, entries in (
        ("Common Commands", common),
        ("Management Commands", groups),
        ("Commands", others),
    ):
        parts += ["", f"{title}:", *_names(entries, width)]
    parts += ["", "Global Options:", *_options(list(GLOBAL.options), columns)]
    parts += ["", "Run 'knarr COMMAND --help' for more information on a command."]
    return "\n".join(parts) + "\n"


def _group(group: str) -> str:
    short, members = table.GROUPS[group]
    lines = {table.line(module): name for name, module in reversed(members.items())}
    entries = {name: line for line, name in lines.items()}
    names = {name: entries[name] for name in sorted(entries)}
    parts = [f"Usage:  knarr {group} COMMAND", "", short, "", "Commands:"]
    parts += _names(names, max(map(len, names)))
    parts += ["", f"Run 'knarr {group} COMMAND --help' for more information on a command."]
    return "\n".join(parts) + "\n"


def _names(entries: dict[str, str], width: int) -> list[str]:
    return [f"  {name:<{width}}  {line}" for name, line in entries.items()]


def _options(options: list[Option], columns: int) -> list[str]:
    shown = sorted((o for o in options if not o.hidden), key=lambda option: option.name)
    heads = [_head(option) for option in shown]
    indent = max(map(len, heads)) + 3
    lines = []
    for option, head in zip(shown, heads, strict=True):
        text = option.help
        if option.shown:
            text += f" (default {option.shown})"
        first, *rest = _wrap(text, columns - indent)
        lines.append(f"{head:<{indent}}{first}".rstrip())
        lines += [f"{'':<{indent}}{line}".rstrip() for line in rest]
    return lines


def _head(option: Option) -> str:
    head = f"  -{option.short}, --{option.name}" if option.short else f"      --{option.name}"
    word = option.metavar or ("" if option.kind == "flag" else option.kind)
    return f"{head} {word}".rstrip()


def _wrap(text: str, width: int) -> list[str]:
    """Return `text` in lines of at most `width` less the slop, which only a last line may use."""
    lines = []
    width = max(width, 24)
    for paragraph in text.split("\n"):
        rest = paragraph
        while len(rest) > width:
            cut = rest.rfind(" ", 0, width - SLOP)
            if cut <= 0:
                break
            lines.append(rest[:cut])
            rest = rest[cut + 1 :]
        lines.append(rest)
    return lines
