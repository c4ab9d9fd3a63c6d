"""Blobs as objects of a bucket: ``PREFIX/sha256/ab/abcdef…``, as in a folder.

An object appears as a whole, under the digest of its bytes, so two writers of the same blob do not
disturb each other and no write needs a condition. What the server itself reads is fetched as a
whole and verified first; what it hands on is verified by who gets it.
"""

import hashlib
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

from skerry_cloud import space
from skerry_cloud.blobs.backend import Blob, Stored, missing
from skerry_cloud.blobs.folder import pieces_of
from skerry_cloud.blobs.s3.address import BucketAddress
from skerry_cloud.blobs.s3.bucket import Bucket
from skerry_cloud.blobs.s3.cache import Cache
from skerry_cloud.blobs.s3.patience import Patience
from skerry_cloud.blobs.s3.uses import BlobUses
from skerry_cloud.clock import Clock
from skerry_contract.errors import DigestError, NameInvalidError
from skerry_contract.names import Digest, check_digest

UPLOAD_AGE_S = 24 * 3600.0
"""Seconds after which a multipart upload that did not end is taken for a dead server's."""
START_S = 5.0
"""How long a server that starts waits for its object store."""
_MOST_KNOWN = 10_000
_BLOBS = "sha256/"


def open_backend(
    address: BucketAddress, cache: Cache, uses: BlobUses, *, grace_s: float
) -> "S3Backend":
    """Return a bucket as the place for blobs, once it was tried.

    Args:
        address: Where the bucket is.
        cache: The copies.
        uses: When each blob was used.
        grace_s: Seconds after its last use that a blob is safe from being deleted.

    Raises:
        ObjectStoreError: It does not answer, or refuses what is needed; the remedy says what.
    """
    bucket = Bucket(address)
    try:
        bucket.prepare(Patience(within_s=START_S))
    except BaseException:
        bucket.close()
        raise
    return S3Backend(bucket, cache, uses, grace_s=grace_s, clock=time.time)


