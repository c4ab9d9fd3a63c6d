"""The outbox: numbers, acknowledgements, limits, and what a kill leaves behind."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from skerry_agent.core.window import Stored
from skerry_agent.telling.outbox import MAX_ITEM_BYTES, ROW_BYTES, Entry, Level, Outbox, Rank
from skerry_contract.errors import ContractError, NoSpaceError


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.db", "b1", limit_bytes=10 * (100 + ROW_BYTES))
    yield box
    box.close()


def put(box: Outbox, *data: bytes, stream: str = "cam/scores", rank: Rank = Rank.TELEMETRY) -> None:
    box.put([Entry(stream, rank, one) for one in data], ts="t", now_s=1.0)


def waiting(box: Outbox, rank: Rank = Rank.TELEMETRY, *, after_id: int = 0) -> list[Stored]:
    return box.waiting(rank, after_id=after_id, limit=1000)


def test_numbers_count_from_one_in_each_stream(outbox: Outbox) -> None:
    put(outbox, b"1", b"2")
    put(outbox, b"3", stream="mic/scores")
    put(outbox, b"4")

    found = [(one.stream, one.seq, one.data) for one in waiting(outbox)]
    assert found == [
        ("cam/scores", 1, b"1"),
        ("cam/scores", 2, b"2"),
        ("mic/scores", 1, b"3"),
        ("cam/scores", 3, b"4"),
    ]


def test_a_new_boot_counts_anew_and_keeps_what_was_not_acknowledged(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "outbox.db", "b1", limit_bytes=1000)
    put(first, b"1")
    first.close()

    second = Outbox(tmp_path / "outbox.db", "b2", limit_bytes=1000)
    put(second, b"2")
    assert [(one.boot, one.seq) for one in waiting(second)] == [("b1", 1), ("b2", 1)]
    second.close()


def test_numbers_go_on_after_everything_was_acknowledged(outbox: Outbox) -> None:
    put(outbox, b"1")
    outbox.forget("b1", "cam/scores", 1)
    put(outbox, b"2")

    assert [one.seq for one in waiting(outbox)] == [2]
    assert outbox.floor("b1", "cam/scores") == 2
    assert outbox.level().size_bytes == 1 + ROW_BYTES


def test_an_acknowledgement_touches_its_own_stream_and_boot_only(outbox: Outbox) -> None:
    put(outbox, b"1", b"2")
    put(outbox, b"3", stream="mic/scores")

    outbox.forget("b1", "cam/scores", 1)
    outbox.forget("b0", "cam/scores", 9)
    assert [(one.stream, one.seq) for one in waiting(outbox)] == [
        ("cam/scores", 2),
        ("mic/scores", 1),
    ]


def test_a_full_outbox_gives_up_the_oldest_telemetry_and_counts_it(outbox: Outbox) -> None:
    for n in range(12):
        put(outbox, b"%d" % (n % 10) * 100)

    assert [one.seq for one in waiting(outbox)] == list(range(3, 13))
    assert outbox.level().dropped == {"full": 2}
    assert outbox.level().size_bytes == 10 * (100 + ROW_BYTES)


def test_telemetry_never_pushes_out_an_event(outbox: Outbox) -> None:
    put(outbox, *[b"e" * 100] * 9, stream="event/module", rank=Rank.EVENT)

    with pytest.raises(NoSpaceError, match="more important"):
        put(outbox, b"t" * 101)
    assert len(waiting(outbox, Rank.EVENT)) == 9
    put(outbox, b"t" * 100)
    put(outbox, b"e" * 100, stream="event/module", rank=Rank.EVENT)
    assert waiting(outbox) == []


def test_samples_go_before_telemetry_and_telemetry_before_events(outbox: Outbox) -> None:
    put(outbox, *[b"e" * 100] * 3, stream="event/module", rank=Rank.EVENT)
    put(outbox, *[b"t" * 100] * 4)
    put(outbox, *[b"s" * 100] * 3, stream="cam/samples", rank=Rank.SAMPLE)
    put(outbox, *[b"e" * 100] * 5, stream="event/module", rank=Rank.EVENT)
    assert [len(waiting(outbox, rank)) for rank in Rank] == [8, 2, 0]
    assert outbox.level().dropped == {"full": 5}


# --- ages -------------------------------------------------------------------------------------


def aging(tmp_path: Path, **keep_s: float) -> Outbox:
    keep = {Rank[name.upper()]: value for name, value in keep_s.items()}
    return Outbox(tmp_path / "outbox.db", "b1", limit_bytes=10**6, keep_s=keep)


def at(box: Outbox, now_s: float, data: bytes, rank: Rank, keep_s: float | None = None) -> None:
    box.put([Entry("cam/scores", rank, data, keep_s)], ts="t", now_s=now_s)


def test_what_is_too_old_goes_with_its_reason(tmp_path: Path) -> None:
    box = aging(tmp_path, event=1000.0, telemetry=100.0)
    at(box, 0.0, b"event", Rank.EVENT)
    at(box, 0.0, b"old", Rank.TELEMETRY)
    at(box, 50.0, b"young", Rank.TELEMETRY)
    at(box, 50.0, b"sample", Rank.SAMPLE)  # this rank has no limit here
    at(box, 50.0, b"brief", Rank.TELEMETRY, 20.0)
    box.expire(120.0)
    kept = [one.data for rank in Rank for one in waiting(box, rank)]
    assert kept == [b"event", b"young", b"sample"]
    level = box.level()
    assert (level.dropped, level.rows, level.oldest_s) == ({"age": 2}, 3, 0.0)
    assert level.size_bytes == sum(map(len, kept)) + 3 * ROW_BYTES
    box.close()


def test_what_is_stored_makes_what_is_too_old_go(tmp_path: Path) -> None:
    box = aging(tmp_path, telemetry=100.0)
    at(box, 0.0, b"old", Rank.TELEMETRY)
    at(box, 200.0, b"new", Rank.TELEMETRY)
    assert [one.data for one in waiting(box)] == [b"new"]
    assert box.newest_s() == 200.0
    box.close()


def test_what_was_counted_is_counted_still_after_a_start(tmp_path: Path) -> None:
    box = aging(tmp_path, telemetry=1.0)
    at(box, 0.0, b"old", Rank.TELEMETRY)
    box.expire(100.0)
    box.count_dropped("refused", 2)
    box.close()
    again = aging(tmp_path)
    assert again.level() == Level(0, 0, None, {"age": 1, "refused": 2})
    again.close()


def test_a_file_of_an_earlier_agent_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(
            "CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, boot TEXT NOT NULL,"
            " stream TEXT NOT NULL, seq INTEGER NOT NULL, ts TEXT NOT NULL, stored_s REAL NOT NULL,"
            " rank INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE (boot, stream, seq));"
            "INSERT INTO item VALUES (1, 'b0', 'cam/scores', 1, 't', 1.7e9, 1, x'31');"
        )
    box = aging(tmp_path, telemetry=100.0)
    at(box, 1.7e9 + 200, b"2", Rank.TELEMETRY)
    assert [one.data for one in waiting(box)] == [b"1", b"2"]
    box.close()


def test_a_damaged_file_is_put_aside_and_told(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").write_bytes(b"no database " * 1000)
    box = aging(tmp_path)
    put(box, b"1")
    assert box.level().dropped == {"damaged": 1}
    assert (tmp_path / "outbox.db.damaged").exists()
    box.close()


# --- however long the cloud is away -----------------------------------------------------------

_FILLER = """
import resource, sys
from pathlib import Path
from skerry_agent.telling.outbox import Entry, Outbox, Rank
rows, limit = int(sys.argv[2]), int(sys.argv[3])
box = Outbox(Path(sys.argv[1]), "b1", limit_bytes=limit)
entries = [Entry("cam/scores", Rank.TELEMETRY, b"0.1234567890")] * 1000
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
box.put(entries, ts="t", now_s=0.0)
before = peak()
for n in range(rows // 1000):
    box.put(entries, ts="t", now_s=float(n))
level = box.level()
print(peak() - before, level.rows, level.size_bytes, level.dropped.get("full", 0))
"""


def test_memory_and_disk_stay_flat_over_many_more_items_than_fit(tmp_path: Path) -> None:
    rows, limit, path = 200_000, 8 * 2**20, tmp_path / "outbox.db"
    done = subprocess.run(
        [sys.executable, "-c", _FILLER, path, str(rows), str(limit)],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    grown, held, size, dropped = map(int, done.stdout.split())
    assert held + dropped == rows + 1000  # each is held, or counted
    assert limit * 0.99 < size <= limit
    assert grown < 4 * 2**20
    on_disk = sum(one.stat().st_size for one in tmp_path.iterdir())
    assert on_disk < limit * 1.25 + 6 * 2**20  # the write-ahead log, too


def test_a_batch_is_stored_as_a_whole_or_not_at_all(outbox: Outbox) -> None:
    with pytest.raises(ContractError, match="65537 bytes"):
        put(outbox, b"1", b"x" * (MAX_ITEM_BYTES + 1))
    with pytest.raises(NoSpaceError):
        put(outbox, b"1", b"x" * 3000)
    put(outbox, b"2")

    assert [(one.seq, one.data) for one in waiting(outbox)] == [(1, b"2")]


def test_reading_goes_on_after_an_id(outbox: Outbox) -> None:
    put(outbox, b"1", b"2", b"3")
    first = outbox.waiting(Rank.TELEMETRY, after_id=0, limit=2)

    assert [one.data for one in waiting(outbox, after_id=first[-1].id)] == [b"3"]


_WRITER = """
import sys
import threading
from pathlib import Path
from skerry_agent.telling.outbox import Entry, Outbox, Rank
box = Outbox(Path(sys.argv[1]), sys.argv[2], limit_bytes=10**9)
n = 0
while True:
    box.put([Entry("cam/scores", Rank.TELEMETRY, b"%d" % n)] * 3, ts="t", now_s=1.0)
    n += 1
    print(n, flush=True)
"""


def test_what_was_stored_before_a_kill_is_there_after_it_without_gaps(tmp_path: Path) -> None:
    path, claimed = tmp_path / "outbox.db", 0
    for boot in ("b1", "b2", "b3"):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, path, boot], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(20):
            writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.communicate()[0].split()
        claimed += (int(rest[-1]) if rest else 20) * 3

    box = Outbox(path, "b4", limit_bytes=10**9)
    found = box.waiting(Rank.TELEMETRY, after_id=0, limit=10**6)
    box.close()
    assert len(found) >= claimed
    for boot in ("b1", "b2", "b3"):
        numbers = [one.seq for one in found if one.boot == boot]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) % 3 == 0  # a batch is never split


def test_a_disk_without_room_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NoSpaceError, match=r"outbox\.db"):
        Outbox(tmp_path / "absent" / "outbox.db", "b1", limit_bytes=1000)


def test_what_is_stored_after_something_was_forgotten_is_synced_all_the_same(
    outbox: Outbox,
) -> None:
    put(outbox, b"1")
    outbox.forget("b1", "cam/scores", 1)
    full = 2
    assert outbox._file.connection.execute("PRAGMA synchronous").fetchone() == (full,)


class _Slow(list[Entry]):
    """Entries whose number is told late, when somebody else has had time to store something."""

    def __init__(self, entries: list[Entry]) -> None:
        super().__init__(entries)
        self.asked, self.go_on = threading.Event(), threading.Event()

    def __len__(self) -> int:
        self.asked.set()
        self.go_on.wait(0.5)
        return super().__len__()


def test_what_two_threads_store_at_once_is_counted_as_it_is(outbox: Outbox) -> None:
    slow = _Slow([Entry("cam/scores", Rank.TELEMETRY, b"12345")])
    thread = threading.Thread(target=outbox.put, args=(slow,), kwargs={"ts": "t", "now_s": 0.0})
    thread.start()
    assert slow.asked.wait(10)
    put(outbox, b"12345", stream="mic/scores")
    slow.go_on.set()
    thread.join()
    level = outbox.level()
    assert (level.rows, level.size_bytes) == (2, 2 * (5 + ROW_BYTES))


def test_what_a_full_disk_refuses_is_not_counted(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "outbox.db", "b1", limit_bytes=1_000_000)) as outbox:
        put(outbox, b"1")
        before = outbox.level()
        (pages,) = outbox._file.connection.execute("PRAGMA page_count").fetchone()
        outbox._file.connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(NoSpaceError, match="full"):
            put(outbox, bytes(50_000))
        assert outbox.level() == before
        outbox._file.connection.execute(f"PRAGMA max_page_count = {2 * pages + 50}")
        put(outbox, bytes(50_000))
        assert outbox.level().rows == 2
