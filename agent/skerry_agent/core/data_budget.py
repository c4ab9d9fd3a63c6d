"""How much of a month's data is used up, by cause; no I/O and no clock.

A month begins on a day of the calendar that the operator's tariff names. Devices without a battery
for their clock begin in 1970 at every start, and some clocks jump: what was used is only forgotten
when the month really goes forward.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from skerry_contract.messages import DataUse

EARLIEST = date(2024, 1, 1)
"""A clock that shows less was never set."""
LEAST_SLICE_BYTES = 4 * 1024
MOST_SLICE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was used since a month began.

    Attributes:
        since: First day of the month.
        used: Bytes by cause.
    """

    since: date = date.min
    used: Mapping[str, DataUse] = field(default_factory=dict)

    def total(self, cause: str) -> int:
        """Return the bytes that a cause has used, sent and received together."""
        used = self.used.get(cause, DataUse())
        return used.sent + used.received

    def plus(self, cause: str, *, sent: int = 0, received: int = 0) -> "Ledger":
        """Return the ledger with more bytes of a cause."""
        then = self.used.get(cause, DataUse())
        now = DataUse(then.sent + sent, then.received + received)
        return Ledger(self.since, {**self.used, cause: now})


def month_of(today: date, first_day: int) -> date:
    """Return the first day of the month that ``today`` is in.

    Args:
        today: A day.
        first_day: Day of the calendar's months on which ours begin, 1 to 28.
    """
    if today.day >= first_day:
        return today.replace(day=first_day)
    if today.month > 1:
        return today.replace(month=today.month - 1, day=first_day)
    return today.replace(year=max(1, today.year - 1), month=12, day=first_day)


def next_month(since: date) -> date:
    """Return the day on which the month after the one that began on ``since`` begins."""
    year, month = (since.year, since.month + 1) if since.month < 12 else (since.year + 1, 1)
    return since.replace(year=min(year, 9999), month=month)


def turn(ledger: Ledger, today: date, *, first_day: int = 1) -> Ledger:
    """Return the ledger as it counts on ``today``: empty if a later month has begun.

    A clock that goes back forgives nothing: the bytes stay, and count for the earlier month. A
    clock that was never set changes nothing.
    """
    month = month_of(today, first_day)
    if month > ledger.since:
        return Ledger(month)
    if month < ledger.since and today >= EARLIEST:
        return Ledger(month, ledger.used)
    return ledger


def slice_bytes(limit: int) -> int:
    """Return how far what is written down may be ahead of what was used, in bytes.

    A crash costs at most that much of a budget, and a file is written once for so many bytes.

    Args:
        limit: Budget of the month in bytes, 0 for none.
    """
    return (
        min(MOST_SLICE_BYTES, max(LEAST_SLICE_BYTES, limit // 1000))
        if limit
        else (MOST_SLICE_BYTES)
    )
