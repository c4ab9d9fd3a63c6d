"""How much time has passed on a device whose clock may be wrong by years, and that was off.

Ages are counted in seconds of a clock of our own, which only goes forward. While the machine runs,
the kernel's count since its start is exact and nothing can set it. Over a reboot there is only the
wall clock, which may jump by ten years either way: of the time that it says the device was off, a
day at most is believed. So what is kept for a week may be kept longer by a device that was off for
long, and is never given up early.

| since the mark | wall clock says | the clock goes on by |
|---|---|---|
| same run of the machine | anything | what the kernel counted |
| the machine was started again | less than the kernel counts since | what the kernel counts since |
| | more | that, but at most a day above what the kernel counts since |
"""

from dataclasses import dataclass
from typing import Annotated

from skerry_contract.shape import Range, Text

MAX_OFF_S = 24 * 3600.0
"""Seconds that a device is believed to have been off, at most."""

_Seconds = Annotated[float, Range(0, 1e12)]


@dataclass(frozen=True, slots=True)
class Moment:
    """What the clocks of the machine say.

    Attributes:
        machine: The kernel's id of this run of the machine.
        up_s: Seconds that it counts since, sleep included.
        wall_s: Seconds since 1970 by the wall clock.
    """

    machine: Annotated[str, Text(max_length=64)]
    up_s: _Seconds
    wall_s: Annotated[float, Range(-1e12, 1e12)]


@dataclass(frozen=True, slots=True)
class Mark:
    """What our clock said at some moment.

    Attributes:
        age_s: Our clock.
        moment: Those of the machine.
    """

    age_s: _Seconds
    moment: Moment


def resumed(mark: Mark, now: Moment) -> float:
    """Return what our clock says now, given what it said once; never less than that."""
    last = mark.moment
    if now.machine == last.machine and now.machine:
        return mark.age_s + max(0.0, now.up_s - last.up_s)
    by_wall_s = now.wall_s - last.wall_s
    return mark.age_s + min(max(by_wall_s, now.up_s), now.up_s + MAX_OFF_S)
