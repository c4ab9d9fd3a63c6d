"""The blobs of a folder; what holds for every store is among the integration tests."""

import hashlib
from pathlib import Path

import pytest

from skerry_cloud.blobs import BlobStore
from skerry_contract.errors import DigestError, NoSpaceError
from skerry_contract.names import Digest

DATA = b"weights" * 1000
DIGEST = Digest(f"sha256:{hashlib.sha256(DATA).hexdigest()}")


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def leftovers(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


def test_a_blob_is_a_file_that_is_named_by_its_digest_and_never_written_again(
    blobs: BlobStore, tmp_path: Path
) -> None:
    blobs.put(DATA)
    hexdigits = DIGEST.removeprefix("sha256:")
    path = tmp_path / "blobs" / "sha256" / hexdigits[:2] / hexdigits
    before = path.stat()
    blobs.put(DATA, DIGEST)
    assert path.stat() == before
    assert leftovers(tmp_path) == [hexdigits]


def test_what_is_refused_leaves_nothing_on_the_disk(blobs: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(DigestError):
        blobs.put(b"tampered", DIGEST)
    with pytest.raises(NoSpaceError):
        blobs.put(DATA, DIGEST, limit=len(DATA) - 1)
    assert leftovers(tmp_path) == []


def test_half_written_blobs_of_a_dead_process_are_cleared_and_live_ones_are_kept(
    blobs: BlobStore, tmp_path: Path
) -> None:
    (tmp_path / "blobs" / "writing" / "dead").write_bytes(b"half")
    with blobs.writer() as writer:
        writer.write(DATA)
        BlobStore(tmp_path / "blobs")
    assert blobs.has(DIGEST)
    assert leftovers(tmp_path) == [DIGEST.removeprefix("sha256:")]
