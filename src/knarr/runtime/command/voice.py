"""By what name this program goes, and in whose words it complains.

It can stand in for runc also where a file of that name is what is called. Then it goes by the name
`runc`, and errors that scripts look for are worded as runc words them: a mount that fails comes at
the end of runc's chain of reasons, and a program that the kernel refuses is one bare line. Under
its own name it says which step failed, and why.
"""

from __future__ import annotations

import os
import sys

from knarr.errors import CommandFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.errors import KnarrError

OWN = "knarr-runtime"
RUNC = "runc"
_FAILED = {"create": "runc create failed: ", "run": "runc run failed: ", "exec": "exec failed: "}


def name() -> str:
    """Return the name that this program was called by, if it is one that it answers to."""
    return RUNC if os.path.basename(sys.argv[0]) == RUNC else OWN


def version() -> str:
    """Return what `--version` prints.

    Docker reads the first word as the name, what follows `version` and, as `commit`, the release.
    """
    from knarr import __version__  # noqa: PLC0415 - for this option alone
    from knarr.runtime.document import SPEC_VERSION  # noqa: PLC0415

    return f"{name()} version {__version__}\ncommit: v{__version__}\nspec: {SPEC_VERSION}\n"


def complaint(error: KnarrError, command: str) -> str:
    """Return what people read on stderr of an error while carrying out `command`."""
    explained = f"{error.message}. {error.hint}" if error.hint else error.message
    if name() != RUNC:
        return f"{OWN}: {explained}"
    if isinstance(error, CommandFailed) and error.message.startswith("exec /"):
        return error.message
    return f"{_FAILED.get(command, '')}{_chain(error.message)}{explained}"


def _chain(message: str) -> str:
    if not message.startswith("mounting "):
        return ""
    return "unable to start container process: error during container init: error "
