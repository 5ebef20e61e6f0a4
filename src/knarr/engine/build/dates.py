"""When sources were changed last: of a repository its commit, of a file what the server says.

An archive whose server says nothing is as old as its newest file. Each source is asked once, so
that all platforms of a build, and its verification, find the same.

Docker: dockerfile2llb/epoch.go of BuildKit
"""

from __future__ import annotations

import os

from knarr.errors import Corrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.build.graph import Fetch


class Dates:
    """The times of a build's sources, which are fetched into a directory to be looked at."""

    def __init__(self, directory: str, secrets: Mapping[str, bytes]) -> None:
        self._directory = directory
        self._secrets = secrets
        self._found: dict[Fetch, int | None] = {}

    def time_of(self, fetch: Fetch) -> int | None:
        """Return when a source was changed last, in seconds; None if it does not say.

        Raises: NotFound, PermissionDenied, Unavailable, InvalidArgument, Failed
        """
        if fetch not in self._found:
            self._found[fetch] = self._find(fetch)
        return self._found[fetch]

    def _find(self, fetch: Fetch) -> int | None:
        from knarr.build.remote import GIT, HTTP  # noqa: PLC0415 - few builds ask
        from knarr.engine.build import fetches  # noqa: PLC0415 - as above

        directory = f"{self._directory}/{len(self._found)}"
        if fetch.kind == GIT:
            auth = fetches.git_auth(self._secrets, fetch.url)
            return fetches.take_repository(fetch, directory, auth)[1]
        if fetch.kind == HTTP:
            headers = fetches.http_headers(self._secrets, fetch.url)
            return time_of_file(fetches.take_file(fetch, directory, headers))
        return None


def time_of_file(path: str) -> int | None:
    """Return when a fetched file was changed: 1970 stands for a server that does not say."""
    return int(os.stat(path).st_mtime) or _newest_in(path)


def _newest_in(path: str) -> int | None:
    """Return the time of the newest file in an archive, None if it is none."""
    from knarr.engine.build.files import is_tar  # noqa: PLC0415 - for servers that say nothing
    from knarr.util.compression import open_any  # noqa: PLC0415 - as above
    from knarr.util.tar import REGULAR  # noqa: PLC0415 - as above
    from knarr.util.tarreader import Reader  # noqa: PLC0415 - as above

    with open(path, "rb") as file:
        if not is_tar(file):
            return None
        file.seek(0)
        try:
            entries = list(Reader(open_any(file)[0]))
        except Corrupt:  # it only begins as an archive does
            return None
    times = [entry.mtime_ns // 1_000_000_000 for entry in entries if entry.kind == REGULAR]
    return max(times, default=None)
