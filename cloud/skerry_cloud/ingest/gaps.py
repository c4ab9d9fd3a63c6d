"""Which numbers of which streams never came, and never will."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update

from skerry_cloud.clock import Clock
from skerry_cloud.database import Database, gaps, positions
from skerry_cloud.fleet.devices import find_device
from skerry_cloud.ingest.sequences import Run

MAX_GAPS = 1000
"""Gaps of one device that are remembered, the newest; how much was lost is counted all the same."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that follow each other and are lost.

    Attributes:
        boot: Boot under which the device stored them.
        stream: ``module/stream`` or ``event/type``.
        first: The first of them.
        last: The last of them.
        noticed: When the device said that it does not hold them, in seconds since 1970.
    """

    boot: str
    stream: str
    first: int
    last: int
    noticed: float


@dataclass(frozen=True, slots=True)
class Losses:
    """What a device has lost.

    Attributes:
        gaps: The newest gaps, newest first.
        lost: Items lost by stream, of the boots that are remembered.
        stored: Numbers that are accounted for by stream, of the same boots.
    """

    gaps: tuple[Gap, ...]
    lost: dict[str, int]
    stored: dict[str, int]


class Gaps:
    """The gaps of all devices."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def of_device(self, device: str, limit: int) -> Losses:
        """Return what a device has lost.

        Raises:
            NotFoundError: There is no such device.
        """
        order = (gaps.c.noticed.desc(), gaps.c.boot, gaps.c.stream, gaps.c.first)
        wanted = select(gaps).where(gaps.c.device == device).order_by(*order).limit(limit)
        sums = (
            select(
                positions.c.stream,
                func.sum(positions.c.lost).label("lost"),
                func.sum(positions.c.through).label("through"),
            )
            .where(positions.c.device == device)
            .group_by(positions.c.stream)
            .order_by(positions.c.stream)
        )
        with self._database.read() as connection:
            find_device(connection, device, self._clock())
            found = tuple(
                Gap(row.boot, row.stream, row.first, row.last, row.noticed)
                for row in connection.execute(wanted)
            )
            totals = list(connection.execute(sums))
        lost = {row.stream: int(row.lost) for row in totals if row.lost}
        return Losses(found, lost, {row.stream: int(row.through - row.lost) for row in totals})


def keep_gaps(
    connection: Connection, key: tuple[str, str, str], found: Iterable[Run], now: float
) -> None:
    """Remember gaps of a device, boot and stream; one that follows another makes it longer."""
    device, boot, stream = key
    table = gaps.c
    mine = (table.device == device) & (table.boot == boot) & (table.stream == stream)
    for first, last in found:
        before = mine & (table.last == first - 1)
        longer = update(gaps).where(before).values({"last": last, "noticed": now})
        if not connection.execute(longer).rowcount:
            row = {"device": device, "boot": boot, "stream": stream, "first": first}
            connection.execute(gaps.insert(), {**row, "last": last, "noticed": now})


def forget_old_gaps(connection: Connection) -> None:
    """Delete the oldest gaps of devices that have very many."""
    table = gaps.c
    crowded = select(table.device).group_by(table.device).having(func.count() > MAX_GAPS)
    for device in list(connection.scalars(crowded)):
        noticed = (
            select(table.noticed)
            .where(table.device == device)
            .order_by(table.noticed.desc())
            .offset(MAX_GAPS)
            .limit(1)
        )
        last = connection.scalar(noticed)
        old = (table.device == device) & (table.noticed <= last)
        connection.execute(delete(gaps).where(old))
