"""Copies of blobs that lie elsewhere: bounded, whole, and harmless to lose."""

import hashlib
from pathlib import Path

import pytest

from skerry_cloud.blobs import Blob, FolderBackend
from skerry_cloud.blobs.s3.cache import RESERVE_BYTES, Cache
from skerry_contract.names import Digest

PLENTY = RESERVE_BYTES * 100


def blob_of(data: bytes) -> Blob:
    return Blob(Digest(f"sha256:{hashlib.sha256(data).hexdigest()}"), len(data))


def fill(cache: Cache, data: bytes) -> bool:
    taken = cache.fill(blob_of(data))
    if taken is None:
        return False
    taken.write(data)
    taken.close()
    return True


def copy(cache: Cache, data: bytes, tmp_path: Path) -> bytes | None:
    path = tmp_path / "copy"
    path.unlink(missing_ok=True)
    return path.read_bytes() if cache.link(blob_of(data).digest, path) else None


def test_a_copy_is_there_once_all_of_it_came(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 100)
    taken = cache.fill(blob_of(b"12345"))
    assert taken is not None
    taken.write(b"123")
    assert copy(cache, b"12345", tmp_path) is None
    assert cache.fill(blob_of(b"12345")) is None, "one at a time fills it in"
    taken.write(b"45")
    taken.close()
    assert copy(cache, b"12345", tmp_path) == b"12345"
    assert cache.size_bytes == 5


@pytest.mark.parametrize("came", [b"", b"123", b"54321", b"123456"])
def test_what_is_not_the_blob_is_not_kept(tmp_path: Path, came: bytes) -> None:
    cache = Cache(tmp_path / "cache", 100)
    taken = cache.fill(blob_of(b"12345"))
    assert taken is not None
    taken.write(came)
    taken.close()
    assert copy(cache, b"12345", tmp_path) is None
    assert fill(cache, b"12345"), "it can be tried again"
    assert list((tmp_path / "cache" / "writing").iterdir()) == []


def test_above_its_cap_what_was_used_longest_ago_goes(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 12)
    for data in (b"aaaa", b"bbbb", b"cccc"):
        assert fill(cache, data)
    assert copy(cache, b"aaaa", tmp_path) == b"aaaa"
    assert fill(cache, b"dddd")
    found = {data for data in (b"aaaa", b"bbbb", b"cccc", b"dddd") if copy(cache, data, tmp_path)}
    assert found == {b"aaaa", b"cccc", b"dddd"}
    assert not fill(cache, b"e" * 13), "it never fits"
    assert cache.size_bytes == 12
    # What is on its way counts, too.
    assert cache.fill(blob_of(b"f" * 12)) is not None
    assert not fill(cache, b"g")


def test_a_cache_of_nothing_keeps_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 0)
    assert not fill(cache, b"a")
    assert copy(cache, b"a", tmp_path) is None


def test_a_disk_that_fills_up_costs_copies_and_nothing_else(tmp_path: Path) -> None:
    free = [PLENTY]
    cache = Cache(tmp_path / "cache", 100, lambda _folder: free[0])
    assert fill(cache, b"old")
    free[0] = RESERVE_BYTES + 2
    assert not fill(cache, b"new")
    assert cache.size_bytes == 0, "it made what room it could"
    free[0] = PLENTY
    assert fill(cache, b"new")


def test_a_finished_file_is_kept_if_there_is_room(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 5)
    for data, kept in ((b"12345", True), (b"123456", False)):
        path = tmp_path / "finished"
        path.write_bytes(data)
        cache.adopt(path, blob_of(data))
        assert copy(cache, data, tmp_path) == (data if kept else None)
        assert path.exists() is not kept
        path.unlink(missing_ok=True)


def test_copies_and_their_order_outlive_the_server_and_what_was_half_done_does_not(
    tmp_path: Path,
) -> None:
    first = Cache(tmp_path / "cache", 100)
    for data in (b"aaaa", b"bbbb", b"cccc"):
        fill(first, data)
    assert copy(first, b"aaaa", tmp_path) == b"aaaa"
    (first.scratch / "half").mkdir()
    again = Cache(tmp_path / "cache", 12)
    assert list(again.scratch.iterdir()) == []
    assert again.size_bytes == 12
    fill(again, b"dddd")
    assert copy(again, b"bbbb", tmp_path) is None
    assert copy(again, b"aaaa", tmp_path) == b"aaaa"


def test_copies_that_a_power_cut_may_have_torn_are_forgotten(tmp_path: Path) -> None:
    first = Cache(tmp_path / "cache", 100, boot="one")
    fill(first, b"aaaa")
    killed = Cache(tmp_path / "cache", 100, boot="one")
    assert copy(killed, b"aaaa", tmp_path) == b"aaaa"
    assert Cache(tmp_path / "cache", 100, boot="two").size_bytes == 0
    second = Cache(tmp_path / "cache", 100, boot="two")
    fill(second, b"bbbb")
    second.close()
    assert Cache(tmp_path / "cache", 100, boot="three").size_bytes == 4
    assert Cache(tmp_path / "cache", 100, boot="four").size_bytes == 0, "three was not closed"


def test_a_copy_that_somebody_removed_is_only_missed(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 100)
    fill(cache, b"aaaa")
    FolderBackend(tmp_path / "cache").delete(blob_of(b"aaaa").digest)
    assert copy(cache, b"aaaa", tmp_path) is None
    assert fill(cache, b"aaaa")
    assert cache.size_bytes == 4
