"""How fast and how slowly: the arithmetic of deadlines, floors and limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_agent.core.pace import Bucket, Floor, Pace


@pytest.mark.parametrize(
    ("size", "pace", "seconds"),
    [
        pytest.param(1, Pace(), 60.0, id="the smallest has its least"),
        pytest.param(2**31, Pace(), 2**31 / 4096, id="2 GiB has six days"),
        pytest.param(10**6, Pace(limit_bytes_s=2000), 1000.0, id="our own limit gives more time"),
        pytest.param(10**6, Pace(limit_bytes_s=10**9), 10**6 / 4096, id="a high limit does not"),
    ],
)
def test_the_deadline_grows_with_the_size(size: int, pace: Pace, seconds: float) -> None:
    assert pace.seconds_for(size) == seconds


def test_a_drip_of_one_byte_a_second_ends_after_one_window() -> None:
    floor, ended = Floor(Pace(floor_bytes_s=256, window_s=60), since=0.0), 0
    for second in range(1, 1000):
        floor.took(1)
        if floor.is_too_slow(float(second)):
            ended = second
            break
    assert ended == 60


def test_what_is_just_fast_enough_goes_on_for_ever() -> None:
    floor = Floor(Pace(floor_bytes_s=256, window_s=60), since=0.0)
    for second in range(1, 10_000):
        floor.took(256)
        assert not floor.is_too_slow(float(second))


def test_a_fast_start_does_not_pay_for_a_drip_for_ever() -> None:
    floor = Floor(Pace(floor_bytes_s=256, window_s=60), since=0.0)
    floor.took(10**9)
    assert not floor.is_too_slow(60.0)
    floor.took(60)
    assert floor.is_too_slow(120.0)


def test_our_own_rests_are_not_held_against_the_server() -> None:
    floor = Floor(Pace(floor_bytes_s=256, window_s=60), since=0.0)
    floor.took(256 * 60)
    floor.rested(1000.0)
    assert not floor.is_too_slow(1060.0)


@given(
    st.floats(1, 10**9),
    st.lists(st.tuples(st.integers(1, 65536), st.floats(0, 10)), min_size=1, max_size=200),
)
def test_a_limit_holds_over_any_series_of_pieces(
    rate: float, pieces: list[tuple[int, float]]
) -> None:
    bucket, now, taken = Bucket(rate), 100.0, 0
    for count, idle in pieces:
        now += idle
        now += bucket.take(count, now)
        taken += count
        # One second's worth may come at once; the rest at the rate.
        assert taken <= rate * (now - 100.0 + 1.0) * 1.000001 + 1


def test_no_limit_never_rests() -> None:
    assert Bucket(0).take(10**12, 0.0) == 0.0
