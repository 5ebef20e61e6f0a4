"""Scripts that complete knarr's command line in bash, zsh and fish.

They are made from the commands' data and hold all of it, so that no process is started to complete
a command or an option; only names of containers, images, volumes and networks are asked for.
"""

from __future__ import annotations

from knarr.cli import table
from knarr.cli.command import Command
from knarr.cli.globals import GLOBAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.cli.command import Option

SHELLS = ("bash", "fish", "zsh")

# How each kind of name is asked for.
NAMES = {
    "containers": "ps --all --format {{.Names}}",
    "running": "ps --format {{.Names}}",
    "images": "images --filter dangling=false --format {{.Repository}}:{{.Tag}}",
    "volumes": "volume ls --quiet",
    "networks": "network ls --format {{.Name}}",
}


def script(shell: str) -> str:
    """Return the completion script for one of `SHELLS`."""
    if shell == "bash":
        return _bash()
    return _zsh() if shell == "zsh" else _fish()


class Page:
    """What can be completed behind one command, called by any of `paths`."""

    def __init__(self, paths: list[str], command: Command) -> None:
        self.paths = paths
        self.completes = command.completes
        self.options = [option for option in command.options if not option.hidden]


def _pages() -> list[Page]:
    pages = [Page([""], GLOBAL.replace(completes=" ".join(name for name, _ in _top())))]
    for group, (_, members) in table.GROUPS.items():
        words = [name for name in members if " " not in name]
        command = Command(short="", completes=" ".join(words))
        pages.append(Page([group], command))
    for module in table.modules():
        home = __import__(f"knarr.cli.commands.{module}", fromlist=("COMMAND",))
        pages.append(Page(table.paths(module), home.COMMAND))
    return pages


def _top() -> list[tuple[str, str]]:
    """Return every word that may follow `knarr`, with its line."""
    entries = [(name, entry[1]) for name, entry in (*table.COMMON.items(), *table.COMMANDS.items())]
    return sorted(entries + [(name, entry[0]) for name, entry in table.GROUPS.items()])


def _words(option: Option) -> list[str]:
    return [f"--{option.name}", *([f"-{option.short}"] if option.short else [])]


def _groups() -> str:
    return "|".join(table.GROUPS)


def _deeper() -> dict[str, None]:
    """Return the commands that are followed by a word of their own, as `builder history ls`."""
    return {
        f"{group} {name.partition(' ')[0]}": None
        for group, (_, members) in table.GROUPS.items()
        for name in members
        if " " in name
    }


def _walk() -> str:
    """Return the part of a script that finds out which command it is."""
    return _WALK.replace("GROUPS", _groups()).replace("DEEPER", _patterns([*_deeper()]))


def _patterns(paths: list[str]) -> str:
    return "|".join(f'"{path}"' for path in paths)


def _cases(pages: list[Page]) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield (pattern of paths, options, completes, values) for a shell's case statement.

    A value is `--name|-n` and what completes it, apart by a space.
    """
    for page in pages:
        options = " ".join(word for option in page.options for word in _words(option))
        values = [
            f"{'|'.join(_words(option))}) kind='{option.completes}' ;;"
            for option in page.options
            if option.kind != "flag"
        ]
        yield _patterns(page.paths), f"{options} --help".strip(), page.completes, values


def _tables() -> str:
    """Return the function that sets `options`, `arguments` and, for an option, `kind`."""
    lines = ["_knarr_data() {  # path, option", '    case "$1" in']
    for pattern, options, completes, values in _cases(_pages()):
        lines += [f"    {pattern})"]
        lines += [f"        options='{options}' arguments='{completes}'"]
        if values:
            lines += ['        case "$2" in']
            lines += [f"        {value}" for value in values]
            lines += ["        *) return 1 ;;", "        esac ;;"]
        else:
            lines += ["        return 1 ;;"]
    lines += ["    *) options='' arguments=''; return 1 ;;", "    esac", "}"]
    names = ["_knarr_names() {  # kind", '    case "$1" in']
    names += [f"    {kind}) knarr {_quoted(words)} 2>/dev/null ;;" for kind, words in NAMES.items()]
    names += ["    files|directories) ;;", "    *) printf '%s\\n' ${=1} ;;", "    esac", "}"]
    return "\n".join((*lines, "", *names))


def _quoted(words: str) -> str:
    return " ".join(f"'{word}'" if "{" in word else word for word in words.split())


_WALK = """\
    while (( i < last )); do
        word=${words[i]}
        (( i += 1 ))
        case "$word" in
        --root|--run) [[ -z $place ]] && (( i += 1 )) ;;
        -*) ;;
        *)
            if [[ -z $place ]]; then
                place=$word
                case "$word" in GROUPS) in_group=1 ;; esac
            elif [[ -n $in_group ]]; then
                place="$place $word"
                case "$place" in DEEPER) ;; *) in_group= ;; esac
            else
                break
            fi ;;
        esac
    done
