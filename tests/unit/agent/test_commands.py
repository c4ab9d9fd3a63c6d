"""What becomes of a command: the table of ``core.commands``, row by row."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from skerry_agent.core.commands import (
    MAX_RECORDS,
    MAX_RESULTS,
    MAX_WAITING,
    Book,
    Record,
    after_start,
    begun,
    ended,
    receive,
)
from skerry_contract.commands import ARGS, FINAL, Command
from skerry_contract.errors import GoldenError

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
ALLOWED = frozenset(ARGS) - {"reboot"}


def command(number: int = 1, type_: str = "check", **args: Any) -> Command:
    return Command("home", "porch", f"{number:016x}", number, type_, NOW, LATER, args)


def record(number: int = 1, state: str = "accepted", **more: Any) -> Record:
    fresh = receive(command(number), Book(), NOW, ALLOWED)
    return replace(fresh, state=state, **more)  # type: ignore[arg-type] # a literal of the table


RECEIVED = {
    "a new one": (command(), Book(), NOW, "accepted", ""),
    "one with arguments": (
        command(1, "logs", module="cam", seconds=5),
        Book(),
        NOW,
        "accepted",
        "",
    ),
    "an unknown type": (command(1, "fly"), Book(), NOW, "rejected", "CONTRACT"),
    "an unknown argument": (command(1, "check", deep=True), Book(), NOW, "rejected", "CONTRACT"),
    "a wrong argument": (command(1, "logs", seconds=-1), Book(), NOW, "rejected", "CONTRACT"),
    "a type that is not allowed here": (command(1, "reboot"), Book(), NOW, "rejected", "COMMAND"),
    "one that is too late": (command(), Book(), LATER, "expired", "EXPIRED"),
    "a number below all that is remembered": (command(3), Book(3), NOW, "rejected", "COMMAND"),
    "one too many": (
        command(99),
        Book(0, tuple(record(n) for n in range(1, MAX_WAITING + 1))),
        NOW,
        "rejected",
        "COMMAND",
    ),
}


@pytest.mark.parametrize("case", RECEIVED)
def test_a_request_becomes(case: str) -> None:
    asked, book, now, state, code = RECEIVED[case]
    found = receive(asked, book, now, ALLOWED)
    assert (found.state, found.failure.code if found.failure else "") == (state, code)


@pytest.mark.parametrize("state", ["accepted", "executing", *sorted(FINAL)])
def test_a_request_that_comes_again_is_what_it_was(state: str) -> None:
    known = record(1, state)
    # Whatever the clock says by now, and whatever else waits.
    for now in (NOW - timedelta(days=3650), NOW, NOW + timedelta(days=3650)):
        assert receive(command(1), Book(0, (known,)), now, ()) is known


def test_what_is_begun_is_written_down_with_who_began_it() -> None:
    found = begun(record(), NOW, "b7", "kernel-1")
    assert (found.state, found.boot, found.machine) == ("executing", "b7", "kernel-1")
    assert begun(record(), LATER, "b7", "kernel-1").state == "expired"


def test_what_ends_is_successful_or_says_why_not() -> None:
    assert ended(record(1, "executing"), None, {"n": 1}).result == {"n": 1}
    failed = ended(record(1, "executing"), GoldenError("2 of 3 failed", detail="a: 1 is not 2"))
    assert failed.state == "failed"
    assert failed.failure is not None
    assert (failed.failure.code, failed.failure.detail) == ("GOLDEN", "a: 1 is not 2")


STARTED = {
    "what was not begun waits on": (record(), "accepted"),
    "what has ended has ended": (record(1, "successful"), "successful"),
    "a check is not done again": (record(1, "executing", boot="b1", machine="m1"), "failed"),
    "the agent was to start again": (
        record(1, "executing", boot="b1", machine="m1", type="restart", args={}),
        "successful",
    ),
    "a module was to start again": (
        record(1, "executing", boot="b1", machine="m1", type="restart", args={"module": "cam"}),
        "failed",
    ),
    "the machine was to reboot, and did": (
        record(1, "executing", boot="b1", machine="m0", type="reboot"),
        "successful",
    ),
    "the machine was to reboot, and did not": (
        record(1, "executing", boot="b1", machine="m1", type="reboot"),
        "failed",
    ),
    "it was begun by this very run": (record(1, "executing", boot="b2"), "executing"),
}


@pytest.mark.parametrize("case", STARTED)
def test_when_the_agent_starts(case: str) -> None:
    before, state = STARTED[case]
    assert after_start(before, "b2", "m1").state == state


def test_the_book_forgets_the_oldest_ends_and_takes_their_numbers_no_more() -> None:
    book = Book()
    for number in range(1, MAX_RECORDS + 6):
        book = book.with_record(record(number, "successful"))
    assert len(book.records) == MAX_RECORDS
    assert book.floor == 5
    assert receive(command(5), book, NOW, ALLOWED).state == "rejected"


def test_the_book_never_forgets_what_waits() -> None:
    book = Book().with_record(record(1))
    for number in range(2, MAX_RECORDS + 6):
        book = book.with_record(record(number, "successful"))
    assert book.waiting() == [record(1)]


def test_results_are_kept_until_they_are_confirmed_and_the_newest_few_at_most() -> None:
    book = Book()
    for number in range(1, MAX_RESULTS + 3):
        book = book.with_record(record(number, "successful", result={"n": number}))
    kept = [one.number for one in book.records if one.result is not None]
    assert kept == list(range(3, MAX_RESULTS + 3))
    told = replace(book.records[-1], told=True)
    assert book.with_record(told).records[-1].result is None


def test_orders_in_any_sequence_never_bring_a_command_back() -> None:
    """Every way from one state to the next ends in an end, and an end stays one."""
    starts = [record(), record(1, "executing", boot="b1"), *(record(1, s) for s in FINAL)]
    for start in starts:
        reached = {after_start(start, "b2", "m").state}
        if start.state in FINAL:
            assert reached == {start.state}
        if start.state == "executing":
            assert reached <= FINAL
