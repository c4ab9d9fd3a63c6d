"""Stores of blobs on each kind of place."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skerry_cloud.blobs import BlobStore
from skerry_cloud.blobs.s3.address import BucketAddress, read_address
from skerry_cloud.blobs.s3.backend import S3Backend
from skerry_cloud.blobs.s3.bucket import Bucket
from skerry_cloud.blobs.s3.cache import Cache
from skerry_cloud.blobs.s3.patience import Patience
from skerry_cloud.blobs.s3.uses import BlobUses
from skerry_cloud.clock import Clock
from skerry_cloud.database import Database
from support.seaweedfs import Seaweedfs

GRACE_S = 3600.0
CACHE_BYTES = 64 * 1024 * 1024


def address_of(server: Seaweedfs, url: str) -> BucketAddress:
    """Return the address of a part of the bucket that ``fresh`` gave."""
    bucket, prefix = read_address(url)
    return BucketAddress(bucket, prefix, server.endpoint)


@contextmanager
def s3_backend(
    folder: Path,
    address: BucketAddress,
    *,
    cache_bytes: int = CACHE_BYTES,
    patience: Patience = Patience(),  # noqa: B008 (it is frozen)
    clock: Clock,
) -> Iterator[S3Backend]:
    """Give a bucket as a place for blobs, with cache and times of use in ``folder``."""
    folder.mkdir(exist_ok=True)
    database = Database.in_file(folder / "uses.db")
    bucket = Bucket(address, patience)
    cache = Cache(folder / "cache", cache_bytes)
    backend = S3Backend(bucket, cache, BlobUses(database, clock), grace_s=GRACE_S, clock=clock)
    yield backend
    backend.close()
    database.close()


@contextmanager
def s3_store(
    folder: Path, server: Seaweedfs, *, clock: Clock, cache_bytes: int = CACHE_BYTES
) -> Iterator[BlobStore]:
    """Give a store of blobs in a fresh part of the bucket."""
    address = address_of(server, server.fresh())
    with s3_backend(folder, address, cache_bytes=cache_bytes, clock=clock) as backend:
        yield BlobStore(folder / "blobs", backend)
