"""What is remembered of a build's steps, and the causes that a comparison finds."""

from __future__ import annotations

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class Entered(Value):
    """A step with all that its result was decided by.

    `name` is what progress shows, `text` the instruction as it is written, `about` the ingredients
    of the `key` (see `knarr.build.cache`). `below` is the number of the step whose files it
    changes, -1 for none; `others` are the further inputs. `sources` are the paths of each copy,
    `arguments` the names of the ARGs in its environment.
    """

    name: str
    text: str
    key: str = ""
    about: Mapping[str, Any] = {}
    below: int = -1
    others: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    forced: bool = False

    @property
    def is_image(self) -> bool:
        return self.about.get("kind") == "image"


class Cause(Value):
    """One reason. `kind` is of `wording.SENTENCES`; what it is about, and how it was and is."""

    kind: str
    subject: str = ""
    before: str = ""
    after: str = ""


def encode(value: Entered | Cause) -> dict[str, Any]:
    """Return a value as JSON has it, without what is as by default."""
    cls = type(value)
    return {
        name: getattr(value, name)
        for name in cls._fields
        if getattr(value, name) != cls._defaults.get(name, value)
    }


def decode_entered(document: Mapping[str, Any]) -> Entered:
    """Return what `encode` had."""
    fields = dict(document)
    for name in ("others", "sources", "arguments"):
        fields[name] = tuple(fields.get(name, ()))
    return Entered(**fields)


def decode_causes(documents: Sequence[Mapping[str, Any]]) -> tuple[Cause, ...]:
    """Return the causes that `encode` had."""
    return tuple(Cause(**document) for document in documents)