class S3Backend:
    """Blobs in a bucket, with copies of those that were used last on this disk.

    Args:
        bucket: Where they are.
        cache: The copies.
        uses: When each was used.
        grace_s: Seconds after its last use that a blob is safe from being deleted.
        clock: That of this machine.
    """

    place = "object store"

    def __init__(
        self, bucket: Bucket, cache: Cache, uses: BlobUses, *, grace_s: float, clock: Clock
    ) -> None:
        self._bucket = bucket
        self._cache = cache
        self._uses = uses
        self._grace_s = grace_s
        # Within this time after a note, there is no need for another.
        self._fresh_s = grace_s / 4
        self._clock = clock
        self._known: OrderedDict[Digest, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, digest: Digest) -> int | None:
        """Return the length of a blob in bytes, or None if it is not there."""
        if (known := self._fresh(digest)) is not None:
            return known
        return self._bucket.size(_key(digest))

    def use(self, digest: Digest) -> bool:
        """Note that a blob is used now, and tell whether it is there."""
        if self._fresh(digest) is not None:
            return True
        if self._bucket.size(_key(digest)) is None:
            return False
        noted = self._note(digest)
        # Who deletes looks for notes first, so what is there after a note stays.
        size = self._bucket.size(_key(digest))
        if size is None:
            return False
        self._remember(Blob(digest, size), noted)
        return True

    def open(self, digest: Digest) -> BinaryIO:
        """Open a verified copy of a blob.

        Raises:
            NotFoundError: It is not there.
            DigestError: Its bytes in the bucket are not what they were.
            NoSpaceError: This disk has no room for a copy.
        """
        with self.file(digest) as path:
            return path.open("rb")

    @contextmanager
    def file(self, digest: Digest) -> Iterator[Path]:
        """Give a verified copy of a blob as a file, while the block lasts.

        Raises:
            NotFoundError: It is not there.
            DigestError: Its bytes in the bucket are not what they were.
            NoSpaceError: This disk has no room for a copy.
        """
        with tempfile.TemporaryDirectory(dir=self._cache.scratch) as folder:
            path = Path(folder) / "blob"
            if not self._cache.link(digest, path):
                self._fetch(digest, path)
            yield path

    def pieces(self, digest: Digest, first: int, size: int) -> Iterator[bytes]:
        """Yield ``size`` bytes of a blob from byte ``first`` on.

        Raises:
            NotFoundError: It is not there; raised at once and not by the first step.
        """
        with tempfile.TemporaryDirectory(dir=self._cache.scratch) as folder:
            path = Path(folder) / "blob"
            if self._cache.link(digest, path):
                return pieces_of(path.open("rb"), first, size)
        pieces = self._pieces(digest, first, size)
        if first == 0 and size == self.find(digest):
            blob = Blob(digest, size)
            return self._kept(blob, _verified(blob, pieces))
        return pieces

    def take(self, path: Path, blob: Blob) -> None:
        """Store a finished file of this disk; the cache may keep it."""
        hexdigits = blob.digest.removeprefix("sha256:")
        # Before, so that nobody deletes it as soon as it is there.
        noted = self._note(blob.digest)
        self._bucket.put_file(_key(blob.digest), path, blob.size, hexdigits)
        if self._clock() > noted + self._fresh_s:
            noted = self._note(blob.digest)
        self._remember(blob, noted)
        self._cache.adopt(path, blob)

    def stored(self) -> Iterator[Stored]:
        """Yield every blob that is there; those that come or go meanwhile may be left out."""
        uses = self._uses.all()
        for one in self._bucket.listed(_BLOBS):
            digest = _digest(one.key)
            if digest is not None:
                yield Stored(digest, max(one.modified, uses.get(digest, 0.0)))

    def delete_unused(self, digest: Digest, before: float) -> int:
        """Remove a blob unless it was used since ``before``; return how many bytes that freed."""
        key = _key(digest)
        size = self._bucket.size(key)
        with self._uses.unused(digest, before) as unused:
            if not unused or size is None:
                return 0
            # All who write to the database wait for this, so it is tried once and briefly.
            self._bucket.delete(key)
            self._forget(digest)
        self._cache.drop(digest)
        return size

    def tidy(self) -> None:
        """Forget what dead servers left half sent, and times that protect nothing any more."""
        now = self._clock()
        self._bucket.abort_uploads(_BLOBS, now - UPLOAD_AGE_S)
        self._uses.forget_before(now - 2 * self._grace_s)

    def answers(self) -> bool:
        """Tell whether the object store answers."""
        return self._bucket.answers()

    def close(self) -> None:
        """Let go of the object store, and keep the copies for good."""
        self._bucket.close()
        self._cache.close()

    def _fetch(self, digest: Digest, path: Path) -> None:
        """Write a verified copy to ``path``, and keep it in the cache if there is room."""
        size = self.find(digest)
        if size is None:
            raise missing(digest)
        blob = Blob(digest, size)
        if fill := self._cache.fill(blob):
            with closing(fill):
                for piece in _verified(blob, self._pieces(digest, 0, size)):
                    fill.write(piece)
            if self._cache.link(digest, path):
                return
        with space.told(f"{digest} cannot be fetched"), path.open("wb") as file:
            for piece in _verified(blob, self._pieces(digest, 0, size)):
                file.write(piece)

    def _kept(self, blob: Blob, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Pass on all of a blob, and keep a copy if there is room."""
        # Here and not before the first step, which may never come.
        fill = self._cache.fill(blob)
        with closing(fill) if fill else nullcontext():
            for piece in pieces:
                if fill:
                    fill.write(piece)
                yield piece

    def _pieces(self, digest: Digest, first: int, size: int) -> Iterator[bytes]:
        try:
            return self._bucket.pieces(_key(digest), first, size)
        except KeyError as error:
            self._forget(digest)
            raise missing(digest) from error

    def _fresh(self, digest: Digest) -> int | None:
        """Return the length of a blob that was used so lately that it must still be there."""
        with self._lock:
            size, until = self._known.get(digest, (0, 0.0))
        return size if until > self._clock() else None

    def _note(self, digest: Digest) -> float:
        """Note that a blob is used now, and return that time."""
        noted = self._clock()
        self._uses.note(digest)
        return noted

    def _forget(self, digest: Digest) -> None:
        with self._lock:
            self._known.pop(digest, None)

    def _remember(self, blob: Blob, noted: float) -> None:
        with self._lock:
            self._known[blob.digest] = (blob.size, noted + self._fresh_s)
            self._known.move_to_end(blob.digest)
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)


def _key(digest: str) -> str:
    hexdigits = check_digest(digest).removeprefix("sha256:")
    return f"{_BLOBS}{hexdigits[:2]}/{hexdigits}"


def _digest(key: str) -> Digest | None:
    """Return the digest that an object's name stands for; None if it is no blob's."""
    digest = Digest(f"sha256:{key.rpartition('/')[2]}")
    try:
        return digest if _key(digest) == key else None
    except NameInvalidError:
        return None


def _verified(blob: Blob, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pass on all of a blob, and hold back the end if the bytes are wrong."""
    state, left = hashlib.sha256(), blob.size
    for piece in pieces:
        state.update(piece)
        left -= len(piece)
        if not left and blob.digest != (found := f"sha256:{state.hexdigest()}"):
            raise DigestError(
                f"the object store's bytes of {blob.digest} are {found}",
                remedy="Remove that object from the bucket, and upload the file again.",
            )
        yield piece
