"""The outbox: what the device has to tell, kept on disk until the cloud says that it has it.

``put`` returns once the items are synced to the disk, so whoever handed them over may forget
them. Items leave on the cloud's cumulative acknowledgement alone; the broker may lose whatever it
likes. The outbox is bounded in bytes: where there is no room, the oldest items of the least
important rank are given up first and counted, and what is more important is never given up for
what is less.
"""

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from skerry_agent.core.window import Stored
from skerry_contract.errors import ContractError, NoSpaceError

MAX_ITEM_BYTES = 64 * 1024
"""Largest data of one item."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS item (
  id INTEGER PRIMARY KEY AUTOINCREMENT, boot TEXT NOT NULL, stream TEXT NOT NULL,
  seq INTEGER NOT NULL, ts TEXT NOT NULL, stored_s REAL NOT NULL, rank INTEGER NOT NULL,
  data BLOB NOT NULL, UNIQUE (boot, stream, seq)
);
CREATE INDEX IF NOT EXISTS item_rank ON item (rank, id);
CREATE TABLE IF NOT EXISTS counter (
  boot TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (boot, stream)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dropped (reason TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
"""


class Rank(IntEnum):
    """How important an item is; the lower, the more."""

    EVENT = 0
    TELEMETRY = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to tell.

    Attributes:
        stream: ``module/stream``, or ``event/<type>``.
        rank: How important it is.
        data: Its JSON, at most ``MAX_ITEM_BYTES`` bytes.
    """

    stream: str
    rank: Rank
    data: bytes


@dataclass(frozen=True, slots=True)
class Level:
    """How full the outbox is.

    Attributes:
        rows: Items held.
        size_bytes: Bytes of their data.
        oldest_s: When the oldest was stored, in seconds since 1970; None if there is none.
        dropped: Items given up, by reason.
    """

    rows: int
    size_bytes: int
    oldest_s: float | None
    dropped: dict[str, int]


class Outbox:
    """A durable queue in one SQLite file; safe to use from several threads.

    Args:
        path: Where the file lies; its folder exists.
        boot: Boot id of this run of the agent, never used before.
        limit_bytes: Most bytes of data that are held.

    Raises:
        NoSpaceError: The file cannot be opened or made.
    """

    def __init__(self, path: Path, boot: str, *, limit_bytes: int) -> None:
        self._path = path
        self._boot = boot
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        with self._translated():
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            # FULL syncs the log at every commit: "stored" means that it survives a power cut.
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA cache_size = -256")
            self._db.executescript(_SCHEMA)
            self._db.execute("DELETE FROM counter WHERE boot <> ?", (boot,))
            (self._size,) = self._db.execute("SELECT TOTAL(LENGTH(data)) FROM item").fetchone()

    def put(self, entries: Sequence[Entry], *, ts: str, now_s: float) -> None:
        """Store all ``entries`` or none, in their order, and return when they are on the disk.

        Args:
            entries: What to tell.
            ts: The time, as text for people.
            now_s: The time in seconds since 1970.

        Raises:
            ContractError: One of them is too large.
            NoSpaceError: The disk is full, or the outbox is full of more important items.
        """
        for entry in entries:
            if len(entry.data) > MAX_ITEM_BYTES:
                raise ContractError(
                    f"{entry.stream}: {len(entry.data)} bytes, at most {MAX_ITEM_BYTES} allowed",
                    remedy="Return less from run(), such as scores instead of whole inputs.",
                )
        with self._lock, self._transaction():
            freed = self._make_room(entries)
            numbers = {
                stream: self._numbers(stream, count)
                for stream, count in Counter(entry.stream for entry in entries).items()
            }
            self._db.executemany(
                "INSERT INTO item (boot, stream, seq, ts, stored_s, rank, data)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        self._boot,
                        one.stream,
                        next(numbers[one.stream]),
                        ts,
                        now_s,
                        one.rank,
                        one.data,
                    )
                    for one in entries
                ],
            )
        self._size += sum(len(entry.data) for entry in entries) - freed

    def waiting(self, rank: Rank, *, after_id: int, limit: int) -> list[Stored]:
        """Return up to ``limit`` items of ``rank`` stored after ``after_id``, in order."""
        with self._lock, self._translated():
            rows = self._db.execute(
                "SELECT id, boot, stream, seq, ts, stored_s, data FROM item"
                " WHERE rank = ? AND id > ? ORDER BY id LIMIT ?",
                (rank, after_id, limit),
            ).fetchall()
        return [Stored(*row) for row in rows]

    def floor(self, boot: str, stream: str) -> int | None:
        """Return the lowest number that is still held of a boot and stream."""
        with self._lock, self._translated():
            (lowest,) = self._db.execute(
                "SELECT MIN(seq) FROM item WHERE boot = ? AND stream = ?", (boot, stream)
            ).fetchone()
        return None if lowest is None else int(lowest)

    def forget(self, boot: str, stream: str, seq: int) -> None:
        """Remove everything of a boot and stream up to ``seq``: the cloud has it."""
        with self._lock, self._unsynced(), self._transaction():
            where = "WHERE boot = ? AND stream = ? AND seq <= ?"
            (freed,) = self._db.execute(
                f"SELECT TOTAL(LENGTH(data)) FROM item {where}",  # noqa: S608 - a constant
                (boot, stream, seq),
            ).fetchone()
            self._db.execute(f"DELETE FROM item {where}", (boot, stream, seq))  # noqa: S608
        self._size -= freed

    def level(self) -> Level:
        """Return how full the outbox is."""
        with self._lock, self._translated():
            rows, oldest = self._db.execute("SELECT COUNT(*), MIN(stored_s) FROM item").fetchone()
            dropped = dict(self._db.execute("SELECT reason, n FROM dropped").fetchall())
        return Level(rows, int(self._size), oldest, dropped)

    def close(self) -> None:
        """Close the file; nothing is lost by not doing so."""
        with self._lock:
            self._db.close()

    def _numbers(self, stream: str, count: int) -> Iterator[int]:
        """Take the next ``count`` numbers of a stream."""
        (seq,) = self._db.execute(
            "INSERT INTO counter (boot, stream, seq) VALUES (?, ?, ?)"
            " ON CONFLICT (boot, stream) DO UPDATE SET seq = seq + excluded.seq RETURNING seq",
            (self._boot, stream, count),
        ).fetchone()
        return iter(range(int(seq) - count + 1, int(seq) + 1))

    def _make_room(self, entries: Sequence[Entry]) -> int:
        """Give up what is oldest and least important until ``entries`` fit; return the bytes."""
        needed = self._size + sum(len(entry.data) for entry in entries) - self._limit_bytes
        if needed <= 0:
            return 0
        rank = min(entry.rank for entry in entries)
        freed, victims = 0, []
        for row, size in self._db.execute(
            "SELECT id, LENGTH(data) FROM item WHERE rank >= ? ORDER BY rank DESC, id", (rank,)
        ):
            if freed >= needed:
                break
            victims.append((row,))
            freed += size
        if freed < needed:
            raise NoSpaceError(
                f"outbox: {self._limit_bytes} bytes are full of more important items",
                remedy="Connect the device, or raise outbox_mb in device.json.",
            )
        self._db.executemany("DELETE FROM item WHERE id = ?", victims)
        self._db.execute(
            "INSERT INTO dropped (reason, n) VALUES ('full', ?)"
            " ON CONFLICT (reason) DO UPDATE SET n = n + excluded.n",
            (len(victims),),
        )
        return freed

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _unsynced(self) -> Iterator[None]:
        """Leave the sync to the next ``put``: what a power cut brings back is sent once more."""
        with self._translated():
            self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            with self._translated():
                self._db.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise NoSpaceError(
                f"{self._path}: {error}",
                remedy="Free some space, or see whether the disk is sound.",
            ) from error
