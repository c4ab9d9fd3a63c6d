"""Batches: which inputs are scored together, and how their items share lines."""

import asyncio
import json
from collections import deque
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from skerry_scorer.feeding.batch import Pace, result_item, score_batch
from skerry_scorer.feeding.results import MAX_ITEM_BYTES, MAX_ITEMS, lines_of, store_all
from skerry_scorer.inputs.mailbox import Message
from skerry_scorer.script.entry import Scorer


class Waiting:
    """A source of texts that are there already."""

    def __init__(self, name: str, *texts: str) -> None:
        self.noted: list[str] = []
        self._messages = deque(Message(name, "line", text, text.encode()) for text in texts)

    def take(self) -> Message | None:
        return self._messages.popleft() if self._messages else None

    def begin(self, message: Message) -> None:
        self.noted.append(message.name)

    def rest(self) -> None:
        self.noted.append("")

    def read(self, message: Message) -> str:
        return message.content.decode()

    def settle(self, message: Message, failure: str) -> None: ...

    def release(self) -> None: ...


def scorer(tmp_path: Path) -> Scorer:
    (tmp_path / "score.py").write_text("def init(): ...\ndef run(data): return 1 / int(data)\n")
    return Scorer.load(tmp_path, "score.py")


ALWAYS = Pace(lambda: True, lambda: False, batch_s=60.0)


def test_sources_take_turns_and_a_failure_stops_nobody(tmp_path: Path) -> None:
    a, b = Waiting("a", "1", "0", "2"), Waiting("b", "4")
    found = score_batch(scorer(tmp_path), [a, b], "s", ALWAYS)
    assert [(one.taken.input, one.taken.name) for one in found] == [
        ("a", "1"),
        ("b", "4"),
        ("a", "0"),
        ("a", "2"),
    ]
    assert ["ZeroDivisionError" in one.failure for one in found] == [False, False, True, False]
    assert [json.loads(one.item).get("event") for one in found][2] == "scoring-failed"


def test_only_one_input_at_a_time_is_held_to_be_under_way(tmp_path: Path) -> None:
    a, b = Waiting("a", "1", "2", "3"), Waiting("b", "4")
    score_batch(scorer(tmp_path), [a, b], "s", ALWAYS)
    assert a.noted == ["1", "", "2", "3", ""]
    assert b.noted == ["4", ""]


def test_a_batch_ends_when_it_may_not_go_on(tmp_path: Path) -> None:
    answers = iter([True, True, False])
    source = Waiting("a", "1", "2", "3")
    pace = Pace(lambda: next(answers), lambda: False, batch_s=60.0)
    assert len(score_batch(scorer(tmp_path), [source], "s", pace)) == 2
    assert source.take() is not None


def test_a_large_result_ends_a_batch_before_its_line_is_full(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("def init(): ...\ndef run(data): return 'x' * 20_000\n")
    made = Scorer.load(tmp_path, "score.py")
    found = score_batch(made, [Waiting("a", *map(str, range(9)))], "s", ALWAYS)
    assert len(found) == 2


@given(st.text(), st.text(), st.text())
def test_an_item_is_json_whatever_the_names_are(stream: str, name: str, input_name: str) -> None:
    item = json.loads(result_item(stream, Message(input_name, "line", name, b""), b"[1]", 0.26))
    assert item == {
        "stream": stream,
        "data": {"input": input_name, "line": name, "result": [1], "ms": 0.3},
    }


@given(st.lists(st.integers(1, MAX_ITEM_BYTES), max_size=40))
def test_items_share_lines_in_their_order_within_the_limits(sizes: list[int]) -> None:
    items = [b"x" * size for size in sizes]
    found = list(lines_of(items))
    assert [item for line in found for item in line] == items
    for line in found:
        assert line
        assert len(line) == 1 or sum(len(item) + 1 for item in line) <= MAX_ITEM_BYTES


def test_a_line_has_no_more_items_than_it_may() -> None:
    assert [len(line) for line in lines_of([b"1"] * (MAX_ITEMS + 1))] == [MAX_ITEMS, 1]


class Refusing:
    """Results that are refused if a bad one is in their line."""

    def __init__(self) -> None:
        self.lines: list[list[bytes]] = []

    async def store(self, items: list[bytes]) -> str:
        self.lines.append(items)
        return "bad" if b"bad" in items else ""

    async def close(self) -> None: ...


def test_of_a_refused_line_only_the_guilty_item_is_refused() -> None:
    results = Refusing()
    found: Any = asyncio.run(store_all(results, [b"a", b"bad", b"b"]))
    assert found == ["", "bad", ""]
    assert results.lines == [[b"a", b"bad", b"b"], [b"a"], [b"bad"], [b"b"]]
