"""knarr completion."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Generate the autocompletion script for a shell",
    long=(
        "Generate the autocompletion script for bash, fish or zsh\n\n"
        "  bash:  source <(knarr completion bash)\n"
        "  fish:  knarr completion fish | source\n"
        '  zsh:   knarr completion zsh > "${fpath[1]}/_knarr"'
    ),
    usage="bash|fish|zsh",
    minimum=1,
    maximum=1,
    completes="bash fish zsh",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.completion import SHELLS, script  # noqa: PLC0415 - loads every command

    shell = arguments[0]
    if shell not in SHELLS:
        message = f"unknown shell: {shell}"
        raise InvalidArgument(message, hint="There are scripts for bash, fish and zsh.")
    context.print(script(shell), end="")
    return 0
