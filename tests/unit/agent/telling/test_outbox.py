"""The outbox: numbers, acknowledgements, limits, and what a kill leaves behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry_agent.core.window import Stored
from skerry_agent.telling.outbox import MAX_ITEM_BYTES, Entry, Outbox, Rank
from skerry_contract.errors import ContractError, NoSpaceError


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.db", "b1", limit_bytes=1000)
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
    assert outbox.level().size_bytes == 1


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
    assert outbox.level().size_bytes == 1000


def test_telemetry_never_pushes_out_an_event(outbox: Outbox) -> None:
    put(outbox, b"e" * 900, stream="event/module", rank=Rank.EVENT)

    with pytest.raises(NoSpaceError, match="more important"):
        put(outbox, b"t" * 200)
    assert [one.stream for one in waiting(outbox, Rank.EVENT)] == ["event/module"]
    put(outbox, b"t" * 100)
    put(outbox, b"e" * 100, stream="event/module", rank=Rank.EVENT)
    assert waiting(outbox) == []


def test_a_batch_is_stored_as_a_whole_or_not_at_all(outbox: Outbox) -> None:
    with pytest.raises(ContractError, match="65537 bytes"):
        put(outbox, b"1", b"x" * (MAX_ITEM_BYTES + 1))
    with pytest.raises(NoSpaceError):
        put(outbox, b"1", b"x" * 2000)
    put(outbox, b"2")

    assert [(one.seq, one.data) for one in waiting(outbox)] == [(1, b"2")]


def test_reading_goes_on_after_an_id(outbox: Outbox) -> None:
    put(outbox, b"1", b"2", b"3")
    first = outbox.waiting(Rank.TELEMETRY, after_id=0, limit=2)

    assert [one.data for one in waiting(outbox, after_id=first[-1].id)] == [b"3"]


_WRITER = """
import sys
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
    assert outbox._db.execute("PRAGMA synchronous").fetchone() == (full,)
