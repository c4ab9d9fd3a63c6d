"""Wait for something to become true, and fail instead of waiting for ever."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")


def eventually(
    predicate: Callable[[], T | None],
    within_s: float = 10.0,
    *,
    every_s: float = 0.02,
    why: str = "",
) -> T:
    """Return the first true value of ``predicate``; the test fails if none comes in time."""
    deadline = time.monotonic() + within_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            pytest.fail(f"not within {within_s:g} s: {why or predicate}; last seen: {value!r}")
        time.sleep(every_s)
