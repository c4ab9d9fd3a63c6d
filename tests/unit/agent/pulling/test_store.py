"""The blob store: what is in it was verified, and stays so over anything that happens."""

import itertools
import os
import time
from pathlib import Path

import pytest

from skerry_agent.pulling.partial import PIECE_BYTES
from skerry_agent.pulling.store import BlobStore
from skerry_contract.errors import ContractError, DigestError, NoSpaceError, NotFoundError
from skerry_contract.names import Digest
from support.images import digest_of

DATA = bytes(range(256)) * 1024
DIGEST = digest_of(DATA)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs", cap_bytes=10_000_000)


def put(store: BlobStore, data: bytes) -> Digest:
    with store.begin(digest_of(data), len(data)) as partial:
        partial.write(data)
        partial.commit()
    return digest_of(data)


def test_what_was_committed_is_there_and_stays_there(store: BlobStore, tmp_path: Path) -> None:
    put(store, DATA)
    again = BlobStore(tmp_path / "blobs", cap_bytes=10_000_000)
    assert again.has(DIGEST)
    assert b"".join(again.chunks(DIGEST)) == DATA
    assert again.missing([DIGEST, digest_of(b"x"), digest_of(b"x")]) == (digest_of(b"x"),)


def test_an_empty_blob_is_a_blob(store: BlobStore) -> None:
    digest = put(store, b"")
    assert store.read(digest, max_bytes=0) == b""


def test_what_is_not_whole_cannot_be_read(store: BlobStore) -> None:
    with store.begin(DIGEST, len(DATA)) as partial:
        partial.write(DATA[:1000])
        assert not store.has(DIGEST)
    with pytest.raises(NotFoundError, match=DIGEST):
        store.path(DIGEST)
    assert store.partial_bytes(DIGEST) == 1000


def test_a_partial_file_is_gone_on_from_by_the_next_process(tmp_path: Path) -> None:
    with BlobStore(tmp_path, cap_bytes=10**7).begin(DIGEST, len(DATA)) as partial:
        partial.write(DATA[:100_000])
    store = BlobStore(tmp_path, cap_bytes=10**7)
    with store.begin(DIGEST, len(DATA)) as partial:
        assert partial.offset == 100_000
        partial.write(DATA[100_000:])
        partial.commit()
    assert store.read(DIGEST, max_bytes=len(DATA)) == DATA
    assert store.partial_bytes(DIGEST) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(DATA[:-1] + b"x", id="one byte differs"),
        pytest.param(DATA[:-1], id="one byte is missing"),
    ],
)
def test_wrong_bytes_never_become_a_blob_and_are_thrown_away(
    store: BlobStore, wrong: bytes
) -> None:
    with store.begin(DIGEST, len(DATA)) as partial:
        partial.write(wrong)
        with pytest.raises(DigestError, match=DIGEST):
            partial.commit()
    assert not store.has(DIGEST)
    assert store.partial_bytes(DIGEST) == 0


def test_more_bytes_than_were_promised_are_not_even_written(store: BlobStore) -> None:
    with store.begin(DIGEST, 10) as partial:
        partial.write(b"x" * 10)
        with pytest.raises(DigestError, match="10 bytes"):
            partial.write(b"x")
    assert store.size_bytes() == 0


def test_a_partial_file_that_is_too_long_is_begun_anew(store: BlobStore) -> None:
    with store.begin(DIGEST, len(DATA)) as partial:
        partial.write(DATA)
    with store.begin(DIGEST, 10) as partial:
        assert partial.offset == 0


@pytest.mark.parametrize("at", [0, PIECE_BYTES, len(DATA) - 1])
def test_rot_is_found_before_the_last_piece_is_handed_out(store: BlobStore, at: int) -> None:
    put(store, DATA)
    rotten = bytearray(DATA)
    rotten[at] ^= 1
    store.path(DIGEST).write_bytes(rotten)
    seen = bytearray()
    with pytest.raises(DigestError, match="changed on this device's disk"):
        seen.extend(itertools.chain.from_iterable(store.chunks(DIGEST)))
    assert len(seen) < len(DATA)
    assert not store.has(DIGEST)


def test_a_small_read_has_a_limit(store: BlobStore) -> None:
    put(store, DATA)
    with pytest.raises(ContractError, match="at most 100"):
        store.read(DIGEST, max_bytes=100)


def stale(store: BlobStore, digest: Digest, age_s: float) -> None:
    then = time.time() - age_s
    os.utime(store.path(digest), (then, then))


def test_room_is_made_by_removing_the_oldest_that_is_not_kept(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, cap_bytes=1000, floor_free_bytes=0)
    oldest, kept, old, new = (put(store, bytes([n]) * 200) for n in range(4))
    for digest, age_s in ((oldest, 400), (kept, 300), (old, 200), (new, 100)):
        stale(store, digest, age_s)
    store.make_room(550, {kept}, "cam:1")
    assert [store.has(digest) for digest in (oldest, kept, old, new)] == [False, True, False, True]
    store.touch([oldest])  # what is not here is passed over
    store.make_room(500, {kept}, "cam:1")
    assert store.has(new)


def test_what_was_needed_lately_goes_last(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, cap_bytes=1000, floor_free_bytes=0)
    first, second = put(store, b"a" * 400), put(store, b"b" * 400)
    stale(store, first, 300)
    stale(store, second, 200)
    store.touch([first])
    store.make_room(300, (), "cam:1")
    assert store.has(first)
    assert not store.has(second)


def test_a_partial_file_goes_together_with_its_journal(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, cap_bytes=1000, floor_free_bytes=0)
    with store.begin(DIGEST, len(DATA)) as partial:
        partial.write(b"x" * 800)
    with store.begin(digest_of(b"y"), 100) as partial:
        partial.write(b"y" * 50)
    store.make_room(700, {digest_of(b"y")}, "cam:1")
    assert store.partial_bytes(DIGEST) == 0
    assert store.partial_bytes(digest_of(b"y")) == 50
    assert not [path for path in (tmp_path / "partial").iterdir() if DIGEST[7:] in path.name]


def test_what_does_not_fit_under_the_cap_is_told_with_every_number(store: BlobStore) -> None:
    kept = put(store, DATA)
    gone = put(store, b"gone")
    store.make_room(10_000_000 - len(DATA) - 4, {kept}, "cam:1")
    with pytest.raises(NoSpaceError) as caught:
        store.make_room(10_000_000, {kept}, "cam:1")
    told = caught.value.text
    assert f"cam:1 needs 10000000 more bytes; the store holds {len(DATA) + 4} of at most" in told
    assert "10000000; " in told
    assert "of which 268435456 must stay free; 4 could be removed, which is not enough" in told
    assert "store_mb" in caught.value.remedy
    assert store.has(gone)  # where it does not help, nothing goes


def test_what_does_not_fit_on_the_disk_is_told(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, cap_bytes=2**62, floor_free_bytes=2**60)
    with pytest.raises(NoSpaceError, match=f"of which {2**60} must stay free"):
        store.make_room(1, (), "cam:1")


def test_trimming_removes_what_is_over_and_leaves_the_rest(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, cap_bytes=10**6, floor_free_bytes=0)
    old, new = put(store, b"a" * 400), put(store, b"b" * 400)
    stale(store, old, 100)
    store.trim(())
    assert store.has(old)
    small = BlobStore(tmp_path, cap_bytes=500, floor_free_bytes=0)
    small.trim(())
    assert (small.has(old), small.has(new)) == (False, True)
