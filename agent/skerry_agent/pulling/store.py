"""Verified bytes on the device, by digest.

A blob is either not there or the bytes that its digest names: what arrives is kept apart, as a
partial file, until the hash of the whole matched. Cards and disks rot, so whoever hands a blob on
to a runtime reads it through ``chunks``, which checks it once more.

One process uses a store, and it fetches one blob at a time.
"""

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from skerry_agent import durable
from skerry_contract.errors import ContractError, DigestError, NoSpaceError, NotFoundError
from skerry_contract.names import Digest, check_digest

CHUNK_BYTES = 64 * 1024
"""Bytes that are in memory at a time, whatever the size of a blob."""
FLOOR_FREE_BYTES = 64 * 1024 * 1024
"""Default of what is left free on the disk, for everything else that the device does."""


class BlobStore:
    """Blobs below ``root``: ``sha256/<hex>``, and ``partial/<hex>`` for what is not whole yet.

    Args:
        root: Folder of the store; made if it is missing.
        cap_bytes: Bytes that blobs and partial files may take together.
        floor_free_bytes: Bytes that stay free on the disk.
    """

    def __init__(
        self, root: Path, *, cap_bytes: int, floor_free_bytes: int = FLOOR_FREE_BYTES
    ) -> None:
        self._root = root
        self._blobs = root / "sha256"
        self._partial = root / "partial"
        self._cap_bytes = cap_bytes
        self._floor_free_bytes = floor_free_bytes
        for folder in (self._blobs, self._partial):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def has(self, digest: Digest) -> bool:
        """Return whether the whole blob is here."""
        return self._path(digest).is_file()

    def path(self, digest: Digest) -> Path:
        """Return where the blob lies, for readers that check it themselves.

        Raises:
            NotFoundError: It is not here.
        """
        if not self.has(digest):
            raise NotFoundError(f"{digest} is not on this device")
        return self._path(digest)

    def missing(self, digests: Iterable[Digest]) -> tuple[Digest, ...]:
        """Return those of ``digests`` that are not here, each once and in their order."""
        return tuple(digest for digest in dict.fromkeys(digests) if not self.has(digest))

    def read(self, digest: Digest, *, max_bytes: int) -> bytes:
        """Return a whole small blob, checked.

        Raises:
            NotFoundError: It is not here.
            DigestError: It has rotted; it is gone now and can be fetched again.
            ContractError: It has more than ``max_bytes``.
        """
        size = self.path(digest).stat().st_size
        if size > max_bytes:
            raise ContractError(f"{size} bytes, at most {max_bytes} allowed", subject=digest)
        return b"".join(self.chunks(digest))

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        """Yield a blob in pieces of at most ``CHUNK_BYTES``, the last only if all were right.

        Raises:
            NotFoundError: It is not here.
            DigestError: It has rotted; it is gone now and can be fetched again.
        """
        hasher = hashlib.sha256()
        with self.path(digest).open("rb") as file:
            held = file.read(CHUNK_BYTES)
            hasher.update(held)
            while piece := file.read(CHUNK_BYTES):
                yield held
                hasher.update(piece)
                held = piece
        if f"sha256:{hasher.hexdigest()}" != digest:
            self.discard(digest)
            raise DigestError(
                f"{digest} has changed on this device's disk since it was verified",
                remedy="It is fetched again; if this repeats, the disk or card is failing.",
            )
        yield held

    def discard(self, digest: Digest) -> None:
        """Remove a blob; one that is not here is no error."""
        self._path(digest).unlink(missing_ok=True)
        durable.sync_folder(self._blobs)

    def collect(self, keep: Collection[Digest]) -> int:
        """Remove every blob and partial file but those in ``keep``, and return the bytes freed."""
        kept = {self._path(digest).name for digest in keep}
        freed = 0
        for folder in (self._blobs, self._partial):
            for file in list(folder.iterdir()):
                if file.name not in kept:
                    freed += file.stat().st_size
                    file.unlink()
            durable.sync_folder(folder)
        return freed

    def size_bytes(self) -> int:
        """Return what blobs and partial files take."""
        return sum(
            file.stat().st_size
            for folder in (self._blobs, self._partial)
            for file in folder.iterdir()
        )

    def check_room(self, needed_bytes: int, subject: str) -> None:
        """Make sure that ``needed_bytes`` more fit.

        Args:
            needed_bytes: Bytes that are still to be fetched.
            subject: What they are for, for the error's text.

        Raises:
            NoSpaceError: They do not fit under the cap, or not on the disk.
        """
        held, free = self.size_bytes(), shutil.disk_usage(self._root).free
        remedy = "Free space on the device, or deploy fewer or smaller modules to it."
        if held + needed_bytes > self._cap_bytes:
            raise NoSpaceError(
                f"{subject} needs {needed_bytes} more bytes; the store holds {held} "
                f"of at most {self._cap_bytes}",
                remedy=f"{remedy} 'store_mb' in device.json sets the store's limit.",
            )
        if free - needed_bytes < self._floor_free_bytes:
            raise NoSpaceError(
                f"{subject} needs {needed_bytes} more bytes; {free} are free on the disk of "
                f"{self._root}, of which {self._floor_free_bytes} must stay free",
                remedy=remedy,
            )

    def partial_bytes(self, digest: Digest) -> int:
        """Return how much of a blob was fetched before and can be gone on from."""
        try:
            return self._partial_path(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def begin(self, digest: Digest, size: int) -> "Partial":
        """Open what is here of a blob of ``size`` bytes, to go on from where it ends."""
        return Partial(self._partial_path(digest), self._path(digest), digest, size)

    def _path(self, digest: Digest) -> Path:
        return self._blobs / check_digest(digest).removeprefix("sha256:")

    def _partial_path(self, digest: Digest) -> Path:
        return self._partial / check_digest(digest).removeprefix("sha256:")


class Partial:
    """A blob on its way in: bytes go in at the end, and ``commit`` makes a blob of them.

    Leaving the ``with`` block without a commit keeps the bytes, so that a later attempt goes on
    from there.

    Attributes:
        offset: Bytes that are here; the next one written is at this place of the blob.
    """

    def __init__(self, path: Path, target: Path, digest: Digest, size: int) -> None:
        self._path = path
        self._target = target
        self._digest = digest
        self._size = size
        self._file = path.open("a+b")
        self._hasher = hashlib.sha256()
        self.offset = 0
        self._file.seek(0)
        while piece := self._file.read(CHUNK_BYTES):
            self._hasher.update(piece)
            self.offset += len(piece)
        if self.offset > size:
            self.restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def restart(self) -> None:
        """Throw away what is here and begin with the first byte."""
        self._file.truncate(0)
        self._hasher = hashlib.sha256()
        self.offset = 0

    def write(self, piece: bytes) -> None:
        """Add bytes at the end.

        Raises:
            DigestError: They are more than the blob has; all of it is thrown away.
            NoSpaceError: The disk takes no more.
        """
        if self.offset + len(piece) > self._size:
            self._throw_away()
            raise DigestError(f"{self._digest} has {self._size} bytes, and more were sent")
        try:
            self._file.write(piece)
            self._file.flush()
        except OSError as error:
            raise NoSpaceError(
                f"the disk took {self.offset} of {self._size} bytes of {self._digest}: {error}",
                remedy="Free space on the device, and see that its disk can be written to.",
            ) from error
        self._hasher.update(piece)
        self.offset += len(piece)

    def commit(self) -> None:
        """Make the bytes a blob of the store, if they are the ones that its digest names.

        Raises:
            DigestError: They are not; all of them are thrown away.
        """
        found = f"sha256:{self._hasher.hexdigest()}"
        if self.offset != self._size or found != self._digest:
            self._throw_away()
            raise DigestError(
                f"{self._digest} was expected with {self._size} bytes; "
                f"what came has {self.offset} and is {found}",
                remedy="Build and push the module again; something on the way changes its bytes.",
            )
        os.fsync(self._file.fileno())
        durable.move(self._path, self._target)

    def _throw_away(self) -> None:
        self.restart()
        self._path.unlink(missing_ok=True)
