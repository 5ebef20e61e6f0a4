"""`knarr.db`: everything that can be listed, in SQLite.

Any number of processes have it open at once. Readers never wait (WAL); writers take turns, one
`transaction` at a time, and wait up to a minute for theirs. A transaction is on the disk when
it ends, unless its loss in a power cut is as good as what it says. What a row means to a user is
not known here: beside the columns that are searched, rows carry a text that only the engine reads.

The database is opened, and made or brought up to date, at its first use. Who opens it when nobody
else has it open reads the whole of its log: so that is kept short.
"""

from __future__ import annotations

import os
import sys
import time

from knarr.errors import Conflict, Corrupt, Failed, Unavailable, Unsupported
from knarr.store.schema import MIGRATIONS
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from sqlite3 import Connection, Cursor
    from types import TracebackType
    from typing import Any

    Row = tuple[Any, ...]

BUSY_SECONDS = 60  # a disk that is written to by others may take half of that for one commit
# Pages of the log that are copied into the database when there are so many. Opening a log of 100
# takes 0.2 ms more than an empty one, of the usual 1000 up to 2 ms, at every command.
_LOG_PAGES = 100


class Database:
    """The database at `path`. Belongs to one thread, and never crosses a fork."""

    def __init__(self, path: str) -> None:
        """Remember where; open nothing yet."""
        self.path = path
        self._connection: Connection | None = None
        self._depth = 0
        self._durable = True

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._durable = True

    def __del__(self) -> None:
        """Close the file with its last user: an engine may be dropped without a word."""
        self.close()

    @property
    def in_transaction(self) -> bool:
        """Tell whether a transaction of ours is under way."""
        return self._depth > 0

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Return what a query finds, as of one moment."""
        with _Meaning():
            found: list[Row] = self._open().execute(statement, parameters).fetchall()
            return found

    def row(self, statement: str, parameters: Sequence[object] = ()) -> Row | None:
        """Return the first row that a query finds, or None."""
        with _Meaning():
            found: Row | None = self._open().execute(statement, parameters).fetchone()
            return found

    def log_status(self) -> os.stat_result | None:
        """Return the status of the log, to which every commit writes; None if there is no log.

        It is only looked at: closing a descriptor of any of SQLite's files would take the locks
        away that the other connections of this process have on it.
        """
        try:
            return os.stat(f"{self.path}-wal")
        except FileNotFoundError:  # nobody has the database open
            return None

    def transaction(self, *, durable: bool = True) -> Transaction:
        """Return a context in which statements are carried out together, or not at all.

        It begins with the right to write, so that nothing read in it can be changed by others
        before it ends. Within another transaction it is a part of that one, and can be taken
        back without it. One that is not `durable` survives a power cut only with the next that is.

        Raises: Conflict, Unavailable
        """
        return Transaction(self, durable=durable)

    def rehearsal(self) -> Rehearsal:
        """Return a context like a transaction, all of which is taken back at its end.

        So it is seen what would come of something. Nothing else can be written meanwhile.

        Raises: Conflict, Unavailable
        """
        return Rehearsal(self, durable=False)

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = _connect(self.path)
        return self._connection

    def begin(self, *, durable: bool = True) -> Cursor:
        """Begin a transaction, or a part of the one under way. Use `transaction`."""
        connection = self._open()
        if not self._depth and durable != self._durable:
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        connection.execute(f"SAVEPOINT part_{self._depth}" if self._depth else "BEGIN IMMEDIATE")
        self._depth += 1
        return connection.cursor()

    def end(self, *, commit: bool) -> None:
        """End what `begin` began."""
        self._depth -= 1
        connection = self._open()
        if not connection.in_transaction:
            return  # SQLite itself took everything back: the disk is full
        if self._depth:
            part = f"part_{self._depth}"
            if not commit:
                connection.execute(f"ROLLBACK TO {part}")
            connection.execute(f"RELEASE {part}")
            return
        trace("database:before-commit")
        connection.execute("COMMIT" if commit else "ROLLBACK")
        trace("database:after-commit")


class Transaction:
    """Statements that take effect together. Leaving with an error takes them back."""

    __slots__ = ("_database", "_durable")

    def __init__(self, database: Database, *, durable: bool = True) -> None:
        """Prepare; the transaction begins on entering."""
        self._database = database
        self._durable = durable

    def __enter__(self) -> Cursor:
        """Begin."""
        with _Meaning():
            return self._database.begin(durable=self._durable)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit, or with an error roll back."""
        with _Meaning():
            self._database.end(commit=error is None)
        if error is not None:
            _raise_meaning(error)


