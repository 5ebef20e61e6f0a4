"""What a registry's refusals mean: documents of errors, and statuses, turned into `KnarrError`s.

    {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": …}]}

A server's words are shown, since they often hold the reason, but not as they are: control
characters are taken out (a terminal would obey them) and they are cut to a line.

Spec: distribution-spec, "Error Codes"
Docker: the wording, as of distribution/xerrors
"""

from __future__ import annotations

from knarr.errors import (
    Corrupt,
    Failed,
    InvalidArgument,
    KnarrError,
    NotFound,
    PermissionDenied,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from knarr.registry.breaks import Cut, bare
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.oci.reference import Reference
    from knarr.registry.wire import Answer

_MAX_BODY = 64 << 10
_MAX_WORDS = 300
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # which some servers put before a document
_REASONS = {
    400: "bad request", 401: "unauthorized", 403: "denied", 404: "not found",
    405: "unsupported", 413: "too large", 429: "toomanyrequests", 500: "internal server error",
    502: "bad gateway", 503: "service unavailable", 504: "gateway timeout",
}  # fmt: skip
_CLASSES: dict[int, type[KnarrError]] = {
    400: InvalidArgument, 401: Unauthorized, 403: PermissionDenied, 404: NotFound,
    405: Unsupported, 408: Unavailable, 416: Corrupt, 429: Unavailable,
}  # fmt: skip


class Refusal:
    """What a registry said when it did not do what it was asked: status, code and words."""

    def __init__(self, answer: Answer) -> None:
        """Read the body of `answer`, which is then closed."""
        self.status = answer.status
        self.url = bare(answer.url)
        self.retry_after = answer.headers.get("retry-after", "")
        self.code, self.words = _read(answer)

    def error(self, what: str = "", *, hint: str = "") -> KnarrError:
        """Return the error for `what` was asked, by the status."""
        kind = _CLASSES.get(self.status, Unavailable if self.status >= 500 else Failed)
        message = f"{what}: {self.words}" if what else f"{self.url}: {self.words}"
        if self.status == 429:
            hint = hint or "The registry limits how often it can be asked; logging in may help."
        return kind(message, hint=hint)


def _read(answer: Answer) -> tuple[str, str]:
    """Return code and words of a refusal."""
    status = answer.status
    plain = _REASONS.get(status, f"unexpected status {status}")
    try:
        body = b"" if answer.status == 204 else answer.body(_MAX_BODY)
    except (Cut, Corrupt):
        return "", plain
    finally:
        answer.close()
    try:
        document = jsontext.loads(body.removeprefix(_BYTE_ORDER_MARK))
    except ValueError:
        return "", plain
    return _first(document) or ("", plain)


def _first(document: object) -> tuple[str, str] | None:
    """Return code and words of the first error in a document, in one of the forms in use."""
    if not isinstance(document, dict):
        return None
    errors = document.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        code, message = errors[0].get("code"), errors[0].get("message")
        code = code if isinstance(code, str) else ""
        message = clean(message) if isinstance(message, str) else ""
        words = ": ".join(w for w in (clean(code).lower().replace("_", " "), message) if w)
        return (code.upper(), words) if words else None
    for key in ("details", "detail", "message", "msg", "error_description", "error"):
        if isinstance(document.get(key), str) and document[key]:
            return "", clean(document[key])
    return None


def clean(text: str) -> str:
    """Return a server's `text` as one line that a terminal can be shown."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 2 * _MAX_WORDS])
    shown = " ".join(shown.split())
    return shown if len(shown) <= _MAX_WORDS else shown[:_MAX_WORDS] + "…"


def pull_error(reference: Reference, refusal: Refusal) -> KnarrError:
    """Return why a manifest or blob of `reference` cannot be had."""
    name = reference.familiar_name
    if refusal.status in (401, 403) or refusal.code in ("DENIED", "UNAUTHORIZED"):
        return Unauthorized(
            f"pull access denied for {name}, repository does not exist or may require"
            f" 'knarr login': {refusal.words}"
        )
    if refusal.code == "NAME_UNKNOWN":
        return NotFound(f"repository {name} not found: {refusal.words}")
    if refusal.status == 404:
        return NotFound(f"manifest for {reference.familiar()} not found: {refusal.words}")
    return refusal.error(reference.familiar())


def push_error(reference: Reference, refusal: Refusal) -> KnarrError:
    """Return why something cannot be put into the repository of `reference`."""
    name = reference.familiar_name
    if refusal.status in (401, 403) or refusal.code in ("DENIED", "UNAUTHORIZED"):
        return Unauthorized(
            f"push access denied for {name}: {refusal.words}",
            hint=f"'knarr login {reference.registry}' with an account that may push there.",
        )
    return refusal.error(name)
