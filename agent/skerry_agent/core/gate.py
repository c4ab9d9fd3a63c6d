"""What holds the switch to another set of modules back: people, modules, and the time of the week.

Whatever holds it back holds back nothing else. Images are pulled, new versions are proven, what
runs is looked after, and a return to what ran before waits for nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from skerry_contract.manifest import Day, Window
from skerry_contract.messages import MAX_WAITS, Wait

MAX_LEASE_S = 30 * 86_400
"""Longest time for which somebody may hold the switch back without saying so again."""
MAX_LOCK_S = 86_400
"""The same for a module."""

Kind = Literal["hold", "lock", "override"]
_DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Hold:
    """Somebody's word on the switch, for a time.

    Attributes:
        kind: ``hold`` of a person, ``lock`` of a module, or ``override`` of a person, which lets
            the switch through whatever else there is.
        owner: Who says so.
        reason: Why.
        until: When it ends by itself, as the device's clock had it when it was said.
    """

    kind: Kind
    owner: str
    reason: str
    until: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, as the device's clock has it.

    Attributes:
        utc: The time, in UTC.
        local: The same in the device's own zone.
        is_trusted: Whether the clock is known not to be behind.
    """

    utc: datetime
    local: datetime
    is_trusted: bool = True


def waits(
    holds: Sequence[Hold], window_sets: Sequence[Sequence[Window]], moment: Moment
) -> tuple[Wait, ...]:
    """Return everything that holds the switch back now; nothing if it may be made.

    Args:
        holds: What people and modules have said.
        window_sets: One entry for each who names windows: of each that names any, one must be open.
        moment: Now.
    """
    if any(hold.kind == "override" for hold in holds):
        return ()
    said = [
        Wait(hold.kind, hold.owner, hold.reason, hold.until)
        for hold in sorted(holds, key=lambda hold: (hold.kind, hold.owner))
        if hold.kind != "override"
    ]
    named = [windows for windows in window_sets if windows]
    if named and not moment.is_trusted:
        said.append(Wait("clock", reason=_UNTRUSTED))
    elif named:
        closed = [one for one in named if not any(is_open(window, moment) for window in one)]
        said += [Wait("window", reason=", ".join(map(describe, one))[:500]) for one in closed]
    return tuple(said[:MAX_WAITS])


def is_open(window: Window, moment: Moment) -> bool:
    """Return whether a window is open.

    One that crosses midnight belongs to the day on which it opens; one that closes when it opens
    lasts for a whole day.
    """
    now = moment.local if window.zone == "local" else moment.utc
    clock, start, end = now.strftime("%H:%M"), window.start, window.end
    today, yesterday = _DAYS[now.weekday()], _DAYS[(now - timedelta(days=1)).weekday()]
    if start < end:
        return _is_on(window, today) and start <= clock < end
    return (_is_on(window, today) and clock >= start) or (_is_on(window, yesterday) and clock < end)


def describe(window: Window) -> str:
    """Return a window as people say it: ``mon tue 02:00-04:00 local time``."""
    zone = "local time" if window.zone == "local" else "UTC"
    return " ".join([*window.days, f"{window.start}-{window.end}", zone])


def describe_hold(hold: Hold) -> str:
    """Return a hold in words: ``hold of olga until 2026-01-31T12:00:00Z: the line runs``."""
    reason = f": {hold.reason}" if hold.reason else ""
    return f"{hold.kind} of {hold.owner} until {hold.until}{reason}"


def _is_on(window: Window, day: Day) -> bool:
    return not window.days or day in window.days


_UNTRUSTED = "the clock is behind the deployment's own time, so no window is known to be open"