class Rehearsal(Transaction):
    """Statements that take effect until the end of the context."""

    __slots__ = ()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Roll back."""
        with _Meaning():
            self._database.end(commit=False)
        if error is not None:
            _raise_meaning(error)


class _Meaning:
    """Gives SQLite's errors the meaning they have for a caller."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise what `error` means."""
        if error is not None:
            _raise_meaning(error)


def _raise_meaning(error: BaseException) -> None:
    """Raise what an error of SQLite means; return if `error` is another one."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_CONSTRAINT"):
        message = f"the record conflicts with another: {error}"
        raise Conflict(message) from error
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        message = f"the database was busy for {BUSY_SECONDS} seconds"
        raise Unavailable(message, hint="Another knarr command may hang: look for it.") from error
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        message = f"the database is damaged: {error}"
        raise Corrupt(message, hint="Restore knarr.db from a copy.") from error
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")):
        message = f"cannot use the database: {error}"
        raise Failed(message, hint=_disk_hint(name)) from error


def _disk_hint(name: str) -> str:
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return "The root directory must be writable for this user: see --root."
    return "Is the disk full?"


def _connect(path: str) -> Connection:
    connect = _opener()
    _create(path)
    # An engine belongs to one thread, but the last reference to it may go in any other.
    connection: Connection = connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        cached_statements=32,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != len(MIGRATIONS):
            _migrate(connection, path)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: str) -> None:
    """See to it that the database is its owner's alone, whatever SQLite would make it.

    It gives the log beside it, which has what was written last, the mode that the database has
    when the log is made. A file that is there is not opened: closing it would drop SQLite's locks.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError:  # it is there; or SQLite will say what is wrong
        pass


def _opener() -> Callable[..., Connection]:
    """Return SQLite's `connect`, loaded without what most commands need nothing else of.

    The C part alone: what `sqlite3` adds are converters of dates, for a millisecond. And it imports
    `functools` for one decorator, whose C part is here already; the rest of that module, and
    `collections` with it, would take two milliseconds of every command.
    """
    lend = "functools" not in sys.modules
    if lend:
        stand_in: Any = type(sys)("functools")
        stand_in.lru_cache = _lru_cache
        sys.modules["functools"] = stand_in
    try:
        from _sqlite3 import connect  # noqa: PLC0415 - commands that list nothing do without
    except ImportError:  # pragma: no cover - another implementation of Python
        from sqlite3 import connect  # noqa: PLC0415
    finally:
        if lend:
            del sys.modules["functools"]
    return connect


def _lru_cache(maxsize: int) -> Callable[[Callable[..., object]], object]:
    """Do what the decorator of `functools` does, for a function without keyword arguments."""
    wrapper: Any = __import__("_functools")._lru_cache_wrapper  # noqa: SLF001
    return lambda function: wrapper(function, maxsize, False, tuple)  # noqa: FBT003


def _migrate(connection: Connection, path: str) -> None:
    """Bring the database up to date, whichever of several processes comes first."""
    _keep_log(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            message = f"{path} was written by a newer knarr (schema {version})"
            raise Unsupported(message, hint="Install that version again, or use another --root.")
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _keep_log(connection: Connection) -> None:
    """Let the database have a log (WAL), for good.

    Of all statements this one alone does not wait while another process reads or writes: SQLite
    calls it busy at once. So the waiting is done here, for who meets another first command.
    """
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except Exception as error:
            busy = getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY"
            if not busy or time.monotonic() > end:
                raise
        time.sleep(0.005)
