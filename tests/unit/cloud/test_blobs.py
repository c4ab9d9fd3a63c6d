"""The blob store, in one process; races and full disks are in the integration tests."""

import hashlib
import io
import math
from pathlib import Path

import pytest

from skerry_cloud.blobs import Blob, BlobStore
from skerry_contract.errors import DigestError, NameInvalidError, NoSpaceError, NotFoundError
from skerry_contract.names import Digest

DATA = b"weights" * 1000
DIGEST = Digest(f"sha256:{hashlib.sha256(DATA).hexdigest()}")


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def leftovers(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("source", [DATA, io.BytesIO(DATA)], ids=["bytes", "stream"])
def test_what_is_put_is_found_under_its_digest(
    blobs: BlobStore, tmp_path: Path, source: bytes | io.BytesIO
) -> None:
    if isinstance(source, io.BytesIO):
        source.seek(0)
    assert blobs.put(source, DIGEST) == Blob(DIGEST, len(DATA))

    assert blobs.has(DIGEST)
    assert blobs.size(DIGEST) == len(DATA)
    with blobs.open(DIGEST) as file:
        assert file.read() == DATA
    with blobs.file(DIGEST) as path:
        hexdigits = DIGEST.removeprefix("sha256:")
        assert path == tmp_path / "blobs" / "sha256" / hexdigits[:2] / hexdigits


def test_putting_the_same_bytes_again_changes_nothing(blobs: BlobStore, tmp_path: Path) -> None:
    blobs.put(DATA)
    with blobs.file(DIGEST) as path:
        before = path.stat()
        blobs.put(DATA, DIGEST)
        assert path.stat() == before
    assert len(leftovers(tmp_path)) == 1


def test_other_bytes_than_promised_are_refused_and_not_kept(
    blobs: BlobStore, tmp_path: Path
) -> None:
    with pytest.raises(DigestError, match=DIGEST):
        blobs.put(b"tampered", DIGEST)
    assert leftovers(tmp_path) == []


def test_more_bytes_than_the_limit_are_refused_and_not_kept(
    blobs: BlobStore, tmp_path: Path
) -> None:
    with pytest.raises(NoSpaceError, match=str(len(DATA) - 1)):
        blobs.put(DATA, DIGEST, limit=len(DATA) - 1)
    assert leftovers(tmp_path) == []
    assert blobs.put(DATA, DIGEST, limit=len(DATA)).size == len(DATA)


def test_a_writer_that_fails_leaves_nothing(blobs: BlobStore, tmp_path: Path) -> None:
    def body_breaks_off() -> None:
        with blobs.writer() as writer:
            writer.write(DATA)
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        body_breaks_off()
    assert leftovers(tmp_path) == []


def test_a_missing_blob_is_named(blobs: BlobStore) -> None:
    for look in (blobs.open, blobs.size):
        with pytest.raises(NotFoundError, match=DIGEST):
            look(DIGEST)
    assert not blobs.has(DIGEST)


def test_reading_whole_has_a_limit(blobs: BlobStore) -> None:
    blobs.put(DATA)
    assert blobs.read(DIGEST, limit=len(DATA)) == DATA
    with pytest.raises(NoSpaceError, match=DIGEST):
        blobs.read(DIGEST, limit=len(DATA) - 1)


def test_a_digest_is_no_way_out_of_the_folder(blobs: BlobStore) -> None:
    for odd in ("sha256:../../etc/passwd", "sha256:" + "A" * 64, "md5:" + "a" * 32, ""):
        with pytest.raises(NameInvalidError):
            blobs.open(odd)


def test_deleting_is_harmless_to_repeat_and_to_readers(blobs: BlobStore) -> None:
    blobs.put(DATA)
    with blobs.open(DIGEST) as file:
        freed = [blobs.delete_unused(DIGEST, math.inf) for _ in range(2)]
        assert freed == [len(DATA), 0]
        assert file.read() == DATA
    assert not blobs.has(DIGEST)


def test_half_written_blobs_of_a_dead_process_are_cleared_and_live_ones_are_kept(
    blobs: BlobStore, tmp_path: Path
) -> None:
    (tmp_path / "blobs" / "writing" / "dead").write_bytes(b"half")
    with blobs.writer() as writer:
        writer.write(DATA)
        BlobStore(tmp_path / "blobs")
    assert blobs.has(DIGEST)
    assert leftovers(tmp_path) == [DIGEST.removeprefix("sha256:")]
