"""Keep telemetry within its bounds, so that a busy fleet cannot fill the disk unseen."""

import logging

from sqlalchemy import Connection, delete, func, select, tuple_

from skerry_cloud.database import Database, next_number, positions, telemetry

log = logging.getLogger(__name__)

MAX_STREAMS = 1000
"""Boots and streams of one device whose position is remembered; the newest stay."""
_CHECK_EVERY = 20_000
"""Items after which the bounds are looked at."""


class Retention:
    """Deletes the oldest telemetry when there is too much of it.

    Args:
        database: Where it is.
        rows: Items to keep, above 0; up to ``_CHECK_EVERY`` more may stand for a while.
        size_bytes: Bytes of their data to keep, above 0.
    """

    def __init__(self, database: Database, *, rows: int, size_bytes: int) -> None:
        self._database = database
        self._rows = rows
        self._bytes = size_bytes
        self._since = _CHECK_EVERY
        self._bytes_since = size_bytes

    def count(self, items: int, size_bytes: int) -> None:
        """Note what was stored, and tidy up now and then."""
        self._since += items
        self._bytes_since += size_bytes
        if self._since >= min(_CHECK_EVERY, self._rows) or self._bytes_since >= self._bytes // 10:
            self._since = self._bytes_since = 0
            self.tidy()

    def tidy(self) -> int:
        """Bring the store within its bounds; return how many items went."""
        with self._database.write() as connection:
            gone = _trim_rows(connection, self._rows)
            while (size := _total(connection)) > self._bytes:
                rows = connection.scalar(select(func.count()).select_from(telemetry)) or 0
                # The oldest give way by the share that is too much, one row at least.
                keep = min(rows - 1, int(rows * self._bytes / size))
                gone += _trim_rows(connection, keep)
            _forget_old_boots(connection)
            if gone:
                next_number(connection, "telemetry-trimmed", "")
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


def _total(connection: Connection) -> int:
    return connection.scalar(select(func.sum(func.length(telemetry.c.data)))) or 0


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
