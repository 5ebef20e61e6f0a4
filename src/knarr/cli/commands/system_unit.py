"""knarr system unit."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Print a systemd unit that starts containers at boot",
    options=(Option("user", "Make it a unit of the user's own manager"),),
    long="The unit runs `knarr system boot` for the root and run directory that are in use.",
)

UNIT = """\
# {path}
# Enable it with: {systemctl} enable {name}
[Unit]
Description=Start the containers of knarr that should run
{after}
[Service]
Type=oneshot
RemainAfterExit=yes
# The containers' supervisors outlive the command, and are not to end with the unit.
KillMode=process
Delegate=yes
ExecStart={command}

[Install]
WantedBy={target}
"""
NETWORK = "Wants=network-online.target\nAfter=network-online.target local-fs.target\n"
NAME = "knarr-boot.service"


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    import os  # noqa: PLC0415 - not for --help
    import sys  # noqa: PLC0415

    from knarr.engine.paths import Paths  # noqa: PLC0415

    user = options.flag("user")
    paths = Paths(context.root, context.run_dir)
    words = [os.path.realpath(sys.argv[0]), "--root", paths.root, "--run", paths.run]
    text = UNIT.format(
        path=f"~/.config/systemd/user/{NAME}" if user else f"/etc/systemd/system/{NAME}",
        systemctl="systemctl --user" if user else "systemctl",
        name=NAME,
        after="" if user else NETWORK,
        command=" ".join(_quoted(word) for word in (*words, "system", "boot")),
        target="default.target" if user else "multi-user.target",
    )
    context.print(text, end="")
    return 0


def _quoted(word: str) -> str:
    """Return a word of a command line as systemd reads it.

    Man: systemd.service(5), "Command lines"; systemd.unit(5) for the per cent sign
    """
    word = word.replace("%", "%%").replace("$", "$$")
    if word and not any(letter in word for letter in " \t\"'\\;"):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
