"""Which blobs may go, by table."""

import os
from pathlib import Path

import pytest

from skerry_cloud.blobs import BlobStore, FolderBackend, Stored
from skerry_cloud.sweep import unneeded
from skerry_contract.names import Digest

DIGEST = Digest("sha256:" + "a" * 64)
OTHER = Digest("sha256:" + "b" * 64)


@pytest.mark.parametrize(
    ("used", "needed", "expected"),
    [
        pytest.param(99.0, set(), [DIGEST], id="old, and nothing needs it"),
        pytest.param(99.0, {DIGEST}, [], id="old, but needed"),
        pytest.param(99.0, {OTHER}, [DIGEST], id="something else is needed"),
        pytest.param(100.0, set(), [], id="not needed yet, perhaps just uploaded"),
    ],
)
def test_only_what_is_old_and_not_needed_goes(
    used: float, needed: set[str], expected: list[str]
) -> None:
    assert unneeded([Stored(DIGEST, used)], needed, 100.0) == expected


def test_a_blob_that_is_asked_for_or_sent_again_is_kept(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    kept = {name: blobs.put(name.encode()).digest for name in ("asked", "sent", "left")}
    for digest in kept.values():
        os.utime(FolderBackend(tmp_path).path(digest), (1.0, 1.0))
    assert blobs.has(kept["asked"])
    blobs.put(b"sent")
    freed = {name: blobs.delete_unused(digest, 100.0) for name, digest in kept.items()}
    assert freed == {"asked": 0, "sent": 0, "left": 4}
    assert {blob.digest for blob in blobs.stored()} == {kept["asked"], kept["sent"]}
