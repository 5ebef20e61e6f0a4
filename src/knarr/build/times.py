"""Which time is written into what a build makes.

Equal ingredients are to give equal images, whenever and wherever they are built: so neither the
clock nor when somebody checked a file out may show. The archives of a stage's layers have no time
after the stage's *epoch*: that at which its base image was made, as the image says, and for `FROM
scratch`, or a base that says nothing, 1980, the oldest year that zip archives can hold. A stage on
another stage has that one's epoch. The config and its history say the epoch of the last stage, or
what SOURCE_DATE_EPOCH says.

It is the archive that has these times, and so the digest; the tree in the store keeps real ones, so
that make, cargo and their like go on working between the steps of a build and with cache mounts.
Files of the context and of repositories are at least as new as the epoch there: when they were
checked out does not show, and what was edited is newer than what was built of it.

Commands find the epoch in SOURCE_DATE_EPOCH, unless the Dockerfile or the user sets it: compilers
write it instead of the clock, and Python then checks compiled modules by their content.
"""

from __future__ import annotations

from knarr.errors import InvalidArgument
from knarr.util.times import SECOND_NS, parse_rfc3339
from knarr.util.value import Value

OLDEST = 315_532_800
"""1980-01-01, in seconds since 1970."""
VARIABLE = "SOURCE_DATE_EPOCH"
CONTEXT = "context"
"""What VARIABLE says for the time of the build's own context."""


class Times(Value):
    """What the user wants of times: `fixed` for all, the `clock`, or nothing after `latest`."""

    fixed: int | None = None
    clock: bool = False
    latest: int | None = None

    def epoch_of(self, created: str) -> int | None:
        """Return the epoch of a stage on an image made at `created`; None for real times."""
        if self.clock:
            return None
        if self.fixed is not None:
            return self.fixed
        epoch = max(_seconds(created), OLDEST)
        return epoch if self.latest is None else min(epoch, self.latest)


def parse_timestamp(text: str) -> Times:
    """Return what `--timestamp` means: seconds since 1970, or `now` for real times.

    Raises: InvalidArgument
    """
    if text == "now":
        return Times(clock=True)
    if not is_number(text):
        message = f"invalid time: {text}"
        raise InvalidArgument(message, hint="It is a number of seconds since 1970.")
    return Times(fixed=int(text))


def is_number(text: str) -> bool:
    """Tell whether a text is a number of seconds, and not the name of something."""
    return text.isascii() and text.removeprefix("-").isdigit()


def _seconds(created: str) -> int:
    try:
        return parse_rfc3339(created) // SECOND_NS
    except InvalidArgument:
        return OLDEST
