"""A build told as the classic builder did: `Step 2/3 : RUN make`, what it prints, what came of it.

The solver works on several things at once and in its own order. Here the instructions come in the
order of the file: what one of them says is kept until its turn has come. An instruction that is no
work (`ENV`) counts as cached if the work after it is, or, at a stage's end, the work before it.

Docker: the words that docker-py and scripts look for; what goes to stderr is red
"""

from __future__ import annotations

from codecs import getincrementaldecoder

from knarr.build.events import (
    Finished,
    Located,
    Noted,
    Planned,
    Printed,
    Started,
    Ticked,
    Warned,
)
from knarr.errors import CommandFailed
from knarr.oci.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from knarr.build.dockerfile.checks import Finding
    from knarr.build.events import Event, Step
    from knarr.engine.build.export.outputs import Built
    from knarr.errors import KnarrError

    Document = dict[str, Any]
    Tell = Callable[[Document], object]

_PULL = "[internal] pull "
_STDERR = 2
_SHORT = 12


class _Work:
    """What is known of one vertex."""

    def __init__(self) -> None:
        decoder = getincrementaldecoder("utf-8")
        self._decoders = {stream: decoder("replace") for stream in (1, _STDERR)}
        self.said: list[str] = []
        self.decided = False  # whether it is cached
        self.over = False
        self.cached = False
        self.failed = False

    def print(self, event: Printed) -> None:
        text = self._decoders[event.stream].decode(event.data)
        if text:
            self.said.append(f"\x1b[91m{text}\x1b[0m" if event.stream == _STDERR else text)

    def finish(self, event: Finished) -> None:
        self.over = self.decided = True
        self.cached, self.failed = event.cached, bool(event.error)


class Classic:
    """Follows a build. With `quiet` only the ID of the image is told, and what led to an error."""

    def __init__(self, tell: Tell, *, quiet: bool = False) -> None:
        self._tell_client = tell
        self._quiet = quiet
        self._kept: list[Document] = []
        self._steps: tuple[Step, ...] = ()
        self._position = 0
        self._headed = False
        self._work: dict[str, _Work] = {}
        self._findings: list[Finding] = []
        self._excerpt = ""

    def __call__(self, event: Event) -> None:
        """Take an event."""
        match event:
            case Planned():
                self._steps = event.steps
            case Started():
                self._work[event.id] = _Work()
                if event.name.startswith(_PULL):
                    self._tell({"status": f"Pulling {event.name.removeprefix(_PULL)}"})
            case Printed():
                self._work[event.id].print(event)
                self._work[event.id].decided = True
            case Noted() if event.id in self._work:
                self._work[event.id].decided = True
            case Finished():
                self._work.setdefault(event.id, _Work()).finish(event)
            case Warned():
                self._findings.append(event.finding)
            case Located():
                self._excerpt = event.excerpt
            case Ticked():  # what is cached is found at once
                for work in self._work.values():
                    work.decided = True
        self._advance()

    def conclude(self, built: Built) -> None:
        """Tell what came of it."""
        for finding in self._findings:
            self._say(f"[Warning] {finding.message}\n")
        image_id = str(built.image_id)
        if self._quiet:
            self._tell_client({"stream": f"{image_id}\n"})
            return
        self._tell({"aux": {"ID": image_id}})
        self._say(f"Successfully built {image_id.removeprefix('sha256:')[:_SHORT]}\n")
        for name in built.names:
            self._say(f"Successfully tagged {parse_reference(name).familiar()}\n")

    def fail(self, error: KnarrError) -> KnarrError:
        """Tell what was kept back when an error ends the build; return it in the words of old.

        If nothing was told yet, the error is all of the answer.
        """
        for number in range(self._position, len(self._steps)):
            work = self._work.get(self._steps[number].vertex)
            if work is not None and work.failed:
                self._head(number)
                self._print(work)
        if self._excerpt and self._steps:
            self._say(self._excerpt)
        for document in self._kept:
            self._tell_client(document)
        if isinstance(error, CommandFailed) and error.command:
            message = f"The command '{error.command}' returned a non-zero code: {error.status}"
            return CommandFailed(message, status=error.status, hint=error.hint)
        return error

    def _advance(self) -> None:
        """Tell of the instructions whose turn has come, as far as they have."""
        while self._position < len(self._steps):
            step = self._steps[self._position]
            if not (self._tell_work(step) if step.vertex else self._tell_change(step)):
                return
            self._position += 1
            self._headed = False

    def _tell_work(self, step: Step) -> bool:
        """Tell of work; return whether it has ended well."""
        work = self._work.get(step.vertex)
        if work is None:
            return False
        self._head(self._position)
        self._print(work)
        if work.over and not work.failed:
            self._end(step.vertex, cached=work.cached)
            return True
        return False

    def _tell_change(self, step: Step) -> bool:
        """Tell of a FROM, or of what changes the config alone; return False if it is too early."""
        if step.base:
            self._head(self._position)
            self._end(_base(step))
            return True
        near = self._near(step)
        work = self._work.get(near)
        if near and (work is None or not work.decided):
            return False
        self._head(self._position)
        self._end(near or self._begun(step), cached=work is not None and work.cached)
        return True

    def _begun(self, step: Step) -> str:
        """Return what the stage of a step begins with."""
        stage = [one for one in self._steps[: self._position] if one.stage == step.stage]
        return next((_base(one) for one in stage if one.base), "")

    def _near(self, step: Step) -> str:
        """Return the work of the stage that comes next, or, without one, the last one."""
        later = [one.vertex for one in self._steps[self._position :] if one.stage == step.stage]
        before = [one.vertex for one in self._steps[: self._position] if one.stage == step.stage]
        return next((one for one in (*later, *reversed(before)) if one), "")

    def _head(self, number: int) -> None:
        if not self._headed or number != self._position:
            self._say(f"Step {number + 1}/{len(self._steps)} : {self._steps[number].text}\n")
        self._headed = True

    def _print(self, work: _Work) -> None:
        for text in work.said:
            self._say(text)
        work.said.clear()

    def _end(self, result: str, *, cached: bool = False) -> None:
        if cached:
            self._say(" ---> Using cache\n")
        self._say(f" ---> {result.removeprefix('sha256:')[:_SHORT]}\n")

    def _say(self, text: str) -> None:
        self._tell({"stream": text})

    def _tell(self, document: Document) -> None:
        if self._quiet:
            self._kept.append(document)
        else:
            self._tell_client(document)


def _base(step: Step) -> str:
    """Return the image that a FROM names; scratch is none."""
    return "" if step.base == "scratch" else step.base
