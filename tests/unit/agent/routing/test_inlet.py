"""One line of a module in, one answer out, whatever the line holds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skerry_agent.routing import inlet
from skerry_agent.routing.inlet import MAX_LINE_BYTES, RETRY_S
from skerry_agent.routing.router import Store
from skerry_agent.telling.outbox import Entry, Outbox, Rank
from skerry_contract import shape
from skerry_contract.errors import ConflictError, ContractError, NoSpaceError, ScorerError
from skerry_contract.messages import MAX_DETAIL_CHARS, Event
from support.shapes import json_values


class Shelf:
    """Keeps entries in memory, all of a call or none; ``error`` makes it full."""

    def __init__(self, error: Exception | None = None) -> None:
        self.entries: list[Entry] = []
        self._error = error

    def __call__(self, entries: Sequence[Entry]) -> None:
        if self._error is not None:
            raise self._error
        self.entries.extend(entries)


class LockBook:
    """Notes locks in memory; ``error`` makes it refuse them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.held: dict[str, tuple[str, float]] = {}
        self._error = error

    def lock(self, module: str, reason: str, lease_s: float) -> str:
        if self._error is not None:
            raise self._error
        self.held[module] = (reason, lease_s)
        return "2026-01-31T12:10:00Z"

    def unlock(self, module: str) -> None:
        if self._error is not None:
            raise self._error
        self.held.pop(module, None)


def take(module: str, data: bytes, store: Store) -> Any:
    return inlet.take(module, data, store, LockBook())


def line(*items: Any, id: int = 7) -> bytes:  # noqa: A002 - it is called so on the wire
    return json.dumps({"id": id, "items": items}).encode()


def stored_event(data: Any) -> Event:
    shelf = Shelf()
    assert take("cam", line({"event": "scoring-failed", "data": data}), shelf) == {"stored": 7}
    (entry,) = shelf.entries
    assert (entry.stream, entry.rank) == ("event/scoring-failed", Rank.EVENT)
    return shape.parse(Event, entry.data, max_bytes=100_000)


def test_results_are_stored_in_their_order_and_answered_by_number() -> None:
    shelf = Shelf()
    first, second = {"file": "a.png", "result": [0.5]}, {"file": "é", "result": None}
    answer = take(
        "cam", line({"stream": "scores", "data": first}, {"stream": "b", "data": second}), shelf
    )
    assert answer == {"stored": 7}
    assert [(one.stream, one.rank) for one in shelf.entries] == [
        ("cam/scores", Rank.TELEMETRY),
        ("cam/b", Rank.TELEMETRY),
    ]
    assert [json.loads(one.data) for one in shelf.entries] == [first, second]
    assert shelf.entries[1].data == '{"file":"é","result":null}'.encode()


def test_a_result_of_nothing_is_a_result() -> None:
    shelf = Shelf()
    assert take("cam", line({"stream": "scores"}), shelf) == {"stored": 7}
    assert shelf.entries == [Entry("cam/scores", Rank.TELEMETRY, b"null")]


def test_where_there_is_no_room_the_module_is_told_to_try_again() -> None:
    answer = take("cam", line({"stream": "scores", "data": 1}), Shelf(NoSpaceError("full")))
    assert answer == {"retry": 7, "after_s": RETRY_S}


def test_what_the_outbox_will_never_take_is_refused() -> None:
    answer = take("cam", line({"stream": "scores", "data": 1}), Shelf(ContractError("too large")))
    assert answer == {"refused": 7, "text": "too large"}


def test_one_wrong_item_keeps_the_whole_line_out() -> None:
    shelf = Shelf()
    answer = take("cam", line({"stream": "scores", "data": 1}, {"data": 2}), shelf)
    assert answer["refused"] == 7
    assert shelf.entries == []


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ([], "items: 0 entries, expected 1 to 1000"),
        ([{"data": 1}], "items: an item needs 'stream' or 'event'"),
        ([{"stream": "a/b", "data": 1}], "items[0].stream: expected a name"),
        ([{"stream": "../mic", "data": 1}], "items[0].stream: expected a name"),
        ([{"event": "#", "data": 1}], "items[0].event: expected a name"),
        ([{"stream": "scores", "data": 1}, 5], "items[1]: expected an object, got 5"),
        ([{"stream": 5}], "items[0].stream: expected text"),
        ({}, "items: expected a list"),
    ],
)
def test_a_wrong_line_is_refused_by_its_number_and_with_the_field(items: Any, told: str) -> None:
    answer = take("cam", json.dumps({"id": 7, "items": items}).encode(), Shelf())
    assert answer["refused"] == 7
    assert answer["text"].startswith(f"cam's results: {told}") or answer["text"] == told


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"items":[]}',
        b'{"id":-1,"items":[]}',
        b'{"id":1.5,"items":[]}',
        b'{"id":true,"items":[]}',
        b'{"id":7,"id":7}',
        b"[" * 100_000,
        b'"' + b'\\"' * 100_000,
        b'{"id":7,"items":[{"stream":"scores","data":1e999}]}',
        b'{"id":7,"items":[{"stream":"scores","data":NaN}]}',
        rb'{"id":7,"items":[{"stream":"scores","data":"\ud800"}]}',
        b" " * (MAX_LINE_BYTES + 1),
    ],
    ids=lambda data: repr(data)[:40],
)
def test_what_is_no_line_at_all_is_refused_without_a_number(data: bytes) -> None:
    shelf = Shelf()
    answer = take("cam", data, shelf)
    assert answer["refused"] == 0
    assert answer["text"].startswith("cam's results: ")
    assert shelf.entries == []


