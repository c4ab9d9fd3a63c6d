"""Read what devices have sent: items in the order in which they were stored."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from skerry_cloud.database import Database, telemetry

EVENTS = "event"
"""First part of the stream path of a device's own events."""
SCORING_FAILED = "scoring-failed"
"""Type of the event that says that a module did not answer a request with a score."""
MAX_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Query:
    """Which items are asked for; what is empty is not asked about.

    Attributes:
        device: Id of the device.
        module: Name of the module on the device.
        stream: Name of the stream.
        limit: At most so many, from 1 to ``MAX_LIMIT``.
    """

    device: str = ""
    module: str = ""
    stream: str = ""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored item.

    Attributes:
        cursor: Where it stands in the order of all.
        device: Who sent it.
        source: Name of the module, or ``event``.
        stream: Name of the stream, or type of the event.
        boot: Boot under which the device stored it.
        seq: Its number in that boot and stream.
        ts: When, by the device's clock.
        hist: Whether it was sent late.
        received: When it was stored here, in seconds since 1970.
        data: What was sent.
    """

    cursor: int
    device: str
    source: str
    stream: str
    boot: str
    seq: int
    ts: str
    hist: bool
    received: float
    data: Any


@dataclass(frozen=True, slots=True)
class Failures:
    """How often a module failed to score.

    Attributes:
        count: Times.
        text: What happened last.
    """

    count: int
    text: str


class Telemetry:
    """Everything that is stored of streams and events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def after(self, query: Query, cursor: int) -> list[Entry]:
        """Return the oldest items that follow ``cursor``, oldest first."""
        wanted = _filtered(query).where(telemetry.c.id > cursor).order_by(telemetry.c.id)
        with self._database.read() as connection:
            return _entries(connection, wanted.limit(query.limit))

    def newest(self, query: Query) -> list[Entry]:
        """Return the newest items, oldest first; events only if they are asked for."""
        wanted = _filtered(query).order_by(telemetry.c.id.desc()).limit(query.limit)
        with self._database.read() as connection:
            return _entries(connection, wanted)[::-1]

    def end(self) -> int:
        """Return the cursor of the newest item of all; 0 if there is none."""
        with self._database.read() as connection:
            last = select(telemetry.c.id).order_by(telemetry.c.id.desc()).limit(1)
            return connection.scalar(last) or 0

    def events(self, device: str, limit: int) -> list[Entry]:
        """Return the newest events of a device, newest first."""
        return self.newest(Query(device=device, module=EVENTS, limit=limit))[::-1]


def failures(events: Iterable[Entry], since: float) -> dict[str, Failures]:
    """Count by module what was received from ``since`` on; ``events`` come oldest first."""
    found: dict[str, Failures] = {}
    for event in events:
        if event.received >= since and isinstance(event.data, dict):
            module, text = (str(event.data.get(key, "")) for key in ("module", "text"))
            known = found.get(module)
            found[module] = Failures(known.count + 1 if known else 1, text)
    return found


def _filtered(query: Query) -> Select[Any]:
    wanted = select(telemetry)
    if query.device:
        wanted = wanted.where(telemetry.c.device == query.device)
    if query.module and query.stream:
        wanted = wanted.where(telemetry.c.stream == f"{query.module}/{query.stream}")
    elif query.module:
        wanted = wanted.where(telemetry.c.stream.startswith(f"{query.module}/"))
    elif query.stream:
        wanted = wanted.where(telemetry.c.stream.endswith(f"/{query.stream}"))
    if not query.module:
        wanted = wanted.where(~telemetry.c.stream.startswith(f"{EVENTS}/"))
    return wanted


def _entries(connection: Connection, wanted: Select[Any]) -> list[Entry]:
    return [_entry(row) for row in connection.execute(wanted)]


def _entry(row: Row[Any]) -> Entry:
    source, _, stream = row.stream.partition("/")
    return Entry(
        row.id,
        row.device,
        source,
        stream,
        row.boot,
        row.seq,
        row.ts,
        row.hist,
        row.received,
        json.loads(row.data),
    )
