"""The publisher: what is announced goes out, though database or broker are away for a while."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection

from skerry_cloud.database import Database, removed_devices
from skerry_cloud.publisher import Publisher
from skerry_contract.errors import DatabaseError
from support.waiting import eventually

GONE = "porch-camera"
MESSAGES = 5
"""Retained messages that are cleared of a device that was removed."""


class Unsteady(Database):
    """A database that does not answer while ``away`` is set."""

    away = threading.Event()
    asked = 0

    @contextmanager
    def read(self) -> Iterator[Connection]:
        self.asked += 1
        if self.away.is_set():
            raise DatabaseError("it is away")
        with super().read() as connection:
            yield connection


class Broker:
    """Takes messages, or not while ``away`` is set; what it is asked is counted."""

    def __init__(self) -> None:
        self.away = threading.Event()
        self.asked = 0
        self.topics: list[str] = []

    def publish(self, topic: str, _payload: bytes, *, retain: bool = False) -> bool:
        assert retain
        self.asked += 1
        if self.away.is_set():
            return False
        self.topics.append(topic)
        return True

    def drain(self) -> bool:
        return True


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Unsteady]:
    made = Unsteady.in_file(tmp_path / "skerry.db")
    assert isinstance(made, Unsteady)
    with made.write() as connection:
        connection.execute(removed_devices.insert(), {"id": GONE})
    yield made
    made.away.clear()
    made.close()


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def publisher(database: Unsteady, broker: Broker) -> Iterator[Publisher]:
    made = Publisher(database, "home", lambda: 2.0)
    made.start(broker)  # type: ignore[arg-type] # all that is asked of a link
    yield made
    made.stop()


@pytest.mark.parametrize("everybody", [True, False])
def test_what_was_announced_while_the_database_was_away_goes_out_when_it_is_back(
    publisher: Publisher,
    database: Unsteady,
    broker: Broker,
    everybody: bool,  # noqa: FBT001 - a parameter
) -> None:
    database.away.set()
    if everybody:
        publisher.announce_all()
    else:
        publisher.announce([GONE])
    eventually(lambda: database.asked >= 2)
    assert broker.topics == []
    database.away.clear()
    eventually(lambda: len(broker.topics) == MESSAGES)


def test_what_the_broker_did_not_take_is_tried_again(publisher: Publisher, broker: Broker) -> None:
    broker.away.set()
    publisher.announce([GONE])
    eventually(lambda: broker.asked >= 2)
    broker.away.clear()
    eventually(lambda: len(broker.topics) >= MESSAGES)


def test_a_pause_does_not_hold_up_the_end(publisher: Publisher, broker: Broker) -> None:
    broker.away.set()
    publisher.announce([GONE])
    eventually(lambda: broker.asked >= 3)
    publisher.stop(within_s=5.0)
    assert publisher._thread is not None
    assert not publisher._thread.is_alive()
