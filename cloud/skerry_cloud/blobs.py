"""Content-addressed bytes in a folder: ``sha256/ab/abcdef…``.

A blob is written beside, synced and renamed, so that a name that exists always has all of its
bytes, after a power cut too. Nothing is ever changed in place: readers need no lock, and two
writers of the same bytes do not disturb each other.
"""

import fcntl
import hashlib
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from skerry_cloud import space
from skerry_contract.errors import DigestError, NoSpaceError, NotFoundError
from skerry_contract.names import Digest, check_digest

CHUNK = 1024 * 1024
"""Bytes that are read, hashed and written at once."""
MAX_BLOB_BYTES = 64 * 1024**3
"""Largest blob that is taken unless the caller says otherwise."""


@dataclass(frozen=True, slots=True)
class Blob:
    """What was stored.

    Attributes:
        digest: Content address.
        size: Length in bytes.
    """

    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob that lies in the store.

    Attributes:
        digest: Content address.
        used: When it was last stored or asked for, in seconds since 1970.
    """

    digest: Digest
    used: float


class Readable(Protocol):
    """Anything that gives bytes, as an open file does."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, and none at the end."""
        ...


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
    """Blobs below one folder, which is made if it is not there.

    What an earlier process left half written is removed; what another process is writing at this
    moment is left alone.

    Args:
        root: The folder; nothing else may write to it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._writing = root / "writing"
        # Who was told that a blob is here can count on it: no sweep is between look and touch.
        self._sweeping = threading.Lock()
        self._writing.mkdir(parents=True, exist_ok=True)
        for leftover in self._writing.iterdir():
            _remove_if_abandoned(leftover)

    def path(self, digest: str) -> Path:
        """Return where ``digest`` lies or would lie.

        Raises:
            NameInvalidError: It is no digest.
        """
        hexdigits = check_digest(digest).removeprefix("sha256:")
        return self._root / "sha256" / hexdigits[:2] / hexdigits

    def has(self, digest: str) -> bool:
        """Return whether the blob is here, whole; asking counts as use."""
        return self._touch(self.path(digest))

    def size(self, digest: str) -> int:
        """Return the length of a blob in bytes.

        Raises:
            NotFoundError: It is not here.
        """
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError as error:
            raise _missing(digest) from error

    def open(self, digest: str) -> BinaryIO:
        """Open a blob for reading; it can be read to its end even if it is deleted meanwhile.

        Raises:
            NotFoundError: It is not here.
        """
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError as error:
            raise _missing(digest) from error

    def read(self, digest: str, *, limit: int) -> bytes:
        """Return all bytes of a blob of at most ``limit`` bytes.

        Raises:
            NotFoundError: It is not here.
            NoSpaceError: It is larger than ``limit``.
        """
        with self.open(digest) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise NoSpaceError(f"{digest} has more than the {limit} bytes allowed for it")
        return data

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

    def adopt(self, path: Path, digest: Digest) -> None:
        """Make a finished file of this disk a blob; its bytes were verified by the caller.

        Raises:
            OSError: It could not be done; the file is as it was.
        """
        if self._touch(self.path(digest)):
            path.unlink()
            return
        handle = os.open(path, os.O_RDONLY)
        try:
            self._name(handle, path, digest)
        finally:
            os.close(handle)

    def delete(self, digest: str) -> None:
        """Remove a blob; removing what is not here is harmless."""
        self.path(digest).unlink(missing_ok=True)

    def stored(self) -> Iterator[Stored]:
        """Yield every blob that is here; those that come or go meanwhile may be left out."""
        for path in (self._root / "sha256").glob("??/*"):
            with suppress(FileNotFoundError):
                yield Stored(Digest(f"sha256:{path.name}"), path.stat().st_mtime)

    def delete_unused(self, digest: str, before: float) -> int:
        """Remove a blob unless it was used since ``before``; return how many bytes that freed."""
        path = self.path(digest)
        with self._sweeping, suppress(FileNotFoundError):
            found = path.stat()
            if found.st_mtime < before:
                path.unlink()
                return found.st_size
        return 0

    def _touch(self, path: Path) -> bool:
        with self._sweeping:
            try:
                os.utime(path)
            except FileNotFoundError:
                return False
        return True

    def _keep(self, file: BinaryIO, temporary: Path, blob: Blob, expected: Digest | None) -> None:
        if expected is not None and blob.digest != expected:
            raise DigestError(
                f"{blob.size} bytes that should be {expected} are {blob.digest}",
                remedy="Send them again; they changed on the way, or while they were read.",
            )
        if self._touch(self.path(blob.digest)):
            return
        file.flush()
        self._name(file.fileno(), temporary, blob.digest)

    def _name(self, handle: int, temporary: Path, digest: Digest) -> None:
        target = self.path(digest)
        os.fchmod(handle, 0o444)
        os.fsync(handle)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(target)
        for folder in (target.parent, target.parent.parent):
            _sync_folder(folder)


def _chunks(source: bytes | Readable) -> Iterable[bytes]:
    if isinstance(source, bytes):
        return [source]
    return iter(lambda: source.read(CHUNK), b"")


def _missing(digest: str) -> NotFoundError:
    return NotFoundError(f"there is no blob {digest}")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
