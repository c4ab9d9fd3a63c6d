"""What the database keeps, and how much of it."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from skerry_cloud.database import (
    Database,
    devices,
    next_number,
    positions,
    telemetry,
)
from skerry_cloud.fleet.messages import Latest, latest
from skerry_cloud.fleet.presence import Heartbeat
from skerry_cloud.ingest import inbox
from skerry_cloud.ingest.inbox import Items, Message
from skerry_cloud.ingest.retention import Retention
from skerry_cloud.ingest.store import Store
from skerry_contract import shape
from skerry_contract.messages import Batch, Health, Item

pytestmark = pytest.mark.integration


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    with made.write() as connection:
        connection.execute(devices.insert(), {"id": "cam", "tags": {}, "created": 0.0})
    yield made
    made.close()


def batch(*numbers: int, data: str = "x", boot: str = "b1") -> Items:
    items = tuple(Item(n, "t", data) for n in numbers)
    payload = shape.dump(Batch(boot, 1, items))
    entry = inbox.read(
        Message("skerry/v1/home/cam/t/m/s", payload, retained=False, received=1.0), "home"
    )
    assert isinstance(entry, Items)
    return entry


def kept(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.scalars(select(telemetry.c.seq).order_by(telemetry.c.id)))


def test_the_oldest_telemetry_goes_when_there_are_too_many_rows(database: Database) -> None:
    store = Store(database, lambda: 1.0)
    store.keep([batch(*range(1, 501)), batch(*range(501, 1001))])
    retention = Retention(database, rows=300, size_bytes=10**9)
    retention.count(0, 0)
    left = kept(database)
    assert left[-1] == 1000
    assert 250 <= len(left) <= 300
    store.keep([batch(*range(1001, 1100))])
    retention.count(99, 99)
    assert len(kept(database)) <= 300
    # What was deleted is not stored again when it is sent again.
    assert store.keep([batch(5, 6, 7)]).items == 0


def test_the_oldest_telemetry_goes_when_it_has_too_many_bytes(database: Database) -> None:
    Store(database, lambda: 1.0).keep([batch(*range(1, 101), data="x" * 98)])
    Retention(database, rows=10**6, size_bytes=2500).tidy()
    left = kept(database)
    assert left[-1] == 100
    assert 15 <= len(left) <= 25


def test_cursors_are_not_used_again_after_everything_was_deleted(database: Database) -> None:
    store = Store(database, lambda: 1.0)
    store.keep([batch(1, 2, 3)])
    with database.write() as connection:
        last = connection.scalar(select(func.max(telemetry.c.id)))
        connection.execute(telemetry.delete())
    store.keep([batch(4)])
    with database.read() as connection:
        assert (connection.scalar(select(telemetry.c.id)) or 0) > (last or 0)


def test_positions_of_old_boots_are_forgotten_within_bounds(
    database: Database,
) -> None:
    now = [0.0]
    store = Store(database, lambda: now[0])
    for n in range(1100):
        now[0] = float(n)
        store.keep([batch(1, boot=f"b{n}")])
    Retention(database, rows=10**6, size_bytes=10**9).tidy()
    with database.read() as connection:
        boots = set(connection.scalars(select(positions.c.boot)))
    assert len(boots) == 1000
    assert "b1099" in boots
    assert "b0" not in boots
    # The unique key still holds where the position is forgotten.
    store.keep([batch(1, boot="b0")])
    assert len(kept(database)) == 1100


def test_a_bundle_is_stored_as_a_whole_or_not_at_all(database: Database) -> None:
    store = Store(database, lambda: 1.0)
    broken = batch(1)
    object.__setattr__(broken, "data", (b"not text", "and one too many"))
    with pytest.raises(ValueError, match="zip"):
        store.keep([batch(1, 2), broken])
    assert kept(database) == []


def test_what_a_broker_repeats_from_memory_is_no_sign_of_life(database: Database) -> None:
    store = Store(database, lambda: 1.0)
    payload = shape.dump(Health("b1", "t", 60.0))

    def hear(received: float, *, retained: bool) -> Latest:
        message = Message("skerry/v1/home/cam/health", payload, retained, received)
        entry = inbox.read(message, "home")
        assert entry is not None
        store.keep([entry])
        with database.read() as connection:
            return latest(connection)["cam"]

    assert (hear(10.0, retained=True).heartbeat, hear(10.0, retained=True).seen) == (None, 0.0)
    assert hear(20.0, retained=False).heartbeat == Heartbeat(20.0, 60.0, "b1")
    assert hear(30.0, retained=True).heartbeat == Heartbeat(20.0, 60.0, "b1")


def test_numbers_are_given_out_once_to_many_threads(database: Database) -> None:
    found: list[int] = []

    def take() -> None:
        for _ in range(20):
            with database.write() as connection:
                found.append(next_number(connection, "model", "face"))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1, 161))
