"""Archives on their way in and out of a command: files, or standard input and output.

A file that is written appears under its name when it is complete, in one step; a command that
fails, or is interrupted, leaves what was there before.
"""

from __future__ import annotations

import os
import stat

from knarr.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import BinaryIO, Self

    from knarr.cli.command import Context
    from knarr.util.compression import Writer

STDIN = 0
STDOUT = 1


def open_input(path: str) -> BinaryIO:
    """Return the file at `path`, or standard input for `-` and nothing.

    Raises: NotFound
    """
    if path in ("", "-"):
        return open(STDIN, "rb", buffering=0, closefd=False)
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError as error:
        message = f"open {path}: no such file or directory"
        raise NotFound(message) from error


class Output:
    """Where an archive is written: as a context that is left well, it is complete."""

    def __init__(self, context: Context, path: str) -> None:
        """Write to the file `path`, or without one to standard output, which is no terminal.

        Raises: InvalidArgument
        """
        self._path = path
        self._aside = ""
        if path in ("", "-"):
            if context.interactive:
                message = "cowardly refusing to save to a terminal"
                raise InvalidArgument(message, hint="Use the -o flag or redirect.")
            context.stdout.flush()
            self._descriptor = os.dup(STDOUT)
            return
        directory = os.path.dirname(path) or "."
        if not os.path.isdir(directory):
            message = f'invalid output path: directory "{directory}" does not exist'
            raise InvalidArgument(message)
        if os.path.isdir(path):
            message = f'invalid output path: "{path}" is a directory'
            raise InvalidArgument(message)
        self._descriptor = self._open()

    def _open(self) -> int:
        try:
            special = not stat.S_ISREG(os.stat(self._path).st_mode)
        except FileNotFoundError:
            special = False
        if special:  # a pipe or a device is not replaced but written to
            return os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        # A link stays one: what it leads to is replaced.
        self._path = os.path.realpath(self._path)
        name = os.path.basename(self._path)
        self._aside = f"{os.path.dirname(self._path)}/.{name}.{os.getpid()}.tmp"
        return os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes, /) -> None:
        """Take all of `data`."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._aside and error is None:
                os.rename(self._aside, self._path)
                self._aside = ""
        finally:
            os.close(self._descriptor)
            if self._aside:
                os.unlink(self._aside)


def compressed(output: Output, kind: str, write: Callable[[Writer], None]) -> None:
    """Have `write` write to `output`, compressed as `kind` ("" or "none" for not at all).

    Raises: InvalidArgument
    """
    from knarr.util.compression import GZIP, ZSTD, Compressor  # noqa: PLC0415 - as needed

    if kind not in ("", "none", GZIP, ZSTD):
        message = f"invalid compression {kind!r}"
        raise InvalidArgument(message, hint="It is none, gzip or zstd.")
    compressor = Compressor(output, kind if kind in (GZIP, ZSTD) else "")
    write(compressor)
    compressor.close()
