"""A month's data: what counts as a month, and what a clock that jumps may not do."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_agent.core.data_budget import (
    LEAST_SLICE_BYTES,
    MOST_SLICE_BYTES,
    Ledger,
    month_of,
    next_month,
    slice_bytes,
    turn,
)

NOVEMBER = date(2026, 11, 1)
USED = Ledger(NOVEMBER).plus("updates", sent=10, received=90).plus("logs", sent=5)


@pytest.mark.parametrize(
    ("today", "first_day", "since"),
    [
        pytest.param(date(2026, 11, 1), 1, date(2026, 11, 1), id="on the first"),
        pytest.param(date(2026, 11, 30), 1, date(2026, 11, 1), id="on the last"),
        pytest.param(date(2026, 11, 14), 15, date(2026, 10, 15), id="the day before"),
        pytest.param(date(2026, 11, 15), 15, date(2026, 11, 15), id="on the day"),
        pytest.param(date(2027, 1, 3), 28, date(2026, 12, 28), id="over the year's end"),
        pytest.param(date(1, 1, 1), 28, date(1, 12, 28), id="the first day that there is"),
    ],
)
def test_a_month_begins_on_the_day_of_the_tariff(today: date, first_day: int, since: date) -> None:
    assert month_of(today, first_day) == since


def test_the_next_month_follows_over_the_years_end() -> None:
    assert next_month(date(2026, 12, 15)) == date(2027, 1, 15)
    assert next_month(date(2026, 11, 28)) == date(2026, 12, 28)


@pytest.mark.parametrize(
    ("today", "after"),
    [
        pytest.param(date(2026, 11, 30), USED, id="the same month"),
        pytest.param(date(2026, 12, 1), Ledger(date(2026, 12, 1)), id="the next month"),
        pytest.param(date(1970, 1, 1), USED, id="a clock that was never set"),
        pytest.param(
            date(2026, 10, 31), Ledger(date(2026, 10, 1), USED.used), id="a clock that goes back"
        ),
        pytest.param(date(2036, 11, 5), Ledger(date(2036, 11, 1)), id="ten years forward"),
    ],
)
def test_only_a_month_that_went_forward_is_forgiven(today: date, after: Ledger) -> None:
    assert turn(USED, today) == after


def test_a_clock_that_jumps_ten_years_and_back_counts_on() -> None:
    there = turn(USED, date(2036, 11, 5)).plus("updates", sent=7)
    back = turn(there, date(2026, 11, 5))
    assert back == Ledger(NOVEMBER, there.used)
    assert turn(back, date(2026, 12, 1)).total("updates") == 0


@given(st.lists(st.dates(date(2024, 1, 1), date(2040, 1, 1)), max_size=20), st.integers(1, 28))
def test_within_one_month_nothing_that_a_clock_does_backwards_forgives_a_byte(
    days: list[date], first_day: int
) -> None:
    ledger = turn(Ledger(), date(2040, 1, 1), first_day=first_day).plus("logs", sent=3)
    for day in sorted(days, reverse=True):
        ledger = turn(ledger, day, first_day=first_day)
        assert ledger.total("logs") == 3
        assert ledger.since <= day < ledger.since + timedelta(days=31)


@pytest.mark.parametrize(
    ("limit", "slice_"),
    [(0, MOST_SLICE_BYTES), (1, LEAST_SLICE_BYTES), (10**7, 10**4), (10**12, MOST_SLICE_BYTES)],
)
def test_a_crash_costs_at_most_a_small_share_of_a_budget(limit: int, slice_: int) -> None:
    assert slice_bytes(limit) == slice_
