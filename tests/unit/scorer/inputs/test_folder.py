"""Which file is next, and what becomes of it."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_scorer.inputs import under_way
from skerry_scorer.inputs.claim import ClaimedFolder, UnusableInputError
from skerry_scorer.inputs.failed import KEEP_FAILED, KEEP_FAILED_BYTES, Look, surplus
from skerry_scorer.inputs.folder import SETTLE_S, InputFolder, Watch
from skerry_scorer.settings.inputs import FolderInput


def look(name: str, *, size: int = 1, mtime_ns: int = 0, input_name: str = "in") -> Look:
    return Look(input_name, name, size, mtime_ns, 1)


def test_a_file_is_taken_once_it_has_stayed_the_same_for_a_moment() -> None:
    watch = Watch()
    assert watch.update([look("a", size=1)], 0.0) == []
    assert watch.update([look("a", size=2)], SETTLE_S) == []
    assert watch.update([look("a", size=2)], SETTLE_S * 1.5) == []
    assert watch.update([look("a", size=2)], SETTLE_S * 2) == [look("a", size=2)]


def test_the_oldest_comes_first_and_then_the_name_decides() -> None:
    watch = Watch()
    looks = [look("c", mtime_ns=2), look("b", mtime_ns=1), look("z", mtime_ns=1, input_name="a")]
    watch.update(looks, 0.0)
    assert [found.name for found in watch.update(looks, 1.0)] == ["b", "z", "c"]


def test_a_file_that_went_and_came_back_waits_again() -> None:
    watch = Watch()
    watch.update([look("a")], 0.0)
    watch.update([], 1.0)
    assert watch.update([look("a")], 2.0) == []


def test_a_file_that_cannot_be_moved_is_left_alone_until_it_changes() -> None:
    watch = Watch()
    watch.update([look("a")], 0.0)
    watch.pass_over(look("a"))
    assert watch.update([look("a")], 1.0) == []
    changed = look("a", mtime_ns=5)
    watch.update([changed], 2.0)
    assert watch.update([changed], 3.0) == [changed]


sizes = st.integers(0, KEEP_FAILED_BYTES)


@given(st.lists(st.tuples(sizes, st.integers(0, 1000)), max_size=130))
def test_failed_files_stay_within_their_limits_and_the_newest_stays(
    kept: list[tuple[int, int]],
) -> None:
    looks = [look(f"{i:03}", size=s, mtime_ns=m) for i, (s, m) in enumerate(kept)]
    gone = surplus(looks)
    left = [found for found in looks if found not in gone]
    assert len(left) <= KEEP_FAILED
    assert sum(found.size for found in left) <= KEEP_FAILED_BYTES or len(left) == 1
    if looks:
        assert max(looks, key=lambda found: (found.mtime_ns, found.name)) in left


@pytest.fixture
def folder(tmp_path: Path) -> InputFolder:
    return InputFolder("in", FolderInput(tmp_path, "*.png"), max_bytes=10)


def only(folder: InputFolder) -> Look:
    [found] = folder.scan()
    return found


def test_only_complete_plain_files_that_match_are_seen(folder: InputFolder, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    (tmp_path / ".b.png").write_bytes(b"hidden")
    (tmp_path / "c.txt").write_bytes(b"no match")
    (tmp_path / "d.png").mkdir()
    (tmp_path / "e.png").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "f.png")
    assert [found.name for found in folder.scan()] == ["a.png"]


def test_a_folder_that_is_not_there_yet_is_found_when_it_comes(tmp_path: Path) -> None:
    folder = InputFolder("in", FolderInput(tmp_path / "later"), max_bytes=10)
    assert folder.scan() == []
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "a").write_bytes(b"1")
    assert only(folder).name == "a"


def test_a_folder_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    folder = InputFolder("in", FolderInput(place), max_bytes=10)
    assert folder.scan() == []
    place.rename(tmp_path / "old")
    place.mkdir()
    (place / "a").write_bytes(b"1")
    assert only(folder).name == "a"


def test_two_readers_never_read_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    old, new = (InputFolder("in", FolderInput(tmp_path), max_bytes=10) for _ in range(2))
    assert len(old.scan()) == 1
    assert new.scan() == []
    old.release()
    assert len(new.scan()) == 1
    assert old.scan() == []


def test_a_file_that_vanishes_or_changes_is_not_read(folder: InputFolder, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"1")
    seen = only(folder)
    file.write_bytes(b"22")
    assert folder.read(seen) is None
    file.unlink()
    assert folder.read(seen) is None


def test_a_file_that_is_too_large_is_never_read(folder: InputFolder, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"0123456789+")
    with pytest.raises(UnusableInputError, match="11 bytes, at most 10"):
        folder.read(only(folder))


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff")
    folder = InputFolder("in", FolderInput(tmp_path), max_bytes=10)
    with pytest.raises(UnusableInputError, match="UTF-8"):
        folder.read(only(folder))


def test_a_new_file_in_the_place_of_a_scored_one_is_not_removed(
    folder: InputFolder, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    seen = only(folder)
    (tmp_path / "new").write_bytes(b"2")
    (tmp_path / "new").rename(tmp_path / "a.png")
    folder.remove(seen)
    folder.set_aside(seen, "why")
    assert (tmp_path / "a.png").read_bytes() == b"2"


def test_a_file_that_could_not_be_scored_lies_in_failed_with_its_reason(
    folder: InputFolder, tmp_path: Path
) -> None:
    for content in (b"1", b"2"):
        (tmp_path / "a.png").write_bytes(content)
        folder.set_aside(only(folder), f"reason {content.decode()}")
    assert (tmp_path / "failed" / "a.png").read_bytes() == b"2"
    assert (tmp_path / "failed" / "a.png.error.txt").read_text() == "reason 2\n"
    assert folder.scan() == []


def test_failed_does_not_grow_without_end(folder: InputFolder, tmp_path: Path) -> None:
    for i in range(KEEP_FAILED + 3):
        file = tmp_path / f"{i:04}.png"
        file.write_bytes(b"1")
        os.utime(file, ns=(i, i))
        folder.set_aside(only(folder), "why")
    left = sorted(path.name for path in (tmp_path / "failed").glob("[!.]*"))
    assert len(left) == 2 * KEEP_FAILED
    assert left[0] == "0003.png"


def end_while_under_way(place: Path) -> None:
    """Leave a folder as a process does that ends while it scores the only file."""
    folder = InputFolder("in", FolderInput(place), max_bytes=10)
    folder.begin(only(folder))
    folder.release()


def test_a_file_that_has_ended_two_processes_is_not_scored_by_a_third(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    for _ in range(2):
        end_while_under_way(tmp_path)
    folder = InputFolder("in", FolderInput(tmp_path), max_bytes=10)
    seen = only(folder)
    with pytest.raises(UnusableInputError, match="ended the process 2 times while it was scored"):
        folder.begin(seen)
    folder.set_aside(seen, "why")
    (tmp_path / "a").write_bytes(b"2")
    folder.begin(only(folder))


def test_another_file_of_the_same_name_is_not_blamed_for_the_first(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    for _ in range(2):
        end_while_under_way(tmp_path)
    (tmp_path / "a").write_bytes(b"22")
    end_while_under_way(tmp_path)


def test_what_was_scored_or_forgiven_is_not_held_against_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    for _ in range(3):
        folder = InputFolder("in", FolderInput(tmp_path), max_bytes=10)
        folder.begin(only(folder))
        folder.rest()
        assert (tmp_path / "failed" / ".under-way").read_bytes().startswith(b"\n")
        folder.release()


def test_files_are_scored_where_the_note_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "failed").touch()
    (tmp_path / "a").write_bytes(b"1")
    folder = InputFolder("in", FolderInput(tmp_path, "a"), max_bytes=10)
    folder.begin(only(folder))
    assert folder.read(only(folder)) == b"1"


keys = st.tuples(st.binary(min_size=1, max_size=255).map(os.fsdecode), *[st.integers(0, 2**63)] * 3)


@given(
    st.lists(st.tuples(keys, st.integers(0, 9)), min_size=1, max_size=under_way.MAX_TOGETHER),
    st.binary(max_size=300),
)
def test_a_note_is_read_as_it_was_written_over_a_longer_one(
    inputs: list[tuple[under_way.Key, int]], rest: bytes
) -> None:
    note = under_way.spell(inputs)
    assert len(note) <= under_way.MAX_NOTE_BYTES
    assert under_way.parse(note + rest) == [(key, ended + 1) for key, ended in inputs]
    assert under_way.parse(b"\n" + note) == []


@given(st.binary())
def test_a_note_of_another_making_is_none(note: bytes) -> None:
    assert under_way.parse(note) == []
    assert under_way.parse(note + b"\n") == []


OTHER_SHAPES = ["3", "[]", "{}", '["a"]', '[["a"]]', '[["a",1,2,3,true]]', '[["a",1,2,3,4],5]']


@pytest.mark.parametrize("note", [*OTHER_SHAPES, "[" * 4000])
def test_a_note_of_another_shape_is_none(note: str) -> None:
    assert under_way.parse(note.encode() + b"\n") == []


def claimed(place: Path) -> ClaimedFolder:
    made = ClaimedFolder("in", place)
    assert made.claim()
    return made


def key_of(name: str) -> under_way.Key:
    return name, 1, 0, 0


def begin_all(folder: ClaimedFolder, names: str, until: str = "") -> None:
    """Begin inputs that come one right after the other, and end as a process does in one."""
    for i, name in enumerate(names):
        folder.begin(key_of(name), following=[(key_of(other), b"") for other in names[i + 1 :]])
        if name == until:
            break
    folder.release()


def suspected(place: Path) -> str:
    note = (place / "failed" / ".under-way").read_bytes()
    return "".join(name for (name, *_), _ in under_way.parse(note))


def test_inputs_that_follow_each_other_are_noted_together_and_ever_more_of_them(
    tmp_path: Path,
) -> None:
    names = "abcdefghijkl"
    seen = {}
    for last in names:
        begin_all(claimed(tmp_path), names, last)
        seen[last] = suspected(tmp_path)
        (tmp_path / "failed" / ".under-way").unlink()
    assert seen["a"] == "a"
    assert seen["b"] == seen["c"] == "bc"
    assert {seen[name] for name in "defg"} == {"defg"}
    assert seen["h"] == "hijkl"


def test_of_inputs_noted_together_the_guilty_one_is_found_by_its_second_end(
    tmp_path: Path,
) -> None:
    begin_all(claimed(tmp_path), "abcdefg", "f")
    assert suspected(tmp_path) == "defg"
    begin_all(claimed(tmp_path), "defg", "f")
    assert suspected(tmp_path) == "f"
    third = claimed(tmp_path)
    third.begin(key_of("d"))
    with pytest.raises(UnusableInputError, match="ended the process 2 times"):
        third.begin(key_of("f"))
    third.begin(key_of("g"))


def test_what_is_noted_together_is_bounded_in_bytes(tmp_path: Path) -> None:
    folder = claimed(tmp_path)
    half = b"x" * (under_way.MAX_TOGETHER_BYTES // 2)
    for i in range(3):
        following = [((name, len(half), 0, 0), half) for name in "abcdef"]
        folder.begin((str(i), len(half), 0, 0), half, following)
    folder.release()
    assert suspected(tmp_path) == "2ab"
    assert claimed(tmp_path).left == [half] * 3
