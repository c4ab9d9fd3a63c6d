"""Uploads that outlive both sides: bytes are kept as they come, and become a blob at the end.

An upload is known by the digest that it must have, so whoever has the same bytes goes on with it.
What has come lies in one file, whose length is the offset to go on from; it is verified as a whole
before it becomes a blob, so what a power cut tore is found and sent again. The last byte counts
only once the blob is stored: who sends it again after a failure has that tried again. One writer
at a time has an upload, and holds a lock that the kernel lets go of when its process ends.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from skerry_cloud import space
from skerry_cloud.blobs import CHUNK, MAX_BLOB_BYTES, Blob, BlobStore, Readable
from skerry_cloud.clock import Clock
from skerry_contract.errors import ConflictError, DigestError, NoSpaceError, NotFoundError
from skerry_contract.names import Digest, check_digest

MAX_UPLOADS = 100
"""Unfinished ones at once."""
MAX_AGE_S = 24 * 3600.0
"""Seconds after its last byte that an unfinished one is kept."""
RESERVE_BYTES = 64 * 1024 * 1024
"""What uploads leave free on the disk."""
_SYNC_EVERY = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """How far an upload has come.

    Attributes:
        digest: What its bytes must hash to.
        size: How many there must be.
        offset: How many are here.
    """

    digest: Digest
    size: int
    offset: int


class Uploads:
    """Unfinished uploads in one folder, on the disk of the blobs.

    Args:
        folder: Made if it is not there; nothing else may write to it.
        blobs: Where they go when they are whole.
        clock: That of the folder's files.
        free: Tells how many bytes the disk has left.
    """

    def __init__(
        self,
        folder: Path,
        blobs: BlobStore,
        clock: Clock,
        free: Callable[[Path], int] = space.free_bytes,
    ) -> None:
        self._folder = folder
        self._blobs = blobs
        self._clock = clock
        self._free = free
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, digest: str, size: int) -> Upload:
        """Begin an upload, or find how far it came before; repeating this is harmless.

        Raises:
            NameInvalidError: It is no digest.
            ConflictError: It was begun with another size, or too many are unfinished.
            NoSpaceError: The bytes would not fit.
        """
        check_digest(digest)
        if size > MAX_BLOB_BYTES:
            raise NoSpaceError(f"{digest} has {size} bytes, and {MAX_BLOB_BYTES} are allowed")
        with suppress(NotFoundError):
            found = self.find(digest)
            if found.size != size:
                raise ConflictError(f"{digest} was begun with {found.size} bytes, not {size}")
            if found.offset < size:
                self._check_room(found)
            return found
        self.forget_old()
        self._check_number()
        self._check_room(Upload(Digest(digest), size, 0))
        with suppress(FileExistsError), self._path(digest, size).open("xb"):
            pass
        return self.find(digest)

    def find(self, digest: str) -> Upload:
        """Return how far an upload has come; what is a blob already is whole.

        Raises:
            NameInvalidError: It is no digest.
            NotFoundError: It was never begun, or was forgotten.
        """
        name = Digest(check_digest(digest))
        # First what is on this disk: an upload goes on while the object store is away.
        for path in self._folder.glob(f"{_hex(digest)}.*"):
            with suppress(FileNotFoundError):
                size = _size(path)
                return Upload(name, size, min(path.stat().st_size, max(size - 1, 0)))
        if self._blobs.has(digest):
            size = self._blobs.size(digest)
            return Upload(name, size, size)
        raise NotFoundError(f"there is no upload of {digest}", remedy="Begin it anew.")

    def append(self, digest: str, offset: int, source: Readable) -> Upload:
        """Add what ``source`` has, from ``offset`` on; the last byte makes it a blob.

        What has come when ``source`` fails is kept.

        Raises:
            NotFoundError: It was never begun, or was forgotten.
            ConflictError: Another writer has it, or ``offset`` is not where it ends.
            DigestError: All bytes are here and are not what they should be; they are forgotten.
            NoSpaceError: There are more bytes than there must be, or the disk is full.
            ObjectStoreError: All bytes are here, and the object store does not take them.
        """
        found = self.find(digest)
        if found.offset != offset:
            raise _elsewhere(found, offset)
        if found.offset == found.size and self._blobs.has(digest):
            return found
        path = self._path(digest, found.size)
        with space.told(f"{digest} after {offset} bytes"), _held(path) as file:
            if min(file.seek(0, os.SEEK_END), max(found.size - 1, 0)) != offset:
                raise _elsewhere(self.find(digest), offset)
            file.truncate(offset)
            file.seek(offset)
            state = hashlib.sha256()
            end = offset + _copy(source, file, state.update, found.size - offset)
            if end < found.size:
                os.fsync(file.fileno())
                return Upload(found.digest, found.size, end)
            if offset:
                # The state of a hash cannot be stored, so what came before is read again.
                file.seek(0)
                state = hashlib.file_digest(file, "sha256")
            self._finish(path, found, f"sha256:{state.hexdigest()}")
        return Upload(found.digest, found.size, end)

    def cancel(self, digest: str) -> None:
        """Forget an upload; forgetting what is not here is harmless.

        Raises:
            ConflictError: Somebody is writing it.
        """
        check_digest(digest)
        for path in self._folder.glob(f"{_hex(digest)}.*"):
            with suppress(FileNotFoundError, NotFoundError), _held(path):
                path.unlink()

    def expiry(self) -> float:
        """Return when an upload that is written to now is forgotten, in seconds since 1970."""
        return self._clock() + MAX_AGE_S

    def forget_old(self) -> int:
        """Forget what nobody wrote to for ``MAX_AGE_S``; return how many bytes that freed."""
        freed = 0
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError, NotFoundError, ConflictError):
                found = path.stat()
                if found.st_mtime < self._clock() - MAX_AGE_S:
                    with _held(path):
                        path.unlink()
                    freed += found.st_size
        return freed

    def _finish(self, path: Path, upload: Upload, actual: str) -> None:
        if actual != upload.digest:
            path.unlink()
            raise DigestError(
                f"{upload.size} bytes that should be {upload.digest} are {actual}",
                remedy="Send them again; they changed on the way, or while they were read.",
            )
        self._blobs.adopt(path, Blob(upload.digest, upload.size))

    def _check_number(self) -> None:
        unfinished = len(list(self._folder.iterdir()))
        if unfinished >= MAX_UPLOADS:
            raise ConflictError(
                f"{unfinished} uploads are unfinished",
                remedy=f"Finish one of them; after {MAX_AGE_S / 3600:.0f} h they are forgotten.",
            )

    def _check_room(self, upload: Upload) -> None:
        promised = 0
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                if path.stem != _hex(upload.digest):
                    promised += _size(path) - path.stat().st_size
        free = self._free(self._folder)
        missing = upload.size - upload.offset
        if missing > free - promised - RESERVE_BYTES:
            raise NoSpaceError(
                f"{missing} bytes of {upload.digest} are missing; the disk has {free} free, "
                f"of which {promised} are promised to other uploads and {RESERVE_BYTES} stay free",
                remedy=space.REMEDY,
            )

    def _path(self, digest: str, size: int) -> Path:
        return self._folder / f"{_hex(digest)}.{size}"


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _size(path: Path) -> int:
    return int(path.suffix[1:])


def _elsewhere(found: Upload, offset: int) -> ConflictError:
    return ConflictError(
        f"{found.digest} goes on at byte {found.offset}, not {offset}",
        remedy="Ask where it ends, and go on from there.",
    )


def _copy(source: Readable, file: FileIO, count: Callable[[bytes], object], limit: int) -> int:
    """Append ``source`` to ``file`` and return how many bytes came."""
    copied = synced = 0
    while data := source.read(CHUNK):
        if copied + len(data) > limit:
            raise NoSpaceError(f"more came than the {limit} bytes that were missing")
        file.write(data)
        count(data)
        copied += len(data)
        if copied - synced >= _SYNC_EVERY:
            # So that a power cut costs little of what was sent, and the last sync is short.
            os.fdatasync(file.fileno())
            synced = copied
    return copied


@contextmanager
def _held(path: Path) -> Iterator[FileIO]:
    """Open an upload's file, unbuffered, for this writer alone."""
    try:
        file = path.open("r+b", buffering=0)
    except FileNotFoundError as error:
        raise NotFoundError("the upload is gone", remedy="Begin it anew.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                "somebody else is sending the same bytes", remedy="Wait until that ends."
            ) from error
        if not os.fstat(file.fileno()).st_nlink:
            raise NotFoundError("the upload is gone", remedy="Begin it anew.")
        yield file