"""


def _bash() -> str:
    tables = _tables().replace("${=1}", "$1")
    return f"""\
# Completion of knarr for bash. Load it with: source <(knarr completion bash)

{tables}

_knarr() {{
    local words=("${{COMP_WORDS[@]}}") last=$COMP_CWORD i=1
    local word place= in_group= options= arguments= kind=
    local previous=${{COMP_WORDS[COMP_CWORD-1]}}
{_walk()}
    # The shell cuts words at ":" and "=": put back together what is before the cursor.
    local whole=${{COMP_LINE:0:COMP_POINT}}
    whole=${{whole##*[[:space:]]}}
    if [[ $whole == --*=* ]]; then
        previous=${{whole%%=*}} whole=${{whole#*=}}
    fi
    if _knarr_data "$place" "$previous"; then
        :
    elif [[ $whole == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$whole"))
        return
    else
        kind=$arguments
    fi
    case "$kind" in
    files) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$whole")) ;;
    directories) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$whole")) ;;
    *) COMPREPLY=($(compgen -W "$(_knarr_names "$kind")" -- "$whole")) ;;
    esac
    if [[ $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${{COMPREPLY[@]#"${{whole%"${{whole##*:}}"}}"}}")
    fi
}}

complete -F _knarr knarr
"""


def _zsh() -> str:
    walk = _walk()
    return f"""\
#compdef knarr
# Completion of knarr for zsh. Save it as _knarr in a directory of $fpath.

{_tables()}

_knarr() {{
    local word place= in_group= options= arguments= kind= current previous
    local -i i=2 last=CURRENT
    current=${{words[CURRENT]}} previous=${{words[CURRENT-1]}}
{walk}
    if [[ $current == --*=* ]]; then
        previous=${{current%%=*}}
        compset -P '*='
    fi
    if _knarr_data "$place" "$previous"; then
        :
    elif [[ $current == -* ]]; then
        compadd -- ${{=options}}
        return
    else
        kind=$arguments
    fi
    case "$kind" in
    files) _files ;;
    directories) _files -/ ;;
    *) compadd -- ${{(f)"$(_knarr_names "$kind")"}} ;;
    esac
}}

_knarr "$@"
"""


def _fish() -> str:
    groups = " ".join(table.GROUPS)
    deeper = " ".join(f"'{path}'" for path in _deeper())
    lines = [
        "# Completion of knarr for fish. Load it with: knarr completion fish | source",
        "",
        "function __knarr_place",
        "    set -l place",
        "    set -l skip 0",
        "    for word in (commandline -opc)[2..]",
        "        if test $skip = 1",
        "            set skip 0",
        '        else if contains -- $word --root --run; and test -z "$place"',
        "            set skip 1",
        "        else if string match -q -- '-*' $word",
        "            continue",
        '        else if test -z "$place"',
        "            set place $word",
        f"            contains -- $word {groups}; or break",
        "        else",
        '            set place "$place $word"',
        f"            contains -- $place {deeper}; or break",
        "        end",
        "    end",
        "    echo $place",
        "end",
        "",
        "function __knarr_in",
        "    contains -- (__knarr_place) $argv",
        "end",
        "",
        "complete -c knarr -f",
    ]  # fmt: skip
    for name, line in _top():
        lines.append(f"complete -c knarr -n '__knarr_in \"\"' -a {name} -d {_fish_quote(line)}")
    for group, (_, members) in table.GROUPS.items():
        for name, module in members.items():
            if " " in name:
                continue
            about = _fish_quote(table.line(module))
            lines.append(f"complete -c knarr -n '__knarr_in {group}' -a {name} -d {about}")
    for page in _pages():
        if page.options or (page.completes and page.paths[0] not in ("", *table.GROUPS)):
            lines += _fish_page(page)
    return "\n".join(lines) + "\n"


def _fish_page(page: Page) -> Iterator[str]:
    test = f"'__knarr_in {_patterns(page.paths).replace('|', ' ')}'"
    if page.paths[0] not in ("", *table.GROUPS):
        yield f"complete -c knarr -n {test} {_fish_value(page.completes)}".rstrip()
    for option in page.options:
        short = f"-s {option.short} " if option.short else ""
        about = _fish_quote(option.help.split("\n")[0])
        required = "-r" if option.completes == "files" else "-x"
        value = f" {required} {_fish_value(option.completes)}".rstrip()
        value = "" if option.kind == "flag" else value
        yield f"complete -c knarr -n {test} {short}-l {option.name} -d {about}{value}"


def _fish_value(completes: str) -> str:
    if completes == "files":
        return "-F"
    if completes == "directories":
        return "-a '(__fish_complete_directories)'"
    if completes in NAMES:
        words = _quoted(NAMES[completes]).replace("'", '"')
        return f"-a '(knarr {words} 2>/dev/null)'"
    return f"-a '{completes}'" if completes else ""


def _fish_quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
