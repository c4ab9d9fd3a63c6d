"""What the agent must not forget: it survives, and damage to it is survived too."""

import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry_agent.reconciling.memory import MAX_BAD, Committed, Memory
from skerry_contract import shape
from skerry_contract.desired import ModuleSpec
from skerry_contract.errors import NoSpaceError
from skerry_contract.manifest import FolderInput, Probe, RunSettings
from skerry_contract.messages import MAX_DETAIL_CHARS, BadRevision, Failure
from skerry_contract.names import Digest

DIGEST = Digest(f"sha256:{'ab' * 32}")
RUN = RunSettings(
    env={"NAME": "é\n"}, inputs={"frames": FolderInput("a/b", "*.png")}, probe=Probe(failures=9)
)
SET = Committed(7, "porch:2", {"faces": ModuleSpec("faces:3", DIGEST, 512, RUN)})
NOTHING = Committed(0, "", {})
FILES = ["desired.json", "committed.json", "bad.json", "births.json"]


def refusal(n: int, text: str = "it stopped", detail: str = "") -> BadRevision:
    failure = Failure("PROBE", text, detail=detail)
    return BadRevision("faces", f"faces:{n}", DIGEST, f"{n:012x}", failure, "2030-01-01")


def test_a_new_device_remembers_nothing(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    assert memory.accepted() is None
    assert memory.committed() == NOTHING
    assert memory.bad() == ()


def test_everything_survives_a_new_start(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.accept(b'{"any": "bytes"}\xff')
    memory.commit(SET)
    memory.remember_bad([refusal(1)])
    assert [memory.next_birth(), memory.next_birth()] == [1, 2]

    again = Memory(tmp_path)
    assert again.accepted() == b'{"any": "bytes"}\xff'
    assert again.committed() == SET
    assert again.committed().modules["faces"].revision == SET.modules["faces"].revision
    assert again.bad() == (refusal(1),)
    assert again.next_birth() == 3


def test_the_newest_replaces_what_was_there(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    for envelope in (b"a long one", b"short"):
        memory.accept(envelope)
    memory.commit(SET)
    memory.commit(NOTHING)
    assert memory.accepted() == b"short"
    assert memory.committed() == NOTHING


def test_its_files_are_for_nobody_else_and_leave_no_others_beside_them(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.accept(b"x")
    memory.commit(SET)
    memory.remember_bad([refusal(1)])
    memory.next_birth()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    for name in FILES:
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


# --- what was refused -------------------------------------------------------------------------


def test_the_list_of_refusals_is_bounded_and_forgets_the_oldest(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.remember_bad([refusal(n) for n in range(MAX_BAD + 3)])
    assert [one.image for one in memory.bad()] == [f"faces:{n}" for n in range(3, MAX_BAD + 3)]


@pytest.mark.parametrize("letter", ["😀", "\x01"])
def test_a_list_that_is_full_of_long_failures_can_be_read_again(
    tmp_path: Path, letter: str
) -> None:
    long = [refusal(n, letter * 2000, letter * MAX_DETAIL_CHARS) for n in range(MAX_BAD)]
    (tmp_path / "bad.json").write_bytes(shape.dump({"bad": long}))
    memory = Memory(tmp_path)
    memory.remember_bad(memory.bad())
    assert len(memory.bad()) == MAX_BAD
    assert memory.bad()[0].failure.detail == letter * MAX_DETAIL_CHARS


def test_the_name_of_an_odd_file_in_a_failure_does_not_spoil_the_list(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.remember_bad([refusal(1), refusal(2, "no such file: a\udcff.bin")])
    assert [one.failure.text for one in memory.bad()] == ["it stopped", "no such file: a?.bin"]


# --- damage -----------------------------------------------------------------------------------

DAMAGE = [b"", b"{", b"[]", b"null", b"\0" * 512, b"\xff\xfe", b'{"version": "x", "bad": 1}']


@pytest.mark.parametrize("content", DAMAGE, ids=repr)
def test_a_damaged_file_counts_as_empty_and_is_written_anew(tmp_path: Path, content: bytes) -> None:
    for name in FILES:
        (tmp_path / name).write_bytes(content)
    memory = Memory(tmp_path)
    assert memory.accepted() == content  # whether it can be obeyed is for the verifier to say
    assert memory.committed() == NOTHING
    assert memory.bad() == ()
    assert memory.next_birth() == 1

    memory.commit(SET)
    memory.remember_bad([refusal(1)])
    assert memory.committed() == SET
    assert memory.bad() == (refusal(1),)


@given(st.integers(0, 10_000), st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_wrong_byte_in_a_file_makes_the_agent_fail(tmp_path: Path, at: int, byte: int) -> None:
    memory = Memory(tmp_path)
    memory.commit(SET)
    path = tmp_path / "committed.json"
    data = bytearray(path.read_bytes())
    data[at % len(data)] = byte
    path.write_bytes(data[: at or None])
    found = memory.committed()
    assert isinstance(found, Committed)


def test_a_wrong_field_of_a_committed_set_makes_it_count_as_empty(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.commit(SET)
    path = tmp_path / "committed.json"
    path.write_text(path.read_text().replace(DIGEST, "sha256:../../etc"))
    assert memory.committed() == NOTHING


def test_what_a_power_cut_left_half_written_is_not_looked_at(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.commit(SET)
    (tmp_path / ".committed.json.new").write_text("{")
    assert memory.committed() == SET
    memory.commit(NOTHING)
    assert memory.committed() == NOTHING


@pytest.mark.parametrize(
    "act",
    [
        lambda memory: memory.accept(b"x"),
        lambda memory: memory.commit(SET),
        lambda memory: memory.remember_bad([refusal(1)]),
        lambda memory: memory.next_birth(),
    ],
    ids=["accept", "commit", "refuse", "birth"],
)
@pytest.mark.parametrize("place", ["missing", "file/inside"])
def test_where_nothing_can_be_written_the_error_names_the_file(
    tmp_path: Path, place: str, act: Any
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NoSpaceError, match=place) as caught:
        act(Memory(tmp_path / place))
    assert caught.value.remedy


def test_on_a_full_disk_the_old_content_stands(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.accept(b"old")
    (tmp_path / "desired.json.new").symlink_to("/dev/full")
    with pytest.raises(NoSpaceError, match="No space left on device"):
        memory.accept(b"new")
    assert memory.accepted() == b"old"
    memory.accept(b"new")
    assert memory.accepted() == b"new"
