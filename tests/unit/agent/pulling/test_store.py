"""The blob store: what is in it was verified, and stays so over anything that happens."""

import itertools
from pathlib import Path

import pytest

from skerry_agent.pulling.store import CHUNK_BYTES, BlobStore
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


@pytest.mark.parametrize("at", [0, CHUNK_BYTES, len(DATA) - 1])
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


def test_collect_removes_everything_that_is_not_kept(store: BlobStore) -> None:
    kept, gone = put(store, b"kept"), put(store, b"gone")
    for data in (b"kept partial", b"gone partial"):
        with store.begin(digest_of(data), 100) as partial:
            partial.write(data)
    freed = store.collect({kept, digest_of(b"kept partial")})
    assert freed == len(b"gone") + len(b"gone partial")
    assert store.has(kept)
    assert not store.has(gone)
    assert store.partial_bytes(digest_of(b"kept partial")) == len(b"kept partial")


def test_room_is_checked_against_the_cap_with_both_numbers(store: BlobStore) -> None:
    put(store, DATA)
    store.check_room(10_000_000 - len(DATA), "cam:1")
    with pytest.raises(NoSpaceError, match=rf"cam:1 needs 9999999 .* holds {len(DATA)} .*10000000"):
        store.check_room(9_999_999, "cam:1")


def test_room_is_checked_against_the_disk(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, cap_bytes=2**62, floor_free_bytes=2**60)
    with pytest.raises(NoSpaceError, match="free on the disk"):
        store.check_room(1, "cam:1")
