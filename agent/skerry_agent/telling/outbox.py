"""The outbox: what the device has to tell, kept on disk until the cloud says that it has it.

``put`` returns once the items are synced to the disk, so whoever handed them over may forget
them: one sync for each call, however many items it brings. Acknowledgements are not synced; what a
power cut brings back is sent once more. Items leave on the cloud's cumulative acknowledgement
alone; the broker may lose whatever it likes.

The outbox is bounded in bytes and in age. Where there is no room, the oldest items of the least
important rank are given up first, and what is more important is never given up for what is less.
Whatever is given up is counted, by reason:

| reason | means |
|---|---|
| ``full`` | there was no room |
| ``age`` | it was kept for as long as its rank or its sender says |
| ``refused`` | an event found nothing to push out |
| ``damaged`` | the file could not be read and was put aside; counts once, whatever was in it |
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from skerry_agent.core.window import Stored
from skerry_agent.database_file import DatabaseFile
from skerry_contract.errors import ContractError, NoSpaceError

MAX_ITEM_BYTES = 64 * 1024
"""Largest data of one item."""
ROW_BYTES = 130
"""What an item takes on the disk besides its data, measured with three indexes."""
EXPIRE_EVERY_S = 60.0
"""Seconds of our clock between two looks for what is too old."""
_EXPIRE_ROWS = 5000
"""Items that one look gives up, so that no ``put`` waits for a million of them."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS item (
  id INTEGER PRIMARY KEY AUTOINCREMENT, boot TEXT NOT NULL, stream TEXT NOT NULL,
  seq INTEGER NOT NULL, ts TEXT NOT NULL, stored_s REAL NOT NULL, rank INTEGER NOT NULL,
  data BLOB NOT NULL, until_s REAL, UNIQUE (boot, stream, seq)
);
CREATE INDEX IF NOT EXISTS item_rank ON item (rank, id);
CREATE INDEX IF NOT EXISTS item_until ON item (until_s) WHERE until_s IS NOT NULL;
CREATE TABLE IF NOT EXISTS counter (
  boot TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (boot, stream)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dropped (reason TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
"""


class Rank(IntEnum):
    """How important an item is; the lower, the more."""

    EVENT = 0
    TELEMETRY = 1
    SAMPLE = 2


_DAY_S = 24 * 3600.0


def keep_for(days: float) -> dict[Rank, float]:
    """Return the seconds that items of each rank are kept, where telemetry is kept ``days``."""
    return {
        Rank.EVENT: 4 * days * _DAY_S,
        Rank.TELEMETRY: days * _DAY_S,
        Rank.SAMPLE: days * _DAY_S / 2,
    }


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to tell.

    Attributes:
        stream: ``module/stream``, or ``event/<type>``.
        rank: How important it is.
        data: Its JSON, at most ``MAX_ITEM_BYTES`` bytes.
        keep_s: Seconds after which nobody wants it; None for as long as its rank is kept.
    """

    stream: str
    rank: Rank
    data: bytes
    keep_s: float | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """How full the outbox is.

    Attributes:
        rows: Items held.
        size_bytes: Bytes that they take.
        oldest_s: When the oldest was stored, by the clock of their ages; None if there is none.
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
        limit_bytes: Most bytes that items may take, ``ROW_BYTES`` of each included.
        keep_s: Seconds that items of each rank are kept, by the clock of ``put``.

    Raises:
        NoSpaceError: The file cannot be opened or made.
    """

    def __init__(
        self,
        path: Path,
        boot: str,
        *,
        limit_bytes: int,
        keep_s: Mapping[Rank, float] | None = None,
    ) -> None:
        self._boot = boot
        self._limit_bytes = limit_bytes
        self._keep_s = keep_s or {}
        self._expired_at = -EXPIRE_EVERY_S
        self._file = DatabaseFile(path, _SCHEMA, cache_kib=256, upgrade=_count_ages)
        self._db = self._file.connection
        with self._file.writing(synced=False):
            self._db.execute("DELETE FROM counter WHERE boot <> ?", (boot,))
            self._rows, size = self._db.execute(
                "SELECT COUNT(*), TOTAL(LENGTH(data)) FROM item"
            ).fetchone()
            self._size = int(size) + ROW_BYTES * self._rows
            if self._file.damaged:
                self._count("damaged", 1)

    def put(self, entries: Sequence[Entry], *, ts: str, now_s: float) -> None:
        """Store all ``entries`` or none, in their order, and return when they are on the disk.

        Args:
            entries: What to tell.
            ts: The time, as text for people.
            now_s: The time by a clock that only goes forward, in seconds.

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
        with self._counting() as tally:
            gone = self._expire(now_s)
            gone += self._make_room(entries, gone)
            numbers = {
                stream: self._numbers(stream, count)
                for stream, count in Counter(entry.stream for entry in entries).items()
            }
            self._db.executemany(
                "INSERT INTO item (boot, stream, seq, ts, stored_s, rank, data, until_s)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        self._boot,
                        one.stream,
                        next(numbers[one.stream]),
                        ts,
                        now_s,
                        one.rank,
                        one.data,
                        self._until_s(one, now_s),
                    )
                    for one in entries
                ],
            )
            tally.add(len(entries) - gone.rows, _size_of(entries) - gone.size_bytes)

    def waiting(self, rank: Rank, *, after_id: int, limit: int) -> list[Stored]:
        """Return up to ``limit`` items of ``rank`` stored after ``after_id``, in order."""
        with self._file.reading():
            rows = self._db.execute(
                "SELECT id, boot, stream, seq, ts, stored_s, data FROM item"
                " WHERE rank = ? AND id > ? ORDER BY id LIMIT ?",
                (rank, after_id, limit),
            ).fetchall()
        return [Stored(*row) for row in rows]

    def floor(self, boot: str, stream: str) -> int | None:
        """Return the lowest number that is still held of a boot and stream."""
        with self._file.reading():
            (lowest,) = self._db.execute(
                "SELECT MIN(seq) FROM item WHERE boot = ? AND stream = ?", (boot, stream)
            ).fetchone()
        return None if lowest is None else int(lowest)

    def forget(self, boot: str, stream: str, seq: int) -> None:
        """Remove everything of a boot and stream up to ``seq``: the cloud has it."""
        with self._counting(synced=False) as tally:
            where = "WHERE boot = ? AND stream = ? AND seq <= ?"
            rows, freed = self._db.execute(
                f"SELECT COUNT(*), TOTAL(LENGTH(data)) FROM item {where}",  # noqa: S608 - a constant
                (boot, stream, seq),
            ).fetchone()
            self._db.execute(f"DELETE FROM item {where}", (boot, stream, seq))  # noqa: S608
            tally.add(-rows, -int(freed) - ROW_BYTES * rows)

    def expire(self, now_s: float) -> None:
        """Give up what is too old by now, some thousand items at most; call it now and then.

        Raises:
            NoSpaceError: The disk refuses.
        """
        with self._counting(synced=False) as tally:
            gone = self._expire(now_s)
            tally.add(-gone.rows, -gone.size_bytes)

    def count_dropped(self, reason: str, number: int = 1) -> None:
        """Count what was given up before it was stored."""
        with self._file.writing(synced=False):
            self._count(reason, number)

    def newest_s(self) -> float:
        """Return when the newest item was stored, by the clock of ``put``; 0 if there is none."""
        with self._file.reading():
            row = self._db.execute("SELECT stored_s FROM item ORDER BY id DESC LIMIT 1").fetchone()
        return float(row[0]) if row else 0.0

    def level(self) -> Level:
        """Return how full the outbox is."""
        with self._file.reading():
            # The ids grow with time: no look at all items, of which there may be a million.
            row = self._db.execute("SELECT stored_s FROM item ORDER BY id LIMIT 1").fetchone()
            dropped = dict(self._db.execute("SELECT reason, n FROM dropped").fetchall())
        return Level(self._rows, self._size, row[0] if row else None, dropped)

    def close(self) -> None:
        """Close the file; nothing is lost by not doing so."""
        self._file.close()

    @contextmanager
    def _counting(self, *, synced: bool = True) -> Iterator["_Tally"]:
        """Change the file; what that adds and takes away counts once it is committed."""
        tally = _Tally()
        with self._file.reading():
            with self._file.writing(synced=synced):
                yield tally
            self._rows += tally.rows
            self._size += tally.size_bytes

    def _numbers(self, stream: str, count: int) -> Iterator[int]:
        """Take the next ``count`` numbers of a stream."""
        (seq,) = self._db.execute(
            "INSERT INTO counter (boot, stream, seq) VALUES (?, ?, ?)"
            " ON CONFLICT (boot, stream) DO UPDATE SET seq = seq + excluded.seq RETURNING seq",
            (self._boot, stream, count),
        ).fetchone()
        return iter(range(int(seq) - count + 1, int(seq) + 1))

    def _until_s(self, entry: Entry, now_s: float) -> float | None:
        limits = [one for one in (entry.keep_s, self._keep_s.get(entry.rank)) if one is not None]
        return now_s + min(limits) if limits else None

    def _make_room(self, entries: Sequence[Entry], gone: "_Gone") -> "_Gone":
        """Give up what is oldest and least important until ``entries`` fit."""
        needed = self._size - gone.size_bytes + _size_of(entries) - self._limit_bytes
        if needed <= 0:
            return _Gone()
        least = min(entry.rank for entry in entries)
        victims: list[int] = []
        freed = 0
        # Rank by rank, each in the order of an index: a sort would take in the whole outbox.
        for rank in sorted((one for one in Rank if one >= least), reverse=True):
            for row, size in self._db.execute(
                "SELECT id, LENGTH(data) FROM item WHERE rank = ? ORDER BY id", (rank,)
            ):
                if freed >= needed:
                    break
                victims.append(row)
                freed += size + ROW_BYTES
        if freed < needed:
            raise NoSpaceError(
                f"outbox: {self._limit_bytes} bytes are full of more important items",
                remedy="Connect the device, or raise outbox_mb in device.json.",
            )
        self._give_up("full", victims)
        return _Gone(len(victims), freed)

    def _expire(self, now_s: float) -> "_Gone":
        """Give up what is too old, if the last look is long ago."""
        if now_s - self._expired_at < EXPIRE_EVERY_S:
            return _Gone()
        found = self._db.execute(
            "SELECT id, LENGTH(data) FROM item WHERE until_s <= ? ORDER BY until_s LIMIT ?",
            (now_s, _EXPIRE_ROWS),
        ).fetchall()
        if len(found) < _EXPIRE_ROWS:
            self._expired_at = now_s
        self._give_up("age", [row for row, _ in found])
        return _Gone(len(found), sum(size + ROW_BYTES for _, size in found))

    def _give_up(self, reason: str, ids: Sequence[int]) -> None:
        self._db.executemany("DELETE FROM item WHERE id = ?", ((one,) for one in ids))
        if ids:
            self._count(reason, len(ids))

    def _count(self, reason: str, number: int) -> None:
        self._db.execute(
            "INSERT INTO dropped (reason, n) VALUES (?, ?)"
            " ON CONFLICT (reason) DO UPDATE SET n = n + excluded.n",
            (reason, number),
        )


def peek(path: Path) -> Level | None:
    """Return how full an outbox is, whether or not an agent uses it; None if there is none.

    Raises:
        NoSpaceError: It cannot be read.
    """
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5.0)) as file:
            rows, size, oldest = file.execute(
                "SELECT COUNT(*), TOTAL(LENGTH(data)), MIN(stored_s) FROM item"
            ).fetchone()
            dropped = dict(file.execute("SELECT reason, n FROM dropped").fetchall())
    except sqlite3.Error as error:
        remedy = "If it is damaged, the agent puts it aside at its next start."
        raise NoSpaceError(f"{path}: {error}", remedy=remedy) from error
    return Level(rows, int(size) + ROW_BYTES * rows, oldest, dropped)


@dataclass(frozen=True, slots=True)
class _Gone:
    """What a transaction gave up."""

    rows: int = 0
    size_bytes: int = 0

    def __add__(self, other: "_Gone") -> "_Gone":
        return _Gone(self.rows + other.rows, self.size_bytes + other.size_bytes)


@dataclass(slots=True)
class _Tally:
    """What a transaction adds, on the whole."""

    rows: int = 0
    size_bytes: int = 0

    def add(self, rows: int, size_bytes: int) -> None:
        self.rows += rows
        self.size_bytes += size_bytes


def _size_of(entries: Sequence[Entry]) -> int:
    return sum(len(entry.data) + ROW_BYTES for entry in entries)


def _count_ages(database: sqlite3.Connection) -> None:
    """Make room for ages in a file of an agent before they were counted."""
    known = {row[1] for row in database.execute("PRAGMA table_info(item)")}
    if known and "until_s" not in known:
        database.execute("ALTER TABLE item ADD COLUMN until_s REAL")
