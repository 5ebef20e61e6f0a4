"""What a cause is in words."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.build.reasons.values import Cause

SENTENCES = {
    "no-cache": "the cache was not to be used",
    "first": "no build of this Dockerfile is remembered",
    "new-step": "the instruction is new",
    "unfinished": "the build before did not come this far",
    "forgotten": "nothing changed, but its result is no longer in the cache",
    "unknown": "it is not known what changed",
    "instruction": "the instruction was changed; it was {before}",
    "command": "the command is another with the values of today",
    "variable": "{subject} changed from {before} to {after}",
    "variable-added": "{subject} is new: {after}",
    "variable-removed": "{subject} is no longer there; it was {before}",
    "option": "{subject} changed from {before} to {after}",
    "mount": "the mount at {subject} was changed",
    "mounted": "the files mounted at {subject} changed",
    "source": "what is fetched from {subject} changed",
    "below": "the files below it changed: {subject}",
    "base": "the image {subject} is another: it was {before}, it is {after}",
    "base-name": "the base image is another: it was {before}, it is {after}",
    "heredoc": "the text of {subject} changed",
    "copied": "the files of {subject} changed",
    "file-added": "{subject} was added",
    "file-removed": "{subject} was removed",
    "file-content": "the content of {subject} changed",
    "file-mode": "the mode of {subject} changed from {before} to {after}",
    "file-owner": "the owner of {subject} changed from {before} to {after}",
    "file-kind": "{subject} was {before} and is {after}",
    "file-target": "the link {subject} led to {before} and leads to {after}",
    "more-files": "{subject} more files changed",
}
_NOTHING = '""'


def sentence(cause: Cause) -> str:
    """Return a cause in words, on one line."""
    fields = {
        name: " ".join(getattr(cause, name).split()) or _NOTHING
        for name in ("subject", "before", "after")
    }
    return SENTENCES[cause.kind].format(**fields)


def sentences(causes: Sequence[Cause]) -> list[str]:
    """Return all causes in words."""
    return [sentence(cause) for cause in causes]
