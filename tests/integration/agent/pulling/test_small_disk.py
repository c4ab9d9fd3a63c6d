"""A disk that is really small: low space is found before the download, and a full one midway."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry_agent.pulling.store import BlobStore
from skerry_contract.errors import NoSpaceError
from support.blob_server import Request, blob_server
from support.images import digest_of, noise, oci_image
from support.pulls import cloud, pull

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
MADE = oci_image([noise(6 * MIB, seed=31)])
BIG = MADE.layers[0]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 10 MiB; the tests that mount it run as root, as CI does."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def store_on(disk: Path, *, floor: int = 0) -> BlobStore:
    return BlobStore(disk / "blobs", cap_bytes=10**9, floor_free_bytes=floor)


def test_low_space_is_found_before_the_download_with_every_number(disk: Path) -> None:
    store = store_on(disk, floor=6 * MIB)
    with blob_server(MADE.blobs) as server:
        with pytest.raises(NoSpaceError, match=rf"cam:1 needs 6\d+ .* {6 * MIB} must stay free"):
            pull(MADE, store, cloud(server.url))
        assert BIG not in [digest for digest, _ in server.asked]


def test_a_disk_that_fills_up_midway_keeps_what_came_and_goes_on_later(disk: Path) -> None:
    store = store_on(disk)
    others = disk / "others"
    with blob_server(MADE.blobs) as server:

        def filling(request: Request) -> None:
            others.write_bytes(bytes(os.statvfs(disk).f_bavail * 4096 - 3 * MIB))
            request.right()

        server.faults[BIG] = [filling]
        with pytest.raises(NoSpaceError, match=f"of {len(MADE.blobs[BIG])} bytes of {BIG}"):
            pull(MADE, store, cloud(server.url))
        came = store.partial_bytes(BIG)
        assert 2 * MIB < came < 4 * MIB
        others.unlink()
        pull(MADE, store, cloud(server.url))
        assert server.asked[-1] == (BIG, came)


def test_what_is_old_makes_room_on_the_disk_and_what_is_kept_does_not(disk: Path) -> None:
    store = store_on(disk)
    for seed in (1, 2):
        data = noise(3 * MIB, seed=seed)
        with store.begin(digest_of(data), len(data)) as partial:
            partial.write(data)
            partial.commit()
        os.utime(store.path(digest_of(data)), (seed, seed))
    old, new = (digest_of(noise(3 * MIB, seed=seed)) for seed in (1, 2))
    store.make_room(5 * MIB, {new}, "cam:1")
    assert (store.has(old), store.has(new)) == (False, True)
    with pytest.raises(NoSpaceError, match="0 could be removed"):
        store.make_room(8 * MIB, {new}, "cam:1")
