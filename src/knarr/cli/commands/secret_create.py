"""knarr secret create."""

from __future__ import annotations

import os
import sys

from knarr.cli.command import Command, Option
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Create a secret from a file, standard input or a variable",
    usage="[OPTIONS] NAME FILE|-",
    options=(
        Option("driver", "Secret driver", kind="string", short="d", default="file",
               shown='"file"'),
        Option("env", "Read the data from the environment variable that is named in place of FILE"),
        Option("label", "Set metadata on a secret", kind="list", short="l"),
        Option("replace", "Replace a secret of the same name"),
    ),
    minimum=2,
    maximum=2,
    completes="files",
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.options.environment import parse_pairs  # noqa: PLC0415 - not for --help
    from knarr.engine.secrets import DRIVER, Secrets  # noqa: PLC0415

    name, source = arguments
    if options.text("driver") != DRIVER:
        message = f"invalid driver {options.text('driver')}"
        raise InvalidArgument(message, hint=f"There is the driver {DRIVER}.")
    data = _variable(source) if options.flag("env") else _read(source)
    labels = parse_pairs(options.texts("label"))
    secrets = Secrets(context.engine)
    secret = secrets.create(name, data, labels=labels, replace=options.flag("replace"))
    context.print(secret.id)
    return 0


def _variable(name: str) -> bytes:
    if name not in os.environ:
        message = f"cannot create store secret data: environment variable {name} is not set"
        raise InvalidArgument(message)
    return os.environb[name.encode()]


def _read(path: str) -> bytes:
    from knarr.util.files import read_file  # noqa: PLC0415 - not for --help

    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return read_file(path)
    except OSError as error:
        message = f"open {path}: {(error.strerror or str(error)).lower()}"
        raise InvalidArgument(message) from None
