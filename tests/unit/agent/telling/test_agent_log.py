"""The agent's own log: bounded, and never in the way."""

import logging
from pathlib import Path

from skerry_agent.telling.agent_log import AGENT_LOG, AgentLog, end_of_log


def say(log: AgentLog, text: str) -> None:
    log.emit(logging.LogRecord("agent", logging.INFO, "", 0, text, None, None))


def test_it_holds_the_newest_lines_in_two_files_of_bounded_size(tmp_path: Path) -> None:
    log = AgentLog(tmp_path, max_bytes=2000)
    for number in range(500):
        say(log, f"line {number}")
    log.close()
    sizes = [one.stat().st_size for one in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert sum(sizes) < 4200
    lines = end_of_log(tmp_path, 10_000).splitlines()
    assert lines[-1].endswith("line 499")
    assert [line.rpartition(" ")[2] for line in lines] == [
        str(n) for n in range(500 - len(lines), 500)
    ]


def test_the_end_is_no_longer_than_asked(tmp_path: Path) -> None:
    log = AgentLog(tmp_path)
    say(log, "x" * 1000)
    log.close()
    assert len(end_of_log(tmp_path, 100)) == 100
    assert (tmp_path / AGENT_LOG).stat().st_mode & 0o077 == 0


def test_a_disk_that_refuses_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / AGENT_LOG).mkdir()
    say(AgentLog(tmp_path), "lost")
    assert end_of_log(tmp_path / "gone", 100) == ""
