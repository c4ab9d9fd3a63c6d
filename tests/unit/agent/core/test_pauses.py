"""What failed rests for a while, longer each time, and on its own."""

import pytest

from skerry_agent.core.pauses import Pauses


def test_what_never_failed_does_not_rest() -> None:
    pauses = Pauses()
    assert not pauses.holds("a", 0.0)
    assert pauses.failures("a") == 0
    assert pauses.next_end(0.0) is None


def test_a_failure_holds_until_its_pause_is_over() -> None:
    pauses = Pauses()
    pause = pauses.failed("a", now=100.0)
    assert 0.5 <= pause <= 1.0
    assert pauses.holds("a", 100.0)
    assert pauses.holds("a", 100.0 + pause - 0.001)
    assert not pauses.holds("a", 100.0 + pause)
    assert pauses.next_end(100.0) == pytest.approx(100.0 + pause)
    assert pauses.next_end(100.0 + pause) is None


def test_pauses_grow_with_failures_in_a_row_up_to_the_cap() -> None:
    pauses = Pauses(cap_s=20.0)
    found = [pauses.failed("a", now=0.0) for _ in range(10)]
    for n, pause in enumerate(found):
        bound = min(20.0, 2.0**n)
        assert bound / 2 <= pause <= bound
    assert pauses.failures("a") == 10


def test_a_failure_is_still_counted_after_its_pause_is_over() -> None:
    pauses = Pauses()
    pauses.failed("a", now=0.0)
    assert not pauses.holds("a", 1000.0)
    assert 1.0 <= pauses.failed("a", now=1000.0) <= 2.0


def test_a_success_ends_the_pause_and_the_row() -> None:
    pauses = Pauses()
    for _ in range(5):
        pauses.failed("a", now=0.0)
    pauses.passed("a")
    pauses.passed("never heard of")
    assert not pauses.holds("a", 0.0)
    assert pauses.failures("a") == 0
    assert pauses.failed("a", now=0.0) <= 1.0


def test_each_name_has_a_row_of_its_own() -> None:
    pauses = Pauses()
    pauses.failed(("start", "a"), now=0.0)
    assert not pauses.holds(("start", "b"), 0.0)
    assert not pauses.holds(("pull", "a"), 0.0)


def test_a_rest_that_was_asked_for_is_no_failure() -> None:
    pauses = Pauses()
    pauses.rest("a", until=50.0)
    assert pauses.holds("a", 49.9)
    assert not pauses.holds("a", 50.0)
    assert pauses.failures("a") == 0


def test_the_next_end_is_the_earliest_that_is_still_to_come() -> None:
    pauses = Pauses()
    for name, until in (("a", 30.0), ("b", 10.0), ("c", 20.0)):
        pauses.rest(name, until)
    assert [pauses.next_end(now) for now in (0.0, 10.0, 25.0, 30.0)] == [10.0, 20.0, 30.0, None]
