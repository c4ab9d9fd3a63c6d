"""Results on their way to other modules and to brokers: queues on the disk, each with a bound.

``put`` returns once all of it is synced, so the module that made the results may forget them.
Items leave when whoever they are for says so; what was taken and not answered for comes again.
Within a queue the most important goes first, then the oldest.
"""

import os
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from skerry_agent.core.routing import Destination
from skerry_agent.database_file import DatabaseFile
from skerry_contract.errors import NoSpaceError

MAX_QUEUE_BYTES = 8 * 1024 * 1024
"""Default of the bytes of results that one queue holds."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS item (
  id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, priority INTEGER NOT NULL,
  expires_s REAL NOT NULL, subject TEXT NOT NULL, data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS item_order ON item (queue, priority, id);
CREATE TABLE IF NOT EXISTS counter (
  queue TEXT NOT NULL, what TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (queue, what)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Item:
    """A result in a queue.

    Attributes:
        id: Its number.
        subject: Where it comes from, or the topic that it goes to.
        data: Its JSON.
    """

    id: int
    subject: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Level:
    """How a queue stands.

    Attributes:
        rows: Results that wait.
        size_bytes: Bytes of their data.
        counted: Results since the queue was made, by what became of them: ``delivered``,
            ``expired`` or ``full``.
    """

    rows: int
    size_bytes: int
    counted: dict[str, int]


class RouteQueues:
    """All queues of a device in one SQLite file; safe to use from several threads.

    Args:
        path: Where the file lies; its folder exists.
        limit_bytes: Most bytes of data that one queue holds.

    Raises:
        NoSpaceError: The file cannot be opened or made.
    """

    def __init__(self, path: Path, *, limit_bytes: int = MAX_QUEUE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._watching = threading.Lock()
        self._watchers: set[int] = set()
        self._file = DatabaseFile(path, _SCHEMA, cache_kib=128)
        self._db = self._file.connection

    def check_room(self, items: Sequence[tuple[Destination, bytes]], *, now_s: float) -> None:
        """Refuse results if a queue that makes its sources wait has no room for them.

        Raises:
            NoSpaceError: It has none.
        """
        needed: dict[str, int] = {}
        for destination, data in items:
            if destination.when_full == "wait":
                needed[destination.name] = needed.get(destination.name, 0) + len(data)
        if not needed:
            return
        with self._file.writing(synced=False):
            for name, size in needed.items():
                self._expire(name, now_s)
                if self._size(name) + size > self._limit_bytes:
                    raise NoSpaceError(
                        f"{name}: {self._limit_bytes} bytes of results wait for it",
                        remedy="See why it does not take them, or set when_full to drop-oldest.",
                    )

    def put(self, items: Sequence[tuple[Destination, bytes]], *, now_s: float) -> None:
        """Queue results, each with its destination, and return when they are on the disk.

        Where a queue is full, what is least important and oldest in it is given up and counted.

        Args:
            items: What to queue.
            now_s: The time in seconds since 1970.

        Raises:
            NoSpaceError: The disk is full.
        """
        with self._file.writing():
            self._db.executemany(
                "INSERT INTO item (queue, priority, expires_s, subject, data)"
                " VALUES (?, ?, ?, ?, ?)",
                [(to.name, to.priority, now_s + to.ttl_s, to.subject, data) for to, data in items],
            )
            for name in {to.name for to, _ in items}:
                self._make_room(name, now_s)
        self._wake()

    def waiting(self, queue: str, *, but: Collection[int], limit: int, now_s: float) -> list[Item]:
        """Return up to ``limit`` results that wait in a queue, those that go first at first.

        Args:
            queue: Which queue.
            but: Numbers of results that are under way already.
            limit: How many.
            now_s: The time in seconds since 1970.
        """
        with self._file.reading():
            rows = self._db.execute(
                "SELECT id, subject, data FROM item WHERE queue = ? AND expires_s > ?"
                " ORDER BY priority, id LIMIT ?",
                (queue, now_s, limit + len(but)),
            ).fetchall()
        return [Item(*row) for row in rows if row[0] not in but][:limit]

    def done(self, queue: str, ids: Collection[int]) -> None:
        """Forget results of a queue: whoever they were for has them."""
        with self._file.writing(synced=False):
            gone = 0
            for one in ids:
                where = "DELETE FROM item WHERE queue = ? AND id = ?"
                gone += self._db.execute(where, (queue, one)).rowcount
            self._count(queue, "delivered", gone)

    def levels(self) -> dict[str, Level]:
        """Return how every queue stands that holds something, or once did."""
        with self._file.reading():
            rows = self._db.execute(
                "SELECT queue, COUNT(*), TOTAL(LENGTH(data)) FROM item GROUP BY queue"
            ).fetchall()
            counts = self._db.execute("SELECT queue, what, n FROM counter").fetchall()
        held = {queue: (count, int(size)) for queue, count, size in rows}
        found: dict[str, dict[str, int]] = {queue: {} for queue in held}
        for queue, what, count in counts:
            found.setdefault(queue, {})[what] = count
        return {name: Level(*held.get(name, (0, 0)), counted) for name, counted in found.items()}

    @contextmanager
    def watched(self, watcher: int) -> Iterator[None]:
        """Write to ``watcher``, an eventfd(2), whenever something is queued."""
        with self._watching:
            self._watchers.add(watcher)
        try:
            yield
        finally:
            with self._watching:
                self._watchers.discard(watcher)

    def close(self) -> None:
        """Close the file; nothing is lost by not doing so."""
        self._file.close()

    def _wake(self) -> None:
        with self._watching:
            for watcher in self._watchers:
                with suppress(OSError):  # full: it is readable already
                    os.eventfd_write(watcher, 1)

    def _size(self, queue: str) -> int:
        (size,) = self._db.execute(
            "SELECT TOTAL(LENGTH(data)) FROM item WHERE queue = ?", (queue,)
        ).fetchone()
        return int(size)

    def _expire(self, queue: str, now_s: float) -> None:
        where = "DELETE FROM item WHERE queue = ? AND expires_s <= ?"
        self._count(queue, "expired", self._db.execute(where, (queue, now_s)).rowcount)

    def _make_room(self, queue: str, now_s: float) -> None:
        self._expire(queue, now_s)
        over = self._size(queue) - self._limit_bytes
        victims = []
        for row, size in self._db.execute(
            "SELECT id, LENGTH(data) FROM item WHERE queue = ? ORDER BY priority DESC, id", (queue,)
        ):
            if over <= 0:
                break
            victims.append((row,))
            over -= size
        self._db.executemany("DELETE FROM item WHERE id = ?", victims)
        self._count(queue, "full", len(victims))

    def _count(self, queue: str, what: str, number: int) -> None:
        if number > 0:
            self._db.execute(
                "INSERT INTO counter (queue, what, n) VALUES (?, ?, ?)"
                " ON CONFLICT (queue, what) DO UPDATE SET n = n + excluded.n",
                (queue, what, number),
            )


def now() -> float:
    """Return the time in seconds since 1970, by which results expire."""
    return time.time()
