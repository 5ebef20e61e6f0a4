"""What happens during a build, told as it happens.

Whoever started the build gets each event once, in order; the faces show them. A vertex is known by
its digest; an activity outside of the graph (loading the Dockerfile, storing the image) by a name
that it chose itself.
"""

from __future__ import annotations

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.build.dockerfile.checks import Finding


class Started(Value):
    """An activity begins, which works on the results of `inputs`."""

    id: str
    name: str
    inputs: tuple[str, ...] = ()


class Printed(Value):
    """A command printed `data` to stream 1 or 2."""

    id: str
    stream: int
    data: bytes


class Noted(Value):
    """An activity says what it is doing, as `writing image sha256:…`."""

    id: str
    text: str


class Received(Value):
    """An activity got `size` bytes of files from the client, which calls them `name`."""

    id: str
    name: str
    size: int


class Finished(Value):
    """An activity ended: well, from the cache, or with the message of an error.

    `key` is that under which the cache now has what the activity did.
    """

    id: str
    cached: bool = False
    error: str = ""
    key: str = ""


class Warned(Value):
    """A build check found something; `source` is the Dockerfile's name."""

    finding: Finding
    source: str


class Ticked(Value):
    """Time has passed while the build waits: what shows durations may show them anew."""


class Located(Value):
    """The lines of the Dockerfile in which the error to come arose, and as text to show."""

    excerpt: str
    first: int = 0
    last: int = 0


class Explained(Value):
    """Why each step was done or not, in lines of text; the last event of who asked for it."""

    lines: tuple[str, ...]


class Step(Value):
    """An instruction of stage number `stage`: a FROM has a `base`, its image's ID or `scratch`.

    `vertex` is empty for what is no work, as `ENV`.
    """

    stage: int
    text: str
    vertex: str = ""
    base: str = ""


class Planned(Value):
    """The Dockerfile is understood: these instructions, in its order, will be carried out."""

    steps: tuple[Step, ...]


if TYPE_CHECKING:
    Event = (
        Started | Printed | Noted | Received | Finished | Warned | Ticked | Located | Planned
        | Explained
    )  # fmt: skip
    Report = Callable[[Event], None]
