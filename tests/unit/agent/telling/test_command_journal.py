"""What is remembered of commands survives a kill at any moment."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from skerry_agent.core.commands import Book, Record
from skerry_agent.telling.command_journal import CommandJournal, machine_boot
from skerry_contract.errors import NoSpaceError

RECORD = Record("0" * 16, 1, "check", "2026-11-25T12:00:00Z", "executing", {}, boot="b1")

WRITE_FOR_EVER = """
import sys
from dataclasses import replace
from pathlib import Path
from skerry_agent.core.commands import Record
from skerry_agent.telling.command_journal import CommandJournal
journal = CommandJournal(Path(sys.argv[1]))
record = Record("0" * 16, 1, "check", "2026-11-25T12:00:00Z", "executing", {}, boot="b1")
step = 0
while True:
    step += 1
    journal.keep(replace(record, step=step))
    print(step, flush=True)
"""


def test_what_was_kept_is_there_after_a_start(tmp_path: Path) -> None:
    path = tmp_path / "commands.json"
    CommandJournal(path).keep(RECORD)
    assert CommandJournal(path).book == Book(0, (RECORD,))
    assert path.stat().st_mode & 0o077 == 0


def test_a_kill_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "commands.json"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        for _ in range(20):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split()
    process.wait()
    last = max(20, *map(int, rest)) if rest else 20
    (found,) = CommandJournal(path).book.records
    assert found.step in (last, last + 1)


def test_a_damaged_file_counts_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "commands.json"
    path.write_bytes(b'{"floor": 3, "rec')
    assert CommandJournal(path).book == Book()


def test_a_full_disk_is_told_and_what_was_kept_stands(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    journal = CommandJournal(folder / "commands.json")
    (folder / "commands.json.new").mkdir()
    with pytest.raises(NoSpaceError):
        journal.keep(RECORD)
    assert journal.book == Book()
    journal.note(RECORD)
    assert journal.book.records == (RECORD,)


def test_the_kernel_says_which_run_of_the_machine_this_is() -> None:
    assert machine_boot() == machine_boot() != ""
