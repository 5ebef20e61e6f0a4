"""The explanation of `knarr explain` under the error of a command. Loaded after a failure only.

What is explained is what the program itself could not say: that it could not be executed, or what
killed it. To the words of programs nothing is added, nor to what somebody asked for, like `kill`.
"""

from __future__ import annotations

from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.containers import Container
    from knarr.engine.explaining.facts import Explanation


def explain_failure(error: KnarrError, container: Container) -> None:
    """Let the error of a start say the cause and what to do, if they are known."""
    found = _explain(container)
    if found is not None:
        error.hint = found.text


def explain_refusal(error: KnarrError) -> None:
    """Do the same for an error for which there is not even a container."""
    from knarr.engine.explaining.explain import explain_refusal as explain  # noqa: PLC0415
    from knarr.engine.explaining.facts import Facts  # noqa: PLC0415

    found = explain(Facts(status="", error=error.message))
    if found is not None:
        error.hint = found.text


def explain_end(container: Container) -> str:
    """Return what to say of the end of a container, empty for nothing."""
    found = _explain(container)
    return f"knarr: {found.text}" if found is not None else ""


def _explain(container: Container) -> Explanation | None:
    try:
        found = container.explain()
    except (KnarrError, OSError):  # the error, or the exit status, is what was asked for
        return None
    return found if found.aloud and found.certain else None
