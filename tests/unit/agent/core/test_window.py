"""The window: batches, what is under way, and that nothing is acknowledged away unsent."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from skerry_agent.core.window import (
    LATE_S,
    MAX_BATCH_BYTES,
    MAX_IN_FLIGHT_BYTES,
    RESERVED_BYTES,
    Stored,
    Stream,
    Window,
    batches,
    payload,
)
from skerry_agent.telling.outbox import MAX_ITEM_BYTES
from skerry_contract import shape
from skerry_contract.messages import MAX_PAYLOAD_BYTES, Batch
from support.shapes import json_values

RANK = 1
TS = "2030-01-02T03:04:05.678Z"


def item(
    number: int, *, seq: int | None = None, stream: str = "cam/scores", data: bytes = b"1"
) -> Stored:
    return Stored(number, "b1", stream, number if seq is None else seq, TS, 1000.0, data)


def row(*sizes: int, stream: str = "cam/scores") -> list[Stored]:
    return [item(n, stream=stream, data=b"x" * size) for n, size in enumerate(sizes, 1)]


# --- batches ----------------------------------------------------------------------------------


def test_nothing_makes_no_batch() -> None:
    assert batches([]) == []


def test_items_of_one_stream_travel_together_and_streams_apart() -> None:
    a, b, c = item(1), item(2, stream="mic/scores", seq=1), item(3, seq=2)
    assert batches([a, b, c]) == [[a, c], [b]]


def test_the_same_stream_of_another_boot_is_another_batch() -> None:
    old = Stored(1, "b0", "cam/scores", 9, TS, 0.0, b"1")
    assert batches([old, item(2, seq=1)]) == [[old], [item(2, seq=1)]]


def test_a_batch_is_closed_before_it_gets_too_large() -> None:
    found = batches(row(30_000, 30_000, 30_000, 10, 61_000, 70_000, 10))
    assert [[one.id for one in batch] for batch in found] == [[1, 2], [3, 4], [5], [6], [7]]


_streams = st.sampled_from(["cam/scores", "mic/scores", "event/module"])
_sizes = st.one_of(st.integers(0, 100), st.integers(0, MAX_ITEM_BYTES))


@given(st.lists(st.tuples(_streams, _sizes), max_size=60))
def test_batches_hold_every_item_once_in_order_and_below_the_bound(
    drawn: list[tuple[str, int]],
) -> None:
    counters: dict[str, itertools.count[int]] = {}
    items = [
        item(n, stream=stream, seq=next(counters.setdefault(stream, itertools.count(1))))
        for n, (stream, _) in enumerate(drawn, 1)
    ]
    items = [
        Stored(one.id, one.boot, one.stream, one.seq, one.ts, 0.0, b"x" * size)
        for one, (_, size) in zip(items, drawn, strict=True)
    ]
    found = batches(items)
    assert sorted(one.id for batch in found for one in batch) == [one.id for one in items]
    for batch in found:
        assert len({(one.boot, one.stream) for one in batch}) == 1
        assert len(batch) == 1 or sum(len(one.data) for one in batch) <= MAX_BATCH_BYTES
    for stream in counters:
        numbers = [one.seq for batch in found for one in batch if one.stream == stream]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("size", [1, 2, 40, 60, 75, 200, MAX_ITEM_BYTES])
def test_no_payload_is_larger_than_what_the_cloud_reads(size: int) -> None:
    """Small items are mostly wrapping, which counts too."""
    items = [item(10**15 + n, data=b'"' + b"x" * (size - 2) + b'"') for n in range(1000)]
    for batch in batches(items):
        data = payload(batch, floor=10**15, now_s=0.0)
        assert len(data) <= MAX_PAYLOAD_BYTES
        assert len(batch) <= 1000


# --- payload ----------------------------------------------------------------------------------


@given(st.lists(json_values, min_size=1, max_size=5), st.integers(1, 10**12))
def test_a_payload_is_what_the_contract_says(values: list[object], first: int) -> None:
    batch = [
        Stored(n, "boot-1", "cam/scores", seq, 'odd "time"', 1000.0, shape.dump(value))
        for n, (seq, value) in enumerate(zip(itertools.count(first), values, strict=False), 1)
    ]
    data = payload(batch, floor=first, now_s=1000.0)
    found = shape.parse(Batch, data, max_bytes=MAX_PAYLOAD_BYTES)
    assert (found.boot, found.floor) == ("boot-1", first)
    assert [(one.seq, one.ts, one.data) for one in found.items] == [
        (one.seq, 'odd "time"', json.loads(one.data)) for one in batch
    ]


def test_an_item_that_is_sent_late_is_marked_as_historical() -> None:
    one = item(1)
    for age_s, hist in ((0.0, False), (LATE_S, False), (LATE_S + 0.1, True), (-5.0, False)):
        data = payload([one], floor=1, now_s=one.stored_s + age_s)
        assert shape.parse(Batch, data, max_bytes=1000).items[0].hist == hist


# --- acknowledgements -------------------------------------------------------------------------


def sent(*batch: Stored, now: float = 0.0) -> Window:
    window = Window()
    window.sent(RANK, list(batch), now=now)
    return window


@pytest.mark.parametrize(
    ("seq", "believed"), [(0, 0), (4, 0), (5, 5), (6, 5), (7, 7), (8, 7), (2**62, 7)]
)
def test_an_acknowledgement_is_believed_up_to_what_was_sent(seq: int, believed: int) -> None:
    window = sent(item(1, seq=5), item(2, seq=7))
    assert window.acknowledged("b1", "cam/scores", seq, now=1.0) == believed


@pytest.mark.parametrize(("boot", "stream"), [("b0", "cam/scores"), ("b1", "mic/scores")])
def test_an_acknowledgement_of_what_was_never_sent_says_nothing(boot: str, stream: str) -> None:
    assert sent(item(1)).acknowledged(boot, stream, 100, now=1.0) == 0


def test_the_same_acknowledgement_twice_says_nothing_the_second_time() -> None:
    window = sent(item(1))
    assert window.acknowledged("b1", "cam/scores", 1, now=1.0) == 1
    assert window.acknowledged("b1", "cam/scores", 1, now=1.0) == 0


def test_a_full_window_has_room_again_after_it_forgot() -> None:
    window = sent(item(1, data=b"x" * MAX_IN_FLIGHT_BYTES))
    assert not window.has_room()
    window.reset()
    assert window.has_room()


def test_nothing_is_believed_after_the_window_forgot() -> None:
    window = sent(item(1))
    window.reset()
    assert window.acknowledged("b1", "cam/scores", 1, now=1.0) == 0
    assert window.cursor == {}


def test_the_cursor_is_the_highest_id_sent_of_each_rank() -> None:
    window = sent(item(5), item(9))
    window.sent(RANK, [item(7, stream="mic/scores", seq=1)], now=0.0)
    window.sent(0, [item(3, stream="event/module", seq=1)], now=0.0)
    assert window.cursor == {RANK: 9, 0: 3}


def test_there_is_room_until_the_bound_and_again_after_an_acknowledgement() -> None:
    window, half = Window(), MAX_IN_FLIGHT_BYTES // 2
    window.sent(RANK, [item(1, data=b"x" * half)], now=0.0)
    assert window.has_room()
    window.sent(RANK, [item(2, data=b"x" * half)], now=0.0)
    assert not window.has_room()
    window.acknowledged("b1", "cam/scores", 1, now=0.0)
    assert window.has_room()


def test_each_rank_leaves_room_to_those_above_it() -> None:
    window = Window()
    window.sent(2, [item(1, data=b"x" * (MAX_IN_FLIGHT_BYTES - 2 * RESERVED_BYTES))], now=0.0)
    assert [window.has_room(rank) for rank in (0, 1, 2)] == [True, True, False]
    window.sent(1, [item(2, data=b"x" * RESERVED_BYTES)], now=0.0)
    assert [window.has_room(rank) for rank in (0, 1, 2)] == [True, False, False]
    assert len(window.fitting(0, [item(3, data=b"x" * RESERVED_BYTES), item(4)])) == 1


# --- silence ----------------------------------------------------------------------------------


def test_nothing_under_way_is_never_overdue() -> None:
    window = Window()
    assert not window.overdue(1e9)
    window.sent(RANK, [item(1)], now=0.0)
    window.acknowledged("b1", "cam/scores", 1, now=0.0)
    assert not window.overdue(1e9)


def test_silence_sends_everything_again_from_the_oldest() -> None:
    window = sent(item(1), item(2), now=100.0)
    assert not window.overdue(114.9)
    assert window.overdue(115.0)
    assert window.cursor == {}
    assert window.has_room()
    assert not window.overdue(1e9)


def test_progress_puts_the_deadline_off_and_a_useless_answer_does_not() -> None:
    window = sent(item(1), item(2), now=0.0)
    window.acknowledged("b1", "cam/scores", 1, now=10.0)
    assert not window.overdue(24.9)
    window.acknowledged("b1", "cam/scores", 1, now=24.0)
    assert window.overdue(25.0)


def test_more_that_is_sent_does_not_put_the_deadline_off() -> None:
    window = sent(item(1), now=0.0)
    window.sent(RANK, [item(2)], now=14.0)
    assert window.overdue(15.0)


def wait_s(window: Window) -> float:
    """Send something, and return after how many seconds of silence it is overdue."""
    window.sent(RANK, [item(1)], now=0.0)
    for tenths in range(20_000):
        if window.overdue(tenths / 10):
            return tenths / 10
    pytest.fail("never overdue")


def test_each_silence_is_waited_for_longer_up_to_five_minutes() -> None:
    window = Window()
    waits = [wait_s(window) for _ in range(8)]
    assert waits[0] == 15.0
    for n, wait in enumerate(waits[1:]):
        bound = min(300.0, 30.0 * 2**n)
        assert bound / 2 <= wait <= bound + 0.1


def test_progress_makes_the_wait_short_again() -> None:
    window = Window()
    for _ in range(5):
        wait_s(window)
    window.sent(RANK, [item(1)], now=0.0)
    window.acknowledged("b1", "cam/scores", 1, now=0.0)
    assert wait_s(window) == 15.0


class AnyCourse(RuleBasedStateMachine):
    """Send, acknowledge and fall silent in any order, next to a model that is plainly right."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Window()
        self.now = 0.0
        self.ids = itertools.count(1)
        self.next_seq: dict[Stream, int] = {}
        self.under_way: dict[Stream, dict[int, int]] = {}

    @precondition(lambda self: self.window.has_room())
    @rule(stream=_streams, sizes=st.lists(st.integers(0, MAX_ITEM_BYTES), min_size=1, max_size=4))
    def send(self, stream: str, sizes: list[int]) -> None:
        key = ("b1", stream)
        for batch in batches(self._made(stream, size) for size in sizes):
            if self.window.has_room():
                self.window.sent(RANK, batch, now=self.now)
                held = self.under_way.setdefault(key, {})
                held.update({one.seq: len(one.data) for one in batch})

    @rule(stream=_streams, seq=st.integers(0, 30))
    def acknowledge(self, stream: str, seq: int) -> None:
        held = self.under_way.get(("b1", stream), {})
        known = [number for number in held if number <= seq]
        found = self.window.acknowledged("b1", stream, seq, now=self.now)
        assert found == max(known, default=0)
        for number in known:
            del held[number]

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        if self.window.overdue(self.now):
            assert any(self.under_way.values())
            self.under_way.clear()
            assert self.window.cursor == {}

    @rule()
    def lose_the_connection(self) -> None:
        self.window.reset()
        self.under_way.clear()

    @invariant()
    def what_is_under_way_is_bounded(self) -> None:
        size = sum(sum(held.values()) for held in self.under_way.values())
        assert size <= MAX_IN_FLIGHT_BYTES + MAX_ITEM_BYTES
        assert self.window.has_room() == (size < MAX_IN_FLIGHT_BYTES)

    def _made(self, stream: str, size: int) -> Stored:
        seq = self.next_seq.get(("b1", stream), 0) + 1
        self.next_seq["b1", stream] = seq
        return item(next(self.ids), stream=stream, seq=seq, data=b"x" * size)


test_no_course_of_events_loses_count = AnyCourse.TestCase
test_no_course_of_events_loses_count.settings = settings(max_examples=60, stateful_step_count=30)
