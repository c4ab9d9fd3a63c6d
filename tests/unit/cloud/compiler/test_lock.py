"""Hashes that an environment file itself gives."""

from skerry_cloud.compiler.lock import gives_hashes, not_locked, with_given_hashes

A, B, C = (f"--hash=sha256:{64 * letter}" for letter in "abc")
LOCK = f"six==1.17.0 \\\n    {A} \\\n    {B}\ntqdm==4.67.1 \\\n    {A}\n"


def test_hashes_of_the_file_replace_those_of_the_index() -> None:
    lines = [f"Six==1.17.0 {C}", "tqdm"]
    assert gives_hashes(lines)
    assert with_given_hashes(LOCK, lines) == (
        f"six==1.17.0 \\\n    {C}\ntqdm==4.67.1 \\\n    {A}\n"
    )


def test_without_hashes_the_lock_stays_as_it_is() -> None:
    assert not gives_hashes(["six", "tqdm"])
    assert with_given_hashes(LOCK, ["six", "tqdm"]) == LOCK


def test_a_lock_given_back_is_the_same_lock() -> None:
    lines = [f"six==1.17.0 {A} {B}", f"tqdm==4.67.1 {A}"]
    assert with_given_hashes(LOCK, lines) == LOCK
    assert not_locked(LOCK, lines) == []


def test_a_file_of_hashes_only_must_name_all() -> None:
    assert not_locked(LOCK, [f"six==1.17.0 {A}"]) == ["tqdm==4.67.1"]
    assert not_locked(LOCK, [f"six==1.17.0 {A}", "tqdm"]) == []
