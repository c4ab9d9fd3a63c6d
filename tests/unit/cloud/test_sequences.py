"""What is new, lost and acknowledged: by table, and by its three promises over any batches."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_cloud.ingest.sequences import MAX_ISLANDS, Position, advance

_TOP = 2**63 - 1


@pytest.mark.parametrize(
    ("before", "floor", "numbers", "after", "fresh"),
    [
        pytest.param(Position(), 1, [1, 2, 3], Position(3), {1, 2, 3}, id="the first batch"),
        pytest.param(Position(3), 1, [2, 3, 4], Position(4), {4}, id="an overlapping repeat"),
        pytest.param(Position(3), 1, [1, 2], Position(3), set(), id="nothing but repeats"),
        pytest.param(Position(3), 1, [6, 7], Position(3, ((6, 7),)), {6, 7}, id="a gap"),
        pytest.param(Position(3, ((6, 7),)), 1, [5], Position(3, ((5, 7),)), {5}, id="a run grows"),
        pytest.param(Position(3, ((5, 7),)), 1, [4], Position(7), {4}, id="the gap closes"),
        pytest.param(Position(3), 6, [6], Position(6, (), 2), {6}, id="lost below the floor"),
        pytest.param(
            Position(3, ((5, 5),)), 8, [9], Position(7, ((9, 9),), 3), {9}, id="lost but for one"
        ),
        pytest.param(Position(9), 4, [10], Position(10), {10}, id="an old floor changes nothing"),
        pytest.param(
            Position(), _TOP, [_TOP], Position(_TOP, (), _TOP - 1), {_TOP}, id="the largest number"
        ),
    ],
)
def test_a_batch_moves_the_position(
    before: Position, floor: int, numbers: list[int], after: Position, fresh: set[int]
) -> None:
    step = advance(before, floor, numbers)
    assert (step.position, set(step.fresh)) == (after, fresh)
    assert sum(last - first + 1 for first, last in step.gaps) == after.lost - before.lost


_Batches = st.lists(
    st.tuples(st.integers(1, 25), st.lists(st.integers(1, 40), min_size=1, max_size=12)),
    max_size=20,
)


@settings(max_examples=400)
@given(_Batches)
def test_any_batches_are_stored_once_and_never_acknowledged_too_far(
    batches: list[tuple[int, list[int]]],
) -> None:
    position, stored, gaps, floor = Position(), list[int](), set[int](), 1
    for raise_by, numbers in batches:
        # A device's floor only grows, and it sends nothing below it.
        floor = max(floor, raise_by)
        sent = [n for n in numbers if n >= floor] or [floor]
        before = position
        step = advance(position, floor, sent)
        position = step.position
        stored += sorted(step.fresh)

        assert position.through >= before.through
        assert len(stored) == len(set(stored)), "an item counted as new twice"
        gaps.update(n for first, last in step.gaps for n in range(first, last + 1))
        unaccounted = set(range(1, position.through + 1)) - set(stored)
        assert position.lost == len(unaccounted)
        assert gaps == unaccounted, "the gaps do not name what is lost"
        assert all(n < floor for n in unaccounted), "an item that may still come is acknowledged"
        assert set(sent) <= set(stored), "an item was neither new nor known"


def test_what_a_stream_leaves_open_is_remembered_within_bounds() -> None:
    position = Position()
    for n in range(3, 10_000, 2):
        position = advance(position, 1, [n]).position
    assert len(position.above) == MAX_ISLANDS

    # An honest device still gets on: it sends what follows the acknowledgement.
    step = advance(position, 1, [1, 2, 3, 4])
    assert step.fresh == {1, 2, 4}
    assert step.position.through == 5
