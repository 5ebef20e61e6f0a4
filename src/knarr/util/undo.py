"""Steps that must be taken back when a later one fails.

    with Undo() as undo:
        directory = make()
        undo.push("removing the directory", remove, directory)
        record(directory)
        undo.keep()

Leaving without `keep` runs the steps, last first. All of them run, whatever fails: a half-finished
clean-up must not hide the other half. Failures are added to the error under way as notes; without
one they are raised together.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self


class Undo:
    """A stack of clean-up steps, each with what it does in words."""

    def __init__(self) -> None:
        """Start with nothing to take back."""
        self._steps: list[tuple[str, Callable[..., object], tuple[object, ...]]] = []

    def push(self, what: str, do: Callable[..., object], *args: object) -> None:
        """Remember to call `do(*args)`; `what` names the step in an error ("removing …")."""
        self._steps.append((what, do, args))

    def keep(self) -> None:
        """Forget all steps: what was done stays done."""
        self._steps.clear()

    def run(self) -> list[Exception]:
        """Run all steps now, last first, and return their failures."""
        failures = []
        while self._steps:
            what, do, args = self._steps.pop()
            try:
                do(*args)
            except Exception as failure:  # noqa: BLE001 - the rest has to run whatever this one met
                failure.add_note(f"while {what}")
                failures.append(failure)
        return failures

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Run what was not kept; add failures to `error`, or raise them when there is none."""
        failures = self.run()
        if not failures:
            return
        if error is None:
            message = "cleaning up failed"
            raise ExceptionGroup(message, failures)
        for failure in failures:
            error.add_note(f"also failed {'; '.join(failure.__notes__)}: {failure}")
