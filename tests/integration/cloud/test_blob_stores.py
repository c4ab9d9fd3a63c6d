"""What every store of blobs does, wherever they lie."""

import hashlib
import io
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skerry_cloud.blobs import Blob, BlobStore
from skerry_contract.errors import DigestError, NameInvalidError, NoSpaceError, NotFoundError
from skerry_contract.names import Digest
from support.seaweedfs import Seaweedfs
from support.stores import s3_store

pytestmark = pytest.mark.integration

DATA = b"weights" * 1000
DIGEST = Digest(f"sha256:{hashlib.sha256(DATA).hexdigest()}")
LARGE = os.urandom(20 * 1024 * 1024 + 17)
"""More than two parts of a multipart upload."""
LARGE_DIGEST = Digest(f"sha256:{hashlib.sha256(LARGE).hexdigest()}")


class Time:
    """A clock that a test may turn on."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, clock: Time) -> Iterator[BlobStore]:
    """An empty store of each kind in turn."""
    if request.param == "folder":
        yield BlobStore(tmp_path / "blobs")
        return
    server: Seaweedfs = request.getfixturevalue("seaweedfs")
    with s3_store(tmp_path / "server", server, clock=clock) as store:
        yield store


def stored(blobs: BlobStore) -> set[str]:
    return {one.digest for one in blobs.stored()}


@pytest.mark.parametrize("source", [DATA, io.BytesIO(DATA)], ids=["bytes", "stream"])
def test_what_is_put_is_found_under_its_digest(
    blobs: BlobStore, source: bytes | io.BytesIO
) -> None:
    if isinstance(source, io.BytesIO):
        source.seek(0)
    assert blobs.put(source, DIGEST) == Blob(DIGEST, len(DATA))
    assert blobs.has(DIGEST)
    assert blobs.size(DIGEST) == len(DATA)
    with blobs.open(DIGEST) as file:
        assert file.read() == DATA
    with blobs.file(DIGEST) as path:
        assert path.read_bytes() == DATA
    assert stored(blobs) == {DIGEST}
    assert blobs.answers()


@pytest.mark.parametrize("size", [0, 1, 8 * 1024 * 1024, 8 * 1024 * 1024 + 1])
def test_sizes_at_the_edges_come_back_as_they_went(blobs: BlobStore, size: int) -> None:
    data = LARGE[:size]
    blob = blobs.put(data)
    assert (blobs.size(blob.digest), blobs.read(blob.digest, limit=size)) == (size, data)
    assert b"".join(blobs.pieces(blob.digest, 0, size)) == data


def test_a_large_blob_comes_back_whole_and_in_pieces(blobs: BlobStore) -> None:
    assert blobs.put(io.BytesIO(LARGE), LARGE_DIGEST).size == len(LARGE)
    with blobs.open(LARGE_DIGEST) as file:
        assert file.read() == LARGE
        file.seek(-5, os.SEEK_END)
        assert file.read() == LARGE[-5:]
    for first, size in ((0, len(LARGE)), (0, 10), (9_999_999, 300_000), (len(LARGE) - 1, 1)):
        pieces = b"".join(blobs.pieces(LARGE_DIGEST, first, size))
        assert pieces == LARGE[first : first + size]


def test_a_reader_that_leaves_in_the_middle_harms_nobody(blobs: BlobStore) -> None:
    blobs.put(LARGE)
    pieces = blobs.pieces(LARGE_DIGEST, 0, len(LARGE))
    assert LARGE.startswith(next(pieces))
    del pieces
    assert b"".join(blobs.pieces(LARGE_DIGEST, 0, len(LARGE))) == LARGE


def test_putting_the_same_bytes_again_changes_nothing(blobs: BlobStore) -> None:
    blobs.put(DATA)
    blobs.put(DATA, DIGEST)
    assert stored(blobs) == {DIGEST}


def test_many_who_put_and_read_the_same_bytes_at_once_all_succeed(blobs: BlobStore) -> None:
    def put_and_read(number: int) -> bytes:
        digest = blobs.put(LARGE, LARGE_DIGEST).digest if number % 2 else LARGE_DIGEST
        if not number % 2 and not blobs.has(digest):
            return LARGE
        return b"".join(blobs.pieces(digest, 0, len(LARGE)))

    with ThreadPoolExecutor(6) as pool:
        assert all(data == LARGE for data in pool.map(put_and_read, range(6)))
    assert stored(blobs) == {LARGE_DIGEST}


def test_a_finished_file_is_adopted(blobs: BlobStore, tmp_path: Path) -> None:
    for _ in range(2):
        path = tmp_path / "finished"
        path.write_bytes(LARGE)
        blobs.adopt(path, Blob(LARGE_DIGEST, len(LARGE)))
        assert not path.exists()
    assert blobs.read(LARGE_DIGEST, limit=len(LARGE)) == LARGE


def test_other_bytes_than_promised_are_refused_and_not_kept(blobs: BlobStore) -> None:
    with pytest.raises(DigestError, match=DIGEST):
        blobs.put(b"tampered", DIGEST)
    assert stored(blobs) == set()


def test_more_bytes_than_the_limit_are_refused_and_not_kept(blobs: BlobStore) -> None:
    with pytest.raises(NoSpaceError, match=str(len(DATA) - 1)):
        blobs.put(DATA, DIGEST, limit=len(DATA) - 1)
    assert stored(blobs) == set()
    assert blobs.put(DATA, DIGEST, limit=len(DATA)).size == len(DATA)


def test_a_writer_that_fails_leaves_nothing(blobs: BlobStore) -> None:
    def body_breaks_off() -> None:
        with blobs.writer() as writer:
            writer.write(DATA)
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        body_breaks_off()
    assert stored(blobs) == set()


def test_a_missing_blob_is_named(blobs: BlobStore) -> None:
    def file(digest: str) -> None:
        with blobs.file(digest):
            pass

    for look in (blobs.open, blobs.size, file, lambda digest: blobs.pieces(digest, 0, 10)):
        with pytest.raises(NotFoundError, match=DIGEST):
            look(DIGEST)
    assert not blobs.has(DIGEST)


def test_reading_whole_has_a_limit(blobs: BlobStore) -> None:
    blobs.put(DATA)
    assert blobs.read(DIGEST, limit=len(DATA)) == DATA
    with pytest.raises(NoSpaceError, match=DIGEST):
        blobs.read(DIGEST, limit=len(DATA) - 1)


@pytest.mark.parametrize("odd", ["sha256:../../etc/passwd", "sha256:" + "A" * 64, "md5:a", ""])
def test_a_digest_is_no_way_out(blobs: BlobStore, odd: str) -> None:
    for look in (blobs.open, blobs.size, blobs.has, blobs.file):
        with pytest.raises(NameInvalidError):
            look(odd)


def test_what_was_used_lately_is_not_deleted(blobs: BlobStore, clock: Time) -> None:
    blobs.put(DATA)
    assert blobs.delete_unused(DIGEST, time.time() - 10) == 0
    assert {one.used >= time.time() - 10 for one in blobs.stored()} == {True}
    clock.ahead_s = 7200.0
    assert blobs.delete_unused(DIGEST, time.time() + 10) == len(DATA)
    assert stored(blobs) == set()


def test_deleting_is_harmless_to_repeat_and_to_readers(blobs: BlobStore) -> None:
    blobs.put(DATA)
    with blobs.open(DIGEST) as file:
        freed = [blobs.delete_unused(DIGEST, time.time() + 10) for _ in range(2)]
        assert freed == [len(DATA), 0]
        assert file.read() == DATA
    assert not blobs.has(DIGEST)
    assert blobs.put(DATA).digest == DIGEST
    assert blobs.has(DIGEST)
