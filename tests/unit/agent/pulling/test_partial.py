"""A blob on its way in: what is gone on from after a kill, a power cut, and rot."""

import os
from pathlib import Path

import pytest

from skerry_agent.pulling import partial as module
from skerry_agent.pulling.partial import CHUNK_BYTES, JOURNAL, Partial
from skerry_contract.errors import DigestError
from skerry_contract.names import Digest
from support.images import digest_of, noise

DATA = noise(3 * CHUNK_BYTES + 1000, seed=9)
DIGEST = digest_of(DATA)
BOOT_BYTES = 36


def open_partial(folder: Path, digest: Digest = DIGEST, size: int = len(DATA)) -> Partial:
    return Partial(folder / "part", folder / "whole", digest, size)


def killed(folder: Path, count: int) -> None:
    """Leave behind what a process that is killed after ``count`` bytes does."""
    child = os.fork()
    if child == 0:
        partial = open_partial(folder)
        for at in range(0, count, 65536):
            partial.write(DATA[at : min(count, at + 65536)])
        os._exit(0)
    os.waitpid(child, 0)


def after_another_boot(folder: Path) -> None:
    """Make the journal one of an earlier boot of the machine."""
    journal = folder / f"part{JOURNAL}"
    journal.write_bytes(b"x" * BOOT_BYTES + journal.read_bytes()[BOOT_BYTES:])


def finish(folder: Path) -> int:
    """Go on and commit; return where it went on from."""
    with open_partial(folder) as partial:
        began = partial.offset
        partial.write(DATA[began:])
        partial.commit()
    assert (folder / "whole").read_bytes() == DATA
    assert sorted(path.name for path in folder.iterdir()) == ["whole"]
    return began


@pytest.mark.parametrize("count", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 5])
def test_a_killed_process_takes_nothing_with_it(tmp_path: Path, count: int) -> None:
    killed(tmp_path, count)
    assert finish(tmp_path) == count


@pytest.mark.parametrize(
    ("count", "left"),
    [
        (CHUNK_BYTES - 1, 0),
        (CHUNK_BYTES + 70_000, CHUNK_BYTES),
        (2 * CHUNK_BYTES + 1, 2 * CHUNK_BYTES),
    ],
)
def test_after_a_power_cut_it_goes_on_from_the_last_chunk(
    tmp_path: Path, count: int, left: int
) -> None:
    killed(tmp_path, count)
    after_another_boot(tmp_path)
    with (tmp_path / "part").open("r+b") as file:  # the end was never written to the disk
        file.seek(left)
        file.write(bytes(count - left))
    assert finish(tmp_path) == left


def test_a_clean_end_keeps_every_byte_over_a_reboot(tmp_path: Path) -> None:
    with open_partial(tmp_path) as partial:
        partial.write(DATA[:70_001])
    after_another_boot(tmp_path)
    with open_partial(tmp_path) as partial:
        partial.write(DATA[70_001:70_010])
    after_another_boot(tmp_path)
    assert finish(tmp_path) == 70_010


def test_a_chunk_that_rotted_costs_what_follows_it_and_no_more(tmp_path: Path) -> None:
    killed(tmp_path, 3 * CHUNK_BYTES)
    with (tmp_path / "part").open("r+b") as file:
        file.seek(CHUNK_BYTES + 17)
        file.write(b"rot")
    assert finish(tmp_path) == CHUNK_BYTES


@pytest.mark.parametrize("missing", [1, 39, 40, 41, 10_000])
def test_a_torn_journal_costs_only_what_it_no_longer_tells(tmp_path: Path, missing: int) -> None:
    killed(tmp_path, 2 * CHUNK_BYTES)
    after_another_boot(tmp_path)
    journal = tmp_path / f"part{JOURNAL}"
    journal.write_bytes(journal.read_bytes()[: max(0, BOOT_BYTES + 80 - missing)])
    expected = {1: CHUNK_BYTES, 39: CHUNK_BYTES, 40: CHUNK_BYTES}.get(missing, 0)
    assert finish(tmp_path) == expected


@pytest.mark.parametrize("journal", [b"", b"\xff" * 36 + b"\xff" * 40, bytes(1000)])
def test_a_journal_that_lies_is_not_believed(tmp_path: Path, journal: bytes) -> None:
    killed(tmp_path, CHUNK_BYTES + 5)
    (tmp_path / f"part{JOURNAL}").write_bytes(journal)
    assert finish(tmp_path) == 0


def test_a_file_that_lost_its_end_goes_on_from_a_chunk(tmp_path: Path) -> None:
    killed(tmp_path, 2 * CHUNK_BYTES + 5)
    os.truncate(tmp_path / "part", CHUNK_BYTES + 9)
    assert finish(tmp_path) == CHUNK_BYTES


def test_another_boot_has_another_name() -> None:
    assert len(module._boot_id()) == BOOT_BYTES
    assert module._boot_id() == module._boot_id()


def test_wrong_bytes_leave_nothing(tmp_path: Path) -> None:
    with open_partial(tmp_path) as partial:
        partial.write(b"x" * len(DATA))
        with pytest.raises(DigestError):
            partial.commit()
        assert partial.offset == 0
        partial.write(DATA)  # another source may send the right ones at once
        partial.commit()
    assert (tmp_path / "whole").read_bytes() == DATA


def test_what_is_empty_in_the_end_leaves_no_file(tmp_path: Path) -> None:
    with open_partial(tmp_path) as partial:
        partial.write(b"abc")
        partial.restart()
    assert list(tmp_path.iterdir()) == []
