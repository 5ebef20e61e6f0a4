"""What a build shows: plain lines for logs, a picture that is drawn anew for terminals, or nothing.

Plain lines are BuildKit's, so that what reads them goes on to:

    #5 [2/4] RUN make
    #5 0.312 cc -o app app.c
    #5 DONE 1.3s

Output of commands is shown as it is but for what would move the cursor elsewhere.
"""

from __future__ import annotations

import os
import re
import time

from knarr.build.events import (
    Explained,
    Finished,
    Located,
    Noted,
    Printed,
    Started,
    Ticked,
    Warned,
)
from knarr.util.quoting import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from knarr.build.dockerfile.checks import Finding
    from knarr.build.events import Event

_KEPT = 200  # lines of output that are shown again when a step fails
_LONGEST = 64 << 10  # bytes of a line; what goes on after them is another line
_SHOWN = 6  # lines of output below a step that runs, on a terminal
_RULE = "-" * 6
# Sequences with parameters, titles and other strings, charsets and the rest: all but colours.
_MOVES = (
    r"\x1b(?:\[[0-?]*[ -/]*[@-ln-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]+[0-~]"
    r"|(?!\[[0-9;]*m).?)"
)
_COLOUR = r"\x1b\[[0-9;]*m"


class Activity:
    """One vertex, or another thing that a build does."""

    def __init__(self, number: int, name: str, now: float) -> None:
        self.number = number
        self.name = harmless(name)
        self.started = now
        self.over = False
        self.ended = 0.0
        self.cached = False
        self.error = ""
        self.lines: list[str] = []
        self.partial = {1: b"", 2: b""}

    def take(self, stream: int, data: bytes) -> list[str]:
        """Add output and return the lines it completes."""
        *whole, rest = (self.partial[stream] + data).split(b"\n")
        if len(rest) > _LONGEST:  # nobody reads that, and its end may never come
            whole, rest = [*whole, rest], b""
        self.partial[stream] = rest
        return self.keep(whole)

    def finish(self, event: Finished, now: float) -> list[str]:
        """Note the end, and return the lines that had no end of their own."""
        self.over, self.ended, self.cached = True, now, event.cached
        self.error = harmless(event.error)
        rest = [data for data in self.partial.values() if data]
        self.partial = {1: b"", 2: b""}
        return self.keep(rest)

    def seconds(self, now: float) -> float:
        """Return how long it took, or takes so far."""
        return (self.ended if self.over else now) - self.started

    def keep(self, lines: list[bytes]) -> list[str]:
        shown = [_readable(line) for line in lines]
        self.lines = (self.lines + shown)[-_KEPT:]
        return shown


def _readable(line: bytes) -> str:
    """Return a line of output without what moves the cursor; of a line drawn anew the last form."""
    text = line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
    text = re.sub(_MOVES, "", text).expandtabs() if "\x1b" in text else text.expandtabs()
    return "".join(letter for letter in text if letter.isprintable() or letter == "\x1b")


class Display:
    """Follows a build and shows nothing of it: the base of what shows something.

    `conclude` tells, at the end, what must not be overlooked.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self.clock = clock
        self.activities: dict[str, Activity] = {}
        self.findings: list[tuple[Finding, str]] = []
        self.excerpt = ""
        self.explanation: tuple[str, ...] = ()
        self.started = clock()

    def __call__(self, event: Event) -> None:
        """Take an event."""
        match event:
            case Started():
                number = len(self.activities) + 1
                self.activities[event.id] = Activity(number, event.name, self.clock())
                self.begun(self.activities[event.id])
            case Printed():
                activity = self.activities[event.id]
                self.printed(activity, activity.take(event.stream, event.data))
            case Noted():
                self.noted(self.activities[event.id], harmless(event.text))
            case Finished():
                activity = self.activities[event.id]
                self.printed(activity, activity.finish(event, self.clock()))
                self.ended(activity)
            case Warned():
                self.findings.append((event.finding, event.source))
            case Located():
                self.excerpt = harmless(event.excerpt)
            case Explained():
                self.explanation = tuple(map(harmless, event.lines))
            case Ticked():
                self.ticked()

    def begun(self, activity: Activity) -> None:
        """Show that an activity begins."""

    def printed(self, activity: Activity, lines: list[str]) -> None:
        """Show lines of a command's output."""

    def noted(self, activity: Activity, text: str) -> None:
        """Show what an activity is doing."""

    def ended(self, activity: Activity) -> None:
        """Show that an activity has ended."""

    def ticked(self) -> None:
        """Show that time passes."""

    def make_room(self) -> None:
        """Leave what is shown as it is: something else is about to be written below it."""
        self.stream.flush()

    def conclude(self) -> None:
        """Show why steps were done, what a failed one printed, and where it stands."""
        for line in self.explanation:
            self.write(line)
        failed = [each for each in self.activities.values() if each.error and each.lines]
        for activity in failed:
            self.write(f"{_RULE}\n > {activity.name}:")
            for line in activity.lines:
                self.write(line)
            self.write(_RULE)
        if self.excerpt:
            self.stream.write(self.excerpt)
        self.stream.flush()

    def warn(self) -> None:
        """Show what the build checks found."""
        if not self.findings:
            return
        count = len(self.findings)
        self.write(f"\n {count} warning{'s' if count > 1 else ''} found:")
        for finding, _ in self.findings:
            self.write(f" - {harmless(str(finding))}")

    def write(self, line: str) -> None:
        self.stream.write(f"{line}\n")


