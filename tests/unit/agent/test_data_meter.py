"""The data meter: what was used is never forgotten, and what is over is refused with numbers."""

import json
import logging
import os
import socket
import threading
from datetime import date
from pathlib import Path

import pytest

from skerry_agent.core.data_budget import slice_bytes
from skerry_agent.data_meter import DataMeter, SocketCount, today_utc
from skerry_contract.device import DataBudget
from skerry_contract.errors import DataBudgetError
from skerry_contract.messages import DataUse

MIB = 1024 * 1024
BUDGET = DataBudget(updates_mb=10)
DAY = date(2026, 11, 25)


def meter(folder: Path, day: date = DAY) -> DataMeter:
    return DataMeter(folder / "data-used.json", BUDGET, today=lambda: day)


def test_what_was_charged_is_told_with_its_limit(tmp_path: Path) -> None:
    one = meter(tmp_path)
    one.charge("updates", sent=100, received=2 * MIB)
    one.charge("control", sent=7)
    told = one.used()
    assert told.since == "2026-11-01"
    assert told.used["updates"] == DataUse(100, 2 * MIB, 10 * MIB)
    assert told.used["control"] == DataUse(7, 0, 0)
    assert one.left("updates") == 8 * MIB - 100
    assert one.left("control") is None


def test_what_is_over_the_budget_is_refused_with_the_numbers(tmp_path: Path) -> None:
    one = meter(tmp_path)
    one.charge("updates", received=9 * MIB)
    one.check("updates", MIB, "cam:1")
    one.check("telemetry", 10**12, "a batch")
    with pytest.raises(DataBudgetError) as caught:
        one.check("updates", MIB + 1, "cam:1")
    assert caught.value.text == (
        f"cam:1 needs {MIB + 1} bytes; of the {10 * MIB} that updates may use in a month, "
        f"{MIB} are left until 2026-12-01"
    )
    assert "data_budget.updates_mb" in caught.value.remedy


def test_a_new_month_begins_with_nothing(tmp_path: Path) -> None:
    meter(tmp_path).charge("updates", received=9 * MIB)
    assert meter(tmp_path, date(2026, 12, 1)).left("updates") == 10 * MIB


def test_a_clean_end_keeps_the_count_to_the_byte(tmp_path: Path) -> None:
    one = meter(tmp_path)
    one.charge("updates", sent=3, received=12_345)
    one.close()
    assert meter(tmp_path).used().used["updates"] == DataUse(3, 12_345, 10 * MIB)


@pytest.mark.parametrize("step", [1, 1000, 50_000])
def test_a_crash_at_any_byte_forgets_none_and_costs_at_most_a_slice(
    tmp_path: Path, step: int
) -> None:
    one, charged = meter(tmp_path), 0
    for _ in range(100):
        one.charge("updates", received=step)
        charged += step
        left = meter(tmp_path).left("updates")  # what another process reads from the disk
        assert left is not None
        told = 10 * MIB - left
        assert charged <= told <= charged + slice_bytes(10 * MIB)


def test_it_writes_once_for_a_slice_and_not_for_every_byte(tmp_path: Path) -> None:
    one, path, seen = meter(tmp_path), tmp_path / "data-used.json", set()
    for _ in range(1000):
        one.charge("updates", received=100)
        seen.add(path.stat().st_ino)
    assert len(seen) <= 100_000 // slice_bytes(10 * MIB) + 1


@pytest.mark.parametrize("content", [b"", b"{", b'{"since": "2026-13-40"}', b"[]"])
def test_a_file_that_cannot_be_read_begins_a_new_count_and_says_so(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data-used.json").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert meter(tmp_path).left("updates") == 10 * MIB
    assert "counting begins anew" in caplog.text


def test_a_disk_that_takes_nothing_does_not_stop_the_counting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = DataMeter(tmp_path / "away" / "data-used.json", BUDGET, today=lambda: DAY)
    one.charge("updates", received=MIB)
    assert one.left("updates") == 9 * MIB
    assert os.strerror(2) in caplog.text


def test_many_threads_lose_no_byte(tmp_path: Path) -> None:
    one = meter(tmp_path)

    def work() -> None:
        for _ in range(500):
            one.charge("samples", sent=3)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one.close()
    assert json.loads((tmp_path / "data-used.json").read_text())["used"]["samples"]["sent"] == 12000


def test_the_real_clock_gives_a_day() -> None:
    assert today_utc() >= date(2024, 1, 1)


def test_a_connection_is_counted_down_to_its_packets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        other, _ = server.accept()
    with client, other:
        count, their = SocketCount(client), SocketCount(other)
        count.take()
        client.sendall(b"x" * 100_000)
        left = 100_000
        while left:
            left -= len(other.recv(left))
        sent, _ = count.take()
        _, received = their.take()
        assert 100_000 + 40 < sent < 110_000
        assert 100_000 + 40 < received < 110_000
        assert count.take() in {(0, 0), (0, 52)}  # an acknowledgement may still have come


def test_a_socket_that_is_closed_has_no_more_to_tell() -> None:
    sock = socket.socket()
    sock.close()
    assert SocketCount(sock).take() == (0, 0)
