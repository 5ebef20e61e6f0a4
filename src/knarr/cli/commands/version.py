"""knarr version."""

from __future__ import annotations

import os
import sys

from knarr import __version__
from knarr.cli.command import OBJECT_FORMAT, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Show the knarr version information",
    options=(OBJECT_FORMAT,),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    facts = _facts()
    form = options.text("format")
    if form:
        from knarr.cli.output import show_object  # noqa: PLC0415 - only for who asks

        # Scripts ask for the version of the server; what they mean is the engine, which is here.
        show_object(context, {"Client": facts, "Server": facts}, form)
        return 0
    context.print("Client: knarr")
    for label, key in _LINES:
        context.print(f" {label + ':':<18} {facts[key]}")
    return 0


_LINES = (
    ("Version", "Version"),
    ("Python version", "PythonVersion"),
    ("OS/Arch", "Platform"),
    ("Kernel version", "KernelVersion"),
)


def _facts() -> dict[str, str]:
    host = os.uname()
    python = ".".join(str(number) for number in sys.version_info[:3])
    return {
        "Version": __version__,
        "PythonVersion": python,
        "Os": "linux",
        "Arch": architecture(host.machine),
        "Platform": f"linux/{architecture(host.machine)}",
        "KernelVersion": host.release,
    }


def architecture(machine: str) -> str:
    """Return Go's word for the kernel's name of an architecture."""
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}.get(
        machine, machine
    )
