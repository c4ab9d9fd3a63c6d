"""Pauses between attempts: they grow, they end growing, and no two devices share them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_agent.core.backoff import delay_s


def highest(_low: float, high: float) -> float:
    return high


def lowest(low: float, _high: float) -> float:
    return low


@pytest.mark.parametrize(
    ("failures", "bound"), [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (11, 300), (10**6, 300)]
)
def test_the_bound_doubles_up_to_the_cap(failures: int, bound: float) -> None:
    assert delay_s(failures, draw=highest) == bound
    assert delay_s(failures, draw=lowest) == bound / 2


def test_base_and_cap_are_the_callers() -> None:
    assert [delay_s(n, base_s=30, cap_s=100, draw=highest) for n in (1, 2, 3)] == [30, 60, 100]


@given(st.integers(1, 10_000), st.floats(0.001, 100), st.floats(100, 10_000))
def test_no_pause_is_immediate_or_above_the_cap(failures: int, base_s: float, cap_s: float) -> None:
    pause = delay_s(failures, base_s=base_s, cap_s=cap_s)
    assert base_s / 2 <= pause <= cap_s


def test_pauses_are_drawn_anew_each_time() -> None:
    assert len({delay_s(8) for _ in range(20)}) > 1
