"""Two results agree or not, and a comparison is decided: by table."""

from typing import Any

import pytest

from skerry_agent.core.shadow import Tally, agrees, describe
from skerry_contract.manifest import Shadow


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (100, 101, True),
        (100, 102, False),
        (-100, -101, True),
        (0, 0.001, False),
        (True, 1, False),
        (1, True, False),
        ("a", "a", True),
        ("a", "b", False),
        (None, None, True),
        (None, 0, False),
        ([1, 2], [1, 2], True),
        ([1, 2], [1], False),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ({"a": {"b": [100.0]}}, {"a": {"b": [100.5]}}, True),
        ({"a": 1}, [1], False),
    ],
)
def test_what_agrees(old: Any, new: Any, *, expected: bool) -> None:
    assert agrees(old, new, 0.01) == expected


def tally(agreed: int, differed: int, *, new_ms: float = 10.0, **settings: int) -> Tally:
    made = Tally(Shadow(**settings))
    for number in range(agreed + differed):
        made.add(1, 1 if number < agreed else 2, old_ms=10.0, new_ms=new_ms)
    return made


@pytest.mark.parametrize(
    ("found", "refused"),
    [
        (tally(0, 0), False),
        (tally(19, 1, agree_percent=95), False),
        (tally(18, 2, agree_percent=95), True),
        (tally(0, 1, agree_percent=1), True),
        (tally(0, 20, agree_percent=0), False),
        (tally(20, 0, new_ms=1000.0), False),
        (tally(20, 0, new_ms=15.0, slower_percent=50), False),
        (tally(20, 0, new_ms=15.1, slower_percent=50), True),
        (tally(0, 0, slower_percent=0), False),
    ],
)
def test_what_is_refused(found: Tally, *, refused: bool) -> None:
    assert bool(found.refusal()) == refused


def test_a_comparison_is_full_at_its_inputs_and_shows_some_differences() -> None:
    found = tally(3, 7, inputs=10)
    assert found.is_full
    assert len(found.differences) == 5
    assert found.differences[0] == "old: 1\nnew: 2"
    assert describe(found.report()) == "agreed on 3 of 10 inputs, 10.0 ms against 10.0 ms"
    assert not tally(3, 6, inputs=10).is_full