class Plain(Display):
    """Lines, each with the number of what it is about."""

    _last: Activity | None = None

    def begun(self, activity: Activity) -> None:
        self._turn_to(activity)
        self.write(f"#{activity.number} {activity.name}")
        self.stream.flush()

    def printed(self, activity: Activity, lines: list[str]) -> None:
        if not lines:
            return
        self._turn_to(activity)
        passed = activity.seconds(self.clock())
        for line in lines:
            self.write(f"#{activity.number} {passed:.3f} {line}".rstrip())
        self.stream.flush()

    def noted(self, activity: Activity, text: str) -> None:
        self._turn_to(activity)
        self.write(f"#{activity.number} {text}")
        self.stream.flush()

    def ended(self, activity: Activity) -> None:
        self._turn_to(activity)
        if activity.error:
            self.write(f"#{activity.number} ERROR: {activity.error}")
        elif activity.cached:
            self.write(f"#{activity.number} CACHED")
        else:
            self.write(f"#{activity.number} DONE {activity.seconds(self.clock()):.1f}s")
        self.stream.flush()

    def _turn_to(self, activity: Activity) -> None:
        """Set apart what different activities have to say."""
        if self._last is not None and self._last is not activity:
            self.write("")
        self._last = activity

    def conclude(self) -> None:
        self.warn()
        super().conclude()


class Terminal(Display):
    """A picture of all activities, drawn anew when something changes, up to ten times a second."""

    _PERIOD = 0.1

    def __init__(
        self,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
        *,
        size: Callable[[], tuple[int, int]] | None = None,
        colours: bool = True,
    ) -> None:
        super().__init__(stream, clock)
        self._size = size or self._terminal_size
        self._colours = colours and not os.environ.get("NO_COLOR")
        self._drawn = 0
        self._drawn_at = 0.0
        self._notes: dict[int, str] = {}

    def _terminal_size(self) -> tuple[int, int]:
        try:
            columns, rows = os.get_terminal_size(self.stream.fileno())
        except (OSError, ValueError):
            return 80, 24
        return columns or 80, rows or 24

    def begun(self, activity: Activity) -> None:
        del activity
        self.ticked()

    def printed(self, activity: Activity, lines: list[str]) -> None:
        del activity
        if lines:
            self.ticked()

    def noted(self, activity: Activity, text: str) -> None:
        self._notes[activity.number] = text
        self.ticked()

    def ended(self, activity: Activity) -> None:
        self._notes.pop(activity.number, None)
        self.ticked()

    def ticked(self) -> None:
        if self.clock() - self._drawn_at >= self._PERIOD:
            self._draw(self._fit(self._rows()))

    def make_room(self) -> None:
        self._draw(self._rows())
        self._drawn = 0

    def conclude(self) -> None:
        self._draw(self._rows())
        self.warn()
        super().conclude()

    def _fit(self, rows: list[str]) -> list[str]:
        """Leave out what does not fit the terminal, the oldest first."""
        _, height = self._size()
        return [rows[0], *rows[1:][-(height - 2) :]]

    def _rows(self) -> list[str]:
        ended = sum(each.over for each in self.activities.values())
        whole = len(self.activities)
        failed = any(each.error for each in self.activities.values())
        state = " ERROR" if failed else " FINISHED" if ended == whole and whole else ""
        rows = [f"[+] Building {self.clock() - self.started:.1f}s ({ended}/{whole}){state}"]
        for activity in self.activities.values():
            rows += self._activity(activity)
        return rows

    def _activity(self, activity: Activity) -> list[str]:
        width, _ = self._size()
        passed = activity.seconds(self.clock())
        mark = "CACHED " if activity.cached else "ERROR " if activity.error else ""
        clock = f"{passed:6.1f}s"
        room = max(10, width - len(clock) - 5)
        text = f"{mark}{activity.name}".replace("\n", " ")
        text = text if len(text) <= room else f"{text[: room - 3]}..."
        rows = [self._paint(f" => {text:<{room}}{clock}", activity)]
        if activity.over:
            return rows
        note = self._notes.get(activity.number)
        below = [note] if note else activity.lines[-_SHOWN:]
        return rows + [f" => => # {re.sub(_COLOUR, '', line)}"[: width - 1] for line in below]

    def _paint(self, row: str, activity: Activity) -> str:
        if not self._colours or not activity.over:
            return row
        return f"\x1b[{31 if activity.error else 34}m{row}\x1b[0m"

    def _draw(self, rows: list[str]) -> None:
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        self.stream.write(f"{up}\r\x1b[J" + "".join(f"{row}\n" for row in rows))
        self.stream.flush()
        self._drawn = len(rows)
        self._drawn_at = self.clock()


def choose(form: str, stream: TextIO) -> Display:
    """Return the display for `--progress`: auto, plain, tty, rawjson, quiet or none."""
    if form == "rawjson":
        from knarr.ui.rawjson import RawJson  # noqa: PLC0415 - for who asks for it

        return RawJson(stream)
    if form in ("quiet", "none"):
        return Display(stream)
    if form == "tty" or (form == "auto" and stream.isatty()):
        return Terminal(stream)
    return Plain(stream)
