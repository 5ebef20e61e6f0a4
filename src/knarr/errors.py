"""Every error that knarr shows a person, by what the caller can do about it.

* KnarrError
  - InvalidArgument          the request cannot be right, whatever the state
    . SyntaxFault            text that does not parse: source, line, column
  - Unauthorized             the registry wants (other) credentials
  - PermissionDenied         the kernel, the registry or a rule says no
  - NotFound                 no such image, container, network, volume, exec, blob
  - Conflict                 the state forbids it: name taken, image in use, running
  - NotModified              already so: started, stopped
  - Unsupported              known, but not to be had here
  - Unavailable              not now: registry out of reach, shutting down
  - Corrupt                  bytes are not what digest, size or format promise
  - Failed                   a step outside our control failed
    . CommandFailed          a process ended with a status other than 0

A message is lower case without a full stop and names the object and the reason:
`no such container: web`. A hint says what to do next, as a sentence. Classes tell what a caller
may want to tell apart; everything else is in the message.
"""

from __future__ import annotations


class KnarrError(Exception):
    """The base of all errors that are meant to be read by a person."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep `message` (what failed, on what, why) and `hint` (what to do, may be empty)."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message alone."""
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what is known, whatever the class is made with: errors cross processes."""
        return _bare, (type(self), self.args), dict(self.__dict__)


def _bare(kind: type[KnarrError], arguments: tuple[object, ...]) -> KnarrError:
    """Return an error without fields, which are about to be set."""
    return kind.__new__(kind, *arguments)


class InvalidArgument(KnarrError):
    """The request cannot be right, whatever the state."""


class SyntaxFault(InvalidArgument):
    """Text that does not parse. `line` and `column` count from 1; 0 when not known."""

    def __init__(
        self, message: str, *, source: str = "", line: int = 0, column: int = 0, hint: str = ""
    ) -> None:
        """Keep where in `source` (a file's name) the text went wrong."""
        super().__init__(message, hint=hint)
        self.source = source
        self.line = line
        self.column = column


class Unauthorized(KnarrError):
    """The registry wants credentials, or other ones."""


class PermissionDenied(KnarrError):
    """The kernel, the registry or a rule says no."""


class NotFound(KnarrError):
    """There is no such image, container, network, volume, exec or blob."""


class Conflict(KnarrError):
    """The state forbids it: the name is taken, the image in use, the container running."""


class NotModified(KnarrError):
    """It is so already: started, stopped."""


class Unsupported(KnarrError):
    """Known, but not to be had here."""


class Unavailable(KnarrError):
    """Not now: the registry is out of reach, the lock is held, the engine shuts down."""


class Corrupt(KnarrError):
    """Bytes are not what their digest, size or format promise."""


class Failed(KnarrError):
    """A step outside our control failed."""


class CommandFailed(Failed):
    """A process could not be executed, or ended with a status other than 0."""

    def __init__(self, message: str, *, status: int, hint: str = "", command: str = "") -> None:
        """Keep the exit `status`: 126 not executable, 127 not found, 128+n signal, or its own.

        `command` is what ended like that, where somebody may want to name it.
        """
        super().__init__(message, hint=hint)
        self.status = status
        self.command = command
