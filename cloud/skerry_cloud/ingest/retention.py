"""Keep telemetry within its bounds, so that a busy fleet cannot fill the disk unseen."""

import logging

from sqlalchemy import Connection, delete, func, select, tuple_

from skerry_cloud.database import Database, positions, telemetry
from skerry_cloud.ingest.gaps import forget_old_gaps

log = logging.getLogger(__name__)

MAX_STREAMS = 1000
"""Boots and streams of one device whose position is remembered; the newest stay."""
_ROOM = 0.9
"""Share of the bounds that is kept when they are reached: counting anew takes a while."""


class Retention:
    """Deletes the oldest telemetry when there is too much of it.

    Args:
        database: Where it is.
        rows: Items to keep, above 0.
        size_bytes: Bytes of their data to keep, above 0.
    """

    def __init__(self, database: Database, *, rows: int, size_bytes: int) -> None:
        self._database = database
        self._rows = rows
        self._bytes = size_bytes
        # At most so much is stored: what is deleted elsewhere is noticed at the next look.
        self._stored: tuple[int, int] | None = None

    def count(self, items: int, size_bytes: int) -> None:
        """Note what was stored, and tidy up when it is too much."""
        if self._stored is None:
            self.tidy()
        rows, size = self._stored or (0, 0)
        self._stored = rows + items, size + size_bytes
        if rows + items > self._rows or size + size_bytes > self._bytes:
            self.tidy()

    def tidy(self) -> int:
        """Bring the store within its bounds; return how many items went."""
        gone = 0
        with self._database.write() as connection:
            rows, size = _stored(connection)
            if rows > self._rows:
                gone += _trim_rows(connection, int(self._rows * _ROOM))
                rows, size = _stored(connection)
            while size > self._bytes:
                # The oldest give way by the share that is too much, one at least.
                share = self._bytes * _ROOM / size
                gone += _trim_rows(connection, min(rows - 1, int(rows * share)))
                rows, size = _stored(connection)
            _forget_old_boots(connection)
            forget_old_gaps(connection)
            self._stored = rows, size
        if gone:
            log.warning("telemetry: deleted the %d oldest items, to stay within bounds", gone)
        return gone


def _trim_rows(connection: Connection, keep: int) -> int:
    """Delete all but the newest ``keep`` rows."""
    newest = select(telemetry.c.id).order_by(telemetry.c.id.desc()).offset(keep).limit(1)
    last = connection.scalar(newest)
    if last is None:
        return 0
    return connection.execute(delete(telemetry).where(telemetry.c.id <= last)).rowcount


def _stored(connection: Connection) -> tuple[int, int]:
    """Return how many items there are, and how many characters of data."""
    size = func.coalesce(func.sum(func.length(telemetry.c.data)), 0)
    row = connection.execute(select(func.count(), size).select_from(telemetry)).one()
    return int(row[0]), int(row[1])


def _forget_old_boots(connection: Connection) -> None:
    table = positions.c
    crowded = select(table.device).group_by(table.device).having(func.count() > MAX_STREAMS)
    for device in list(connection.scalars(crowded)):
        oldest = (
            select(table.device, table.boot, table.stream)
            .where(table.device == device)
            .order_by(table.updated.desc())
            .offset(MAX_STREAMS)
        )
        keys = [tuple(row) for row in connection.execute(oldest)]
        for start in range(0, len(keys), 200):
            part = keys[start : start + 200]
            connection.execute(
                delete(positions).where(tuple_(table.device, table.boot, table.stream).in_(part))
            )
