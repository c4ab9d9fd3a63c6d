"""The store of blobs: what is written is hashed on the way, and has its name only as a whole."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from skerry_cloud import space
from skerry_cloud.blobs.backend import (
    CHUNK,
    MAX_BLOB_BYTES,
    Backend,
    Blob,
    Readable,
    Stored,
    missing,
)
from skerry_cloud.blobs.folder import FolderBackend
from skerry_contract.errors import DigestError, NoSpaceError
from skerry_contract.names import Digest, check_digest


class BlobWriter:
    """Takes the bytes of one blob; ``BlobStore.writer`` makes it."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._hash = hashlib.sha256()
        self._size = 0
        self.expected: Digest | None = None

    @property
    def blob(self) -> Blob:
        """What has been written so far."""
        return Blob(Digest(f"sha256:{self._hash.hexdigest()}"), self._size)

    def write(self, data: bytes) -> int:
        """Add ``data`` and return its length.

        Raises:
            NoSpaceError: The blob would grow over its limit, or the disk is full.
        """
        self._size += len(data)
        if self._size > self._limit:
            raise NoSpaceError(
                f"{self.expected or 'a blob'} has more than the {self._limit} bytes allowed for it"
            )
        self._hash.update(data)
        self._file.write(data)
        return len(data)


class BlobStore:
    """Blobs, wherever they lie; what is being written lies below a folder of this machine.

    What an earlier process left half written is removed; what another process is writing at this
    moment is left alone. Where the blobs lie elsewhere, every method may raise ObjectStoreError.

    Args:
        root: The folder, made if it is not there; nothing else may write to it.
        backend: Where finished blobs lie; the same folder unless told otherwise.
    """

    def __init__(self, root: Path, backend: Backend | None = None) -> None:
        self._root = root
        self._writing = root / "writing"
        self._writing.mkdir(parents=True, exist_ok=True)
        self._backend: Backend = backend or FolderBackend(root)
        for leftover in self._writing.iterdir():
            _remove_if_abandoned(leftover)

    @property
    def place(self) -> str:
        """What the place of the blobs is called when it does not answer."""
        return self._backend.place

    def has(self, digest: str) -> bool:
        """Return whether the blob is here, whole; asking counts as use."""
        return self._backend.use(Digest(check_digest(digest)))

    def size(self, digest: str) -> int:
        """Return the length of a blob in bytes.

        Raises:
            NotFoundError: It is not here.
        """
        size = self._backend.find(Digest(check_digest(digest)))
        if size is None:
            raise missing(digest)
        return size

    def open(self, digest: str) -> BinaryIO:
        """Open a blob for reading; it can be read to its end even if it is deleted meanwhile.

        Raises:
            NotFoundError: It is not here.
            DigestError: Its bytes are not what they were.
        """
        return self._backend.open(Digest(check_digest(digest)))

    def file(self, digest: str) -> AbstractContextManager[Path]:
        """Give a blob as a file of this machine, to be read or linked to while the block lasts.

        Raises:
            NotFoundError: It is not here.
            DigestError: Its bytes are not what they were.
        """
        return self._backend.file(Digest(check_digest(digest)))

    def pieces(self, digest: str, first: int, size: int) -> Iterator[bytes]:
        """Yield ``size`` bytes of a blob from byte ``first`` on, for somebody who verifies them.

        Raises:
            NotFoundError: It is not here; raised at once and not by the first step.
        """
        return self._backend.pieces(Digest(check_digest(digest)), first, size)

    def read(self, digest: str, *, limit: int) -> bytes:
        """Return all bytes of a blob of at most ``limit`` bytes.

        Raises:
            NotFoundError: It is not here.
            NoSpaceError: It is larger than ``limit``.
        """
        if self.size(digest) > limit:
            raise NoSpaceError(f"{digest} has more than the {limit} bytes allowed for it")
        with self.open(digest) as file:
            return file.read()

    def put(
        self,
        source: bytes | Readable,
        expected: Digest | None = None,
        *,
        limit: int = MAX_BLOB_BYTES,
    ) -> Blob:
        """Store ``source``; storing the same bytes again is harmless.

        Args:
            source: The bytes, or something to read them from until its end.
            expected: Digest that they must have.
            limit: Refuse more bytes than this.

        Raises:
            DigestError: The bytes hash to something else than ``expected``.
            NoSpaceError: The limit or the disk has no room; nothing is left behind.
        """
        with self.writer(expected, limit=limit) as writer:
            for chunk in _chunks(source):
                writer.write(chunk)
        return writer.blob

    @contextmanager
    def writer(
        self, expected: Digest | None = None, *, limit: int = MAX_BLOB_BYTES
    ) -> Iterator[BlobWriter]:
        """Take the bytes of a blob piece by piece; it is stored when the block ends well.

        Raises:
            DigestError: The bytes hash to something else than ``expected``.
            NoSpaceError: The limit or the disk has no room; nothing is left behind.
        """
        if expected is not None:
            check_digest(expected)
        temporary: Path | None = None
        try:
            file, temporary = _locked_file(self._writing)
            with file:
                writer = BlobWriter(file, limit)
                writer.expected = expected
                yield writer
                self._keep(file, temporary, writer.blob, expected)
        except OSError as error:
            if space.is_full(error):
                raise NoSpaceError(
                    f"no room below {self._root} for {expected or 'a blob'}: {error.strerror}",
                    remedy=space.REMEDY,
                ) from error
            raise
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)

    def adopt(self, path: Path, blob: Blob) -> None:
        """Make a finished file of this disk a blob; its bytes were verified by the caller.

        Raises:
            OSError: It could not be done; the file is as it was.
        """
        if not self._backend.use(blob.digest):
            self._backend.take(path, blob)
        path.unlink(missing_ok=True)

    def stored(self) -> Iterator[Stored]:
        """Yield every blob that is here; those that come or go meanwhile may be left out."""
        return self._backend.stored()

    def delete_unused(self, digest: str, before: float) -> int:
        """Remove a blob unless it was used since ``before``; return how many bytes that freed."""
        return self._backend.delete_unused(Digest(check_digest(digest)), before)

    def tidy(self) -> None:
        """Remove what interrupted writers left behind elsewhere."""
        self._backend.tidy()

    def answers(self) -> bool:
        """Tell whether blobs can be read and written at this moment."""
        return self._backend.answers()

    def close(self) -> None:
        """Let go of whatever is held open."""
        self._backend.close()

    def _keep(self, file: BinaryIO, temporary: Path, blob: Blob, expected: Digest | None) -> None:
        if expected is not None and blob.digest != expected:
            raise DigestError(
                f"{blob.size} bytes that should be {expected} are {blob.digest}",
                remedy="Send them again; they changed on the way, or while they were read.",
            )
        if not self._backend.use(blob.digest):
            file.flush()
            self._backend.take(temporary, blob)


def _chunks(source: bytes | Readable) -> Iterable[bytes]:
    if isinstance(source, bytes):
        return [source]
    return iter(lambda: source.read(CHUNK), b"")


def _locked_file(folder: Path) -> tuple[BinaryIO, Path]:
    while True:
        handle, name = tempfile.mkstemp(dir=folder)
        file: BinaryIO = os.fdopen(handle, "wb")
        fcntl.flock(file, fcntl.LOCK_EX)
        # A store that was opened between the two calls took it for abandoned.
        if os.fstat(file.fileno()).st_nlink:
            return file, Path(name)
        file.close()


def _remove_if_abandoned(leftover: Path) -> None:
    # Who writes a file holds its lock, and the kernel lets go of it when that process ends.
    with suppress(FileNotFoundError, BlockingIOError), leftover.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        leftover.unlink()
