"""Verdicts hold from the moment they are passed, whatever the disk says."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from skerry_agent.core.world import Key, key_of
from skerry_agent.reconciling.history import History
from skerry_agent.reconciling.memory import MAX_BAD, Memory
from skerry_contract.errors import NoSpaceError
from skerry_contract.messages import make_failure
from support.memory_device import MemoryDevice, spec
from support.stepped_agent import DiskMemory

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SPEC = spec("a:1")
KEY = key_of("a", SPEC)
CERTAIN, PASSING = make_failure("INIT_FAILED", "it raised"), make_failure("PROBE", "it died")


def history_of(memory: Memory) -> History:
    return History(memory, lambda: NOON)


def test_a_verdict_survives_the_agent(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    history = history_of(memory)
    assert history.failed(KEY, SPEC, CERTAIN, committed=False, now=1.0)
    history.save()

    [bad] = history_of(memory).bad
    assert (bad.module, bad.image, bad.failure, bad.ts) == (
        "a",
        "a:1",
        CERTAIN,
        "2026-01-02T12:00:00Z",
    )
    assert history_of(memory).bad_keys() == {KEY}


def test_on_a_full_disk_a_verdict_holds_and_is_written_later(tmp_path: Path) -> None:
    device = MemoryDevice(full=True)
    memory = DiskMemory(tmp_path, device)
    history = history_of(memory)
    history.refuse(KEY, SPEC, CERTAIN)
    with pytest.raises(NoSpaceError):
        history.save()
    assert history.bad_keys() == {KEY}
    assert memory.bad() == ()

    device.full = False
    history.save()
    assert memory.bad() == history.bad


def test_one_that_is_refused_again_stands_there_once_and_last(tmp_path: Path) -> None:
    history = history_of(Memory(tmp_path))
    other = Key("b", "0" * 12)
    history.refuse(KEY, SPEC, CERTAIN)
    history.refuse(other, SPEC, CERTAIN)
    history.refuse(KEY, SPEC, PASSING)
    assert [(one.module, one.failure) for one in history.bad] == [("b", CERTAIN), ("a", PASSING)]


def test_the_list_is_bounded(tmp_path: Path) -> None:
    history = history_of(Memory(tmp_path))
    for n in range(MAX_BAD + 5):
        history.refuse(Key("a", f"{n:012}"), SPEC, CERTAIN)
    assert history.bad[0].revision == f"{5:012}"
    assert len(history.bad) == MAX_BAD


def test_what_is_forgiven_is_forgotten_with_its_failures(tmp_path: Path) -> None:
    history = history_of(Memory(tmp_path))
    for module in ("a", "b"):
        history.refuse(Key(module, "0" * 12), SPEC, CERTAIN)
    assert history.forgive("b") == 1
    assert [one.module for one in history.bad] == ["a"]
    assert (history.forgive(), history.forgive()) == (1, 0)
    assert history.failures == {}
