"""SQLite files of the agent: commits survive a power cut, and what has rotted is put aside."""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from skerry_contract.errors import NoSpaceError

log = logging.getLogger(__name__)


class DatabaseFile:
    """One SQLite file with a write-ahead log; safe to use from several threads.

    Args:
        path: Where it lies; its folder exists.
        schema: Makes the tables, unless they are there.
        cache_kib: Most memory that SQLite keeps of it, in KiB.
        upgrade: Changes the tables of an earlier agent, before ``schema`` is carried out.

    Attributes:
        damaged: Whether a file that could not be read was put aside, under another name.

    Raises:
        NoSpaceError: It cannot be opened or made.
    """

    def __init__(
        self,
        path: Path,
        schema: str,
        *,
        cache_kib: int,
        upgrade: Callable[[sqlite3.Connection], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._lock = threading.RLock()

        def connected() -> sqlite3.Connection:
            return _connected(path, schema, cache_kib, upgrade)

        with self.reading():
            try:
                self._db, self.damaged = connected(), False
            except sqlite3.OperationalError:
                raise  # no folder, no right, no room: nothing is wrong with the file
            except sqlite3.DatabaseError as error:
                log.warning("%s is damaged and is put aside: %s", path, error)
                _put_aside(path)
                self._db, self.damaged = connected(), True

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the file for oneself.

        Raises:
            NoSpaceError: SQLite says that something is wrong with it.
        """
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise NoSpaceError(
                    f"{self._path}: {error}",
                    remedy="Free some space, or see whether the disk is sound.",
                ) from error

    @contextmanager
    def writing(self, *, synced: bool = True) -> Iterator[None]:
        """Hold the file for oneself, and change all of what is meant or nothing.

        Args:
            synced: Whether it is on the disk at the end. What is not, a power cut may take back
                as a whole, until the next change that is.

        Raises:
            NoSpaceError: The disk is full, or something is wrong with it; nothing has changed.
        """
        with self.reading(), self._level(synced=synced):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _level(self, *, synced: bool) -> Iterator[None]:
        if synced:
            yield
            return
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self._db.execute("PRAGMA synchronous = FULL")

    @property
    def connection(self) -> sqlite3.Connection:
        """The file itself, for whoever holds it."""
        return self._db

    def close(self) -> None:
        """Close it; nothing is lost by not doing so."""
        with self._lock:
            self._db.close()


def _put_aside(path: Path) -> None:
    for name in (f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)
    path.replace(path.with_name(f"{path.name}.damaged"))


def _connected(
    path: Path, schema: str, cache_kib: int, upgrade: Callable[[sqlite3.Connection], None]
) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        # FULL syncs the log at every commit: what is committed survives a power cut.
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA cache_size = -{cache_kib}")
        upgrade(database)
        database.executescript(schema)
    except BaseException:
        database.close()
        raise
    return database
