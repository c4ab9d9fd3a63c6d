"""Queues of results: order, bounds, expiry, and what survives."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from skerry_agent.core.routing import Destination
from skerry_agent.routing.queues import Level, RouteQueues
from skerry_contract.errors import NoSpaceError

NAME = "input/names/boxes"
TO = Destination(NAME, "faces/scores", 5, 60, "drop-oldest")


@pytest.fixture
def queues(tmp_path: Path) -> Iterator[RouteQueues]:
    made = RouteQueues(tmp_path / "routes.db", limit_bytes=100)
    yield made
    made.close()


def waiting(queues: RouteQueues, *, now_s: float = 0.0, but: tuple[int, ...] = ()) -> list[bytes]:
    return [one.data for one in queues.waiting(NAME, but=but, limit=100, now_s=now_s)]


def test_the_most_important_goes_first_and_then_the_oldest(queues: RouteQueues) -> None:
    urgent = replace(TO, priority=0)
    queues.put([(TO, b"1"), (TO, b"2"), (urgent, b"3"), (urgent, b"4")], now_s=0.0)
    assert waiting(queues) == [b"3", b"4", b"1", b"2"]


def test_what_is_under_way_is_not_given_again(queues: RouteQueues) -> None:
    queues.put([(TO, b"1"), (TO, b"2")], now_s=0.0)
    first, second = queues.waiting(NAME, but=(), limit=2, now_s=0.0)
    assert waiting(queues, but=(first.id,)) == [b"2"]
    queues.done(NAME, [second.id])
    assert waiting(queues) == [b"1"]
    assert queues.levels() == {NAME: Level(1, 1, {"delivered": 1})}


def test_one_queue_cannot_answer_for_another(queues: RouteQueues) -> None:
    queues.put([(TO, b"1")], now_s=0.0)
    (item,) = queues.waiting(NAME, but=(), limit=1, now_s=0.0)
    queues.done("input/names/other", [item.id])
    assert waiting(queues) == [b"1"]


def test_what_is_worth_nothing_any_more_is_not_given_and_is_counted(queues: RouteQueues) -> None:
    queues.put([(TO, b"1"), (replace(TO, ttl_s=10), b"2")], now_s=0.0)
    assert waiting(queues, now_s=9.0) == [b"1", b"2"]
    assert waiting(queues, now_s=10.0) == [b"1"]
    queues.put([(TO, b"3")], now_s=60.0)
    assert waiting(queues, now_s=60.0) == [b"3"]
    assert queues.levels()[NAME].counted == {"expired": 2}


def test_what_is_least_important_and_oldest_makes_room_and_is_counted(queues: RouteQueues) -> None:
    late = replace(TO, priority=9)
    queues.put([(TO, b"a" * 40), (late, b"b" * 40), (late, b"c" * 20)], now_s=0.0)
    queues.put([(TO, b"d" * 10)], now_s=1.0)
    assert waiting(queues) == [b"a" * 40, b"d" * 10, b"c" * 20]
    assert queues.levels()[NAME] == Level(3, 70, {"full": 1})


def test_a_queue_may_make_its_sources_wait_instead(queues: RouteQueues) -> None:
    patient = replace(TO, when_full="wait")
    queues.put([(patient, b"a" * 60)], now_s=0.0)
    with pytest.raises(NoSpaceError, match="input/names/boxes"):
        queues.check_room([(patient, b"b" * 30), (patient, b"c" * 30)], now_s=1.0)
    queues.check_room([(patient, b"b" * 40)], now_s=1.0)
    queues.check_room([(TO, b"b" * 400)], now_s=1.0)  # that one drops
    queues.check_room([(patient, b"b" * 60)], now_s=60.0)  # what waited has expired


def test_all_of_it_is_there_after_a_restart(queues: RouteQueues, tmp_path: Path) -> None:
    queues.put([(TO, b"1"), (TO, b"2")], now_s=0.0)
    queues.close()
    again = RouteQueues(tmp_path / "routes.db", limit_bytes=100)
    assert waiting(again) == [b"1", b"2"]
    again.close()


def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoSpaceError, match=r"routes\.db"):
        RouteQueues(tmp_path / "none" / "routes.db")


def test_a_file_that_has_rotted_is_put_aside_and_results_go_on(tmp_path: Path) -> None:
    path = tmp_path / "routes.db"
    path.write_bytes(b"this is no database, and has not been one for a while" * 100)
    made = RouteQueues(path)
    made.put([(TO, b"1")], now_s=0.0)
    assert waiting(made) == [b"1"]
    made.close()
    assert path.with_name("routes.db.damaged").read_bytes().startswith(b"this is no database")
