"""Credential helpers: programs `docker-credential-NAME` that keep secrets for us.

One verb as argument, the request on standard input, the answer on standard output, secrets never
among the arguments:

    get     server          → {"ServerURL": …, "Username": …, "Secret": …}
    store   {"ServerURL": …, "Username": …, "Secret": …}
    erase   server

The user name `<token>` says that the secret is an identity token. Who knows no credentials says so
on standard output and ends with a status other than 0.

Docker: docker-credential-helpers
"""

from __future__ import annotations

from knarr.errors import Corrupt, Failed, NotFound
from knarr.oci import document
from knarr.registry.faults import clean

PREFIX = "docker-credential-"
TOKEN_USER = "<token>"  # noqa: S105 - the name that says so
_MISSING = ("credentials not found", "no credentials", "no usernames for")
# A helper may ask a person to unlock something.
_TIMEOUT = 120.0
_MAX_ANSWER = 1 << 20


def get(name: str, server: str) -> tuple[str, str] | None:
    """Return (user, secret) that the helper `name` has for `server`, or None.

    Raises: Failed, NotFound (no such helper), Corrupt
    """
    answer = _call(name, "get", server)
    if answer is None:
        return None
    fields = document.load(answer, f"the answer of {PREFIX}{name}", limit=_MAX_ANSWER)
    user, secret = fields.text("Username"), fields.text("Secret")
    return (user, secret) if user or secret else None


def store(name: str, server: str, user: str, secret: str) -> None:
    """Have the helper `name` keep credentials for `server`.

    Raises: Failed, NotFound
    """
    request = document.dump({"ServerURL": server, "Username": user, "Secret": secret})
    if _call(name, "store", request.decode()) is None:
        message = f"{PREFIX}{name} could not keep the credentials of {server}"
        raise Failed(message)


def erase(name: str, server: str) -> bool:
    """Have the helper `name` forget `server`; tell whether it had known it.

    Raises: Failed, NotFound
    """
    return _call(name, "erase", server) is not None


def _call(name: str, verb: str, request: str) -> bytes | None:
    """Return what the helper answers, None if it has no such credentials."""
    import subprocess  # noqa: PLC0415 - 14 ms, for who has a helper

    program = PREFIX + name
    if "/" in name:
        message = f"{name!r} is not the name of a credential helper"
        raise Corrupt(message)
    try:
        done = subprocess.run(
            [program, verb], input=request.encode(), capture_output=True, timeout=_TIMEOUT,
            check=False,
        )  # fmt: skip
    except FileNotFoundError:
        message = f"no such credential helper: {program}"
        hint = "Docker's config.json names it; install it, or take credsStore or credHelpers out."
        raise NotFound(message, hint=hint) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or f"no answer within {_TIMEOUT:.0f} s"
        message = f"{program} {verb}: {reason}"
        raise Failed(message) from None
    if done.returncode == 0:
        return done.stdout
    # Only its error stream is shown, should there be a secret in what it answered.
    words = done.stdout[:_MAX_ANSWER].decode(errors="replace") if len(done.stdout) < 400 else ""
    if any(missing in words.lower() for missing in _MISSING):
        return None
    reason = clean(done.stderr.decode(errors="replace")) or f"status {done.returncode}"
    message = f"{program} {verb}: {reason}"
    raise Failed(message)
