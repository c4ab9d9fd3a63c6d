"""What holds a switch back, by table."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from skerry_agent.core.gate import Hold, Moment, describe, is_open, waits
from skerry_contract.manifest import Window
from skerry_contract.messages import Wait

LISBON = timezone(timedelta(hours=1))
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
NIGHT = Window("02:00", "04:00", zone="utc")
ANY_TIME = Window("00:00", "00:00")


def at(text: str, *, trusted: bool = True) -> Moment:
    """Return a moment of that week, as in ``mon 03:59``, on a device an hour east of UTC."""
    day, _, clock = text.partition(" ")
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].index(day)
    hours, minutes = map(int, clock.split(":"))
    utc = NOON.replace(hour=hours, minute=minutes) + timedelta(days=days)
    return Moment(utc, utc.astimezone(LISBON), trusted)


@pytest.mark.parametrize(
    ("window", "moment", "opens"),
    [
        (("02:00", "04:00"), "mon 01:59", False),
        (("02:00", "04:00"), "mon 02:00", True),
        (("02:00", "04:00"), "mon 03:59", True),
        (("02:00", "04:00"), "mon 04:00", False),
        (("22:00", "02:00"), "mon 21:59", False),
        (("22:00", "02:00"), "mon 23:59", True),
        (("22:00", "02:00"), "tue 00:00", True),
        (("22:00", "02:00"), "tue 01:59", True),
        (("22:00", "02:00"), "tue 02:00", False),
        (("22:00", "02:00", ("fri",)), "fri 23:00", True),
        (("22:00", "02:00", ("fri",)), "sat 01:00", True),
        (("22:00", "02:00", ("fri",)), "fri 01:00", False),
        (("22:00", "02:00", ("fri",)), "sat 23:00", False),
        (("22:00", "02:00", ("sun",)), "mon 01:00", True),
        (("02:00", "04:00", ("tue", "wed")), "mon 03:00", False),
        (("02:00", "04:00", ("tue", "wed")), "wed 03:00", True),
        (("12:00", "12:00"), "mon 03:00", True),
        (("12:00", "12:00", ("mon",)), "mon 11:59", False),
        (("12:00", "12:00", ("mon",)), "tue 11:59", True),
    ],
)
def test_windows_in_utc(window: tuple[Any, ...], moment: str, *, opens: bool) -> None:
    days = window[2] if len(window) > 2 else ()
    assert is_open(Window(window[0], window[1], days, "utc"), at(moment)) == opens


def test_a_window_in_local_time_goes_by_the_device_s_own_zone() -> None:
    window = Window("02:00", "04:00", ("mon",))
    assert not is_open(window, at("mon 00:59"))
    assert is_open(window, at("mon 01:00"))
    assert not is_open(window, at("mon 03:00"))


HOLD = Hold("hold", "olga", "the line runs", "2026-03-02T13:00:00Z")
LOCK = Hold("lock", "coins", "", "2026-03-02T12:10:00Z")
OVERRIDE = Hold("override", "root", "", "2026-03-02T12:10:00Z")


@pytest.mark.parametrize(
    ("holds", "windows", "moment", "kinds"),
    [
        ([], [], at("mon 12:00"), []),
        ([], [(), ()], at("mon 12:00"), []),
        ([HOLD, LOCK], [], at("mon 12:00"), ["hold", "lock"]),
        ([HOLD, LOCK, OVERRIDE], [(NIGHT,)], at("mon 12:00"), []),
        ([], [(NIGHT,)], at("mon 12:00"), ["window"]),
        ([], [(NIGHT,)], at("mon 03:00"), []),
        ([], [(NIGHT, ANY_TIME)], at("mon 12:00"), []),
        ([], [(NIGHT,), (ANY_TIME,)], at("mon 12:00"), ["window"]),
        ([], [(NIGHT,), (NIGHT,)], at("mon 12:00"), ["window", "window"]),
        ([], [(ANY_TIME,)], at("mon 12:00", trusted=False), ["clock"]),
        ([HOLD], [], at("mon 12:00", trusted=False), ["hold"]),
    ],
)
def test_what_holds_a_switch_back(
    holds: list[Hold], windows: list[tuple[Window, ...]], moment: Moment, kinds: list[str]
) -> None:
    assert [wait.kind for wait in waits(holds, windows, moment)] == kinds


def test_however_many_hold_it_back_a_report_stays_short() -> None:
    holds = [Hold("hold", f"n{number}", "x" * 300, "") for number in range(100)]
    assert len(waits(holds, [], at("mon 12:00"))) == 20


@pytest.mark.parametrize(
    ("wait", "text"),
    [
        (waits([HOLD], [], at("mon 12:00"))[0], "hold of olga until 2026-03-02T13:00:00Z: "),
        (waits([], [(NIGHT,)], at("mon 12:00"))[0], "window 02:00-04:00 UTC"),
        (Wait("clock", reason="the clock is behind"), "the clock is behind"),
    ],
)
def test_it_is_said_in_words(wait: Wait, text: str) -> None:
    assert wait.text.startswith(text)


def test_a_window_is_said_as_people_say_it() -> None:
    assert describe(Window("22:00", "02:00", ("fri", "sat"))) == "fri sat 22:00-02:00 local time"
