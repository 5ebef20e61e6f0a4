"""What a client sends for a build, and what of the result waits to be sent to it.

    <root>/builds/<random>/<name>/     a context, a Dockerfile's directory, an output

The files come through a pipe as an archive, and are unpacked as hostile archives are. A journal
entry of the kind `sent files` is there as long as the directory: of a process that died the next
command removes it.
"""

from __future__ import annotations

import os
import threading

from knarr.engine.build.workplace import Workplace, builds_dir
from knarr.linux.tree import remove_path
from knarr.snapshot.archive import unpack_archive_into

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.store.journal import Entry

KIND = "sent files"


class SentFiles(Workplace):
    """A directory for the files of one build, for a `with` statement."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, KIND)

    def path(self, name: str) -> str:
        """Return where what is called `name` is, whatever the client calls it."""
        return f"{self.directory}/{name.encode().hex()[:200] or '-'}"


def finish(engine: Engine, entry: Entry) -> str:
    """Remove what a process that died had been sent."""
    remove_path(f"{builds_dir(engine.paths)}/{entry.key}")
    return ""


class Unpacking:
    """An archive that is unpacked into a new directory while it comes, by a thread."""

    def __init__(self, directory: str) -> None:
        """Make the directory and begin."""
        os.mkdir(directory, 0o700)
        self._directory = directory
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._unpack, name="unpack", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Take a piece of the archive; what is wrong with it is told by `close`."""
        try:
            while data:
                data = data[os.write(self._writing, data) :]
        except BrokenPipeError:  # the thread has given up
            pass

    def close(self) -> None:
        """Wait until all is unpacked.

        Raises: Corrupt, InvalidArgument, Failed
        """
        os.close(self._writing)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _unpack(self) -> None:
        try:
            target_fd = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                with open(self._reading, "rb", closefd=False) as archive:
                    unpack_archive_into(target_fd, "/", archive)
                    while archive.read(1 << 16):
                        pass
            finally:
                os.close(target_fd)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._error = error
        finally:
            os.close(self._reading)