def test_a_line_of_exactly_the_limit_is_taken() -> None:
    short = line({"stream": "scores", "data": ""})
    full = line({"stream": "scores", "data": "x" * (MAX_LINE_BYTES - len(short))})
    assert len(full) == MAX_LINE_BYTES
    assert take("cam", full, Shelf()) == {"stored": 7}


# --- events -----------------------------------------------------------------------------------


def test_an_event_says_what_the_module_said() -> None:
    data = {"severity": "warning", "text": "no light", "detail": "lux 0"}
    assert stored_event(data) == Event("warning", ScorerError.code, "no light", "cam", "lux 0")


@pytest.mark.parametrize("severity", ["fatal", "", None, 3, [], {"a": 1}, True])
def test_an_unknown_severity_counts_as_an_error(severity: Any) -> None:
    assert stored_event({"severity": severity, "text": "x"}).severity == "error"


@pytest.mark.parametrize(
    ("data", "text"), [("down", "down"), (None, "None"), ([1, 2], "[1, 2]"), ({}, "")]
)
def test_an_event_of_any_form_becomes_one_of_the_contract(data: Any, text: str) -> None:
    assert stored_event(data).text == text


def test_a_module_cannot_speak_for_another_or_as_the_agent() -> None:
    event = stored_event({"module": "mic", "code": "INIT_FAILED", "text": "x"})
    assert (event.module, event.code) == ("cam", ScorerError.code)


def test_a_long_event_keeps_the_beginning_of_its_text_and_the_end_of_its_detail() -> None:
    event = stored_event({"text": "a" * 3000 + "b", "detail": "a" + "b" * MAX_DETAIL_CHARS})
    assert event.text == "a" * 2000
    assert event.detail == "b" * MAX_DETAIL_CHARS


# --- anything at all --------------------------------------------------------------------------


def check_answer(data: bytes) -> None:
    shelf = Shelf()
    answer = take("cam", data, shelf)
    assert ("stored" in answer) + ("refused" in answer) == 1
    json.dumps(answer).encode()
    assert all(one.stream.split("/")[0] in ("cam", "event") for one in shelf.entries)
    for one in shelf.entries:
        json.loads(one.data, parse_constant=pytest.fail)
        if one.stream.startswith("event/"):
            assert shape.parse(Event, one.data, max_bytes=10**6).module == "cam"


@given(st.binary(max_size=80))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    check_answer(data)


_odd = json_values | st.text(st.characters(), max_size=5)
_keys = st.sampled_from(["stream", "event", "data", "id", "items", "module", "severity", "text"])
_items = st.dictionaries(_keys, _odd | st.just("scores") | st.dictionaries(_keys, _odd, max_size=3))


@given(st.dictionaries(_keys, _odd) | st.builds(dict, id=st.just(7), items=st.lists(_items)))
@example({"id": 7, "items": [{"event": "x", "data": {"severity": []}}]})
@example({"id": 7, "items": [{"stream": "x", "data": "\ud800"}]})
def test_any_json_gets_an_answer(value: Any) -> None:
    check_answer(json.dumps(value).encode())


def test_what_is_too_large_for_the_real_outbox_is_refused_and_not_repeated(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox.db", "b1", limit_bytes=10**6)

    def store(entries: Sequence[Entry]) -> None:
        box.put(entries, ts="t", now_s=0.0)

    answer = take("cam", line({"stream": "scores", "data": "x" * 70_000}), store)
    assert answer["refused"] == 7
    assert "70002 bytes, at most 65536 allowed" in answer["text"]
    box.close()


# --- the run folder ---------------------------------------------------------------------------


def test_a_lock_is_taken_renewed_and_let_go() -> None:
    book = LockBook()

    def say(wish: dict[str, Any]) -> Any:
        return inlet.take("cam", json.dumps({"id": 3, **wish}).encode(), Shelf(), book)

    until = {"locked": 3, "until": "2026-01-31T12:10:00Z"}
    assert say({"lock": {"reason": "counts", "lease_s": 60}}) == until
    assert book.held == {"cam": ("counts", 60.0)}
    assert say({"lock": {}}) == until
    assert book.held == {"cam": ("", 300.0)}
    assert say({"unlock": True}) == {"unlocked": 3}
    assert book.held == {}


@pytest.mark.parametrize("wish", [{"lock": 1}, {"lock": {"lease_s": 0}}, {"unlock": "x"}])
def test_a_lock_of_another_shape_is_refused(wish: dict[str, Any]) -> None:
    answer = take("cam", json.dumps({"id": 3, **wish}).encode(), Shelf())
    assert answer["refused"] == 3


@pytest.mark.parametrize(
    ("error", "key"), [(ConflictError("under way"), "refused"), (NoSpaceError("full"), "retry")]
)
def test_a_lock_that_is_not_taken_is_said(error: Exception, key: str) -> None:
    data = json.dumps({"id": 3, "lock": {}}).encode()
    assert inlet.take("cam", data, Shelf(), LockBook(error))[key] == 3
