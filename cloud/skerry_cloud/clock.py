"""The time, as something that is passed in."""

from collections.abc import Callable
from datetime import UTC, datetime

from skerry_contract.desired import write_time

Clock = Callable[[], float]
"""Gives the time now, in seconds since 1970 (UTC)."""


def moment(seconds: float) -> datetime:
    """Return a stored time as a date."""
    return datetime.fromtimestamp(seconds, UTC)


def text(seconds: float) -> str:
    """Return a stored time as people read it: RFC 3339, UTC, whole seconds."""
    return write_time(moment(seconds))
