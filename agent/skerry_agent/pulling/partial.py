"""A blob on its way in: a file that grows at its end, and a journal of what is surely on the disk.

What is on the disk at each instant:

=====================================  =====================================================
``partial/<hex>``                      the bytes so far; after a power cut its end may be rubbish
``partial/<hex>.chunks``               the boot in which it is written, and one record for each
                                       chunk: its length and SHA-256, appended after the chunk
                                       itself was synced
``sha256/<hex>`` (instead of both)     the whole blob, synced and verified before it was renamed
=====================================  =====================================================

Whoever opens it again reads the chunks and goes on after the last one that is right. Bytes after
it are believed only in the same boot of the machine: a killed process takes nothing with it that
was written, but a power cut does. In the end the digest of the whole decides, always.
"""

import hashlib
import os
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from skerry_agent import durable
from skerry_contract.errors import DigestError, NoSpaceError
from skerry_contract.names import Digest

PIECE_BYTES = 64 * 1024
"""Bytes that are in memory at a time, whatever the size of a blob."""
CHUNK_BYTES = 4 * 1024 * 1024
"""Bytes after which what came is synced: what a power cut costs at most on a fast link."""
CHUNK_S = 10.0
"""Seconds after which it is synced in any case: what a power cut costs on a slow one."""
JOURNAL = ".chunks"
"""What the journal's name has more than the file's."""
_RECORD = struct.Struct(">Q32s")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOT_BYTES = 36


class Partial:
    """Takes the bytes of one blob in their order; ``commit`` makes a blob of them.

    Leaving the ``with`` block without a commit keeps the bytes, so that a later attempt goes on
    from there.

    Args:
        path: Where they lie until then; the journal lies beside it.
        target: Where the blob will lie, in the same file system.
        digest: What it must hash to.
        size: Bytes that it must have.

    Attributes:
        offset: Bytes that are here; the next one written is at this place of the blob.
    """

    def __init__(self, path: Path, target: Path, digest: Digest, size: int) -> None:
        self._path = path
        self._target = target
        self._digest = digest
        self._size = size
        self._file = path.open("a+b", buffering=0)
        self._journal = _journal_of(path).open("a+b", buffering=0)
        self._hasher = hashlib.sha256()
        self._chunk = hashlib.sha256()
        self._recorded = 0
        self._synced_at = time.monotonic()
        self.offset = 0
        self._recall()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            if self.offset > self._recorded:
                self._record()
            if not self.offset:
                self._path.unlink(missing_ok=True)
                self._forget_journal()
        self._file.close()
        self._journal.close()

    def restart(self) -> None:
        """Throw away what is here and begin with the first byte."""
        self._file.truncate(0)
        self._hasher, self._chunk = hashlib.sha256(), hashlib.sha256()
        self.offset = self._recorded = 0
        self._rewrite_journal([])

    def write(self, piece: bytes) -> None:
        """Add bytes at the end.

        Raises:
            DigestError: They are more than the blob has; all of it is thrown away.
            NoSpaceError: The disk takes no more; what came before is kept.
        """
        if self.offset + len(piece) > self._size:
            self.restart()
            raise DigestError(f"{self._digest} has {self._size} bytes, and more were sent")
        try:
            self._append(piece)
            if (
                self.offset - self._recorded >= CHUNK_BYTES
                or time.monotonic() - self._synced_at >= CHUNK_S
            ):
                self._record()
        except OSError as error:
            raise NoSpaceError(
                f"the disk took {self.offset} of {self._size} bytes of {self._digest}: {error}",
                remedy="Free space on the device, and see that its disk can be written to.",
            ) from error

    def commit(self) -> None:
        """Make the bytes a blob of the store, if they are the ones that its digest names.

        Raises:
            DigestError: They are not; all of them are thrown away.
            NoSpaceError: The disk did not take them.
        """
        found = f"sha256:{self._hasher.hexdigest()}"
        if self.offset != self._size or found != self._digest:
            self.restart()
            raise DigestError(
                f"{self._digest} was expected with {self._size} bytes; "
                f"what came has {self.offset} and is {found}",
                remedy="Build and push the module again; something on the way changes its bytes.",
            )
        try:
            os.fsync(self._file.fileno())
            durable.move(self._path, self._target)
            self._recorded = self.offset
            self._forget_journal()
        except OSError as error:
            raise NoSpaceError(
                f"the disk did not take {self._digest}: {error}",
                remedy="Free space on the device, and see that its disk can be written to.",
            ) from error

    def _append(self, piece: bytes) -> None:
        left = memoryview(piece)
        while left:
            # A disk that is nearly full takes a part, and only then says that it is full.
            count = self._file.write(left) or 0
            self._hasher.update(left[:count])
            self._chunk.update(left[:count])
            self.offset += count
            left = left[count:]

    def _record(self) -> None:
        os.fdatasync(self._file.fileno())
        record = _RECORD.pack(self.offset - self._recorded, self._chunk.digest())
        self._journal.write(record)
        os.fdatasync(self._journal.fileno())
        if not self._recorded:
            durable.sync_folder(self._path.parent)
        self._recorded, self._chunk = self.offset, hashlib.sha256()
        self._synced_at = time.monotonic()

    # --- going on -----------------------------------------------------------------------------

    def _recall(self) -> None:
        """Find out how much of what is here can be gone on from."""
        self._journal.seek(0)
        same_boot = (self._journal.read(_BOOT_BYTES) or b"") == _boot_id()
        right: list[bytes] = []
        whole = True
        for record in _records(self._journal):
            length, digest = _RECORD.unpack(record)
            whole = length <= self._size - self.offset and self._recall_chunk(length, digest)
            if not whole:
                break
            right.append(record)
        self._recorded = self.offset
        if not (whole and same_boot):
            self._rewrite_journal(right)
        elif os.fstat(self._file.fileno()).st_size <= self._size:
            self._recall_tail()
        self._file.truncate(self.offset)

    def _recall_chunk(self, length: int, digest: bytes) -> bool:
        hasher, chunk, left = self._hasher.copy(), hashlib.sha256(), length
        self._file.seek(self.offset)
        while left and (piece := self._file.read(min(PIECE_BYTES, left))):
            hasher.update(piece)
            chunk.update(piece)
            left -= len(piece)
        if left or chunk.digest() != digest:
            return False
        self._hasher = hasher
        self.offset += length
        return True

    def _recall_tail(self) -> None:
        """Take what follows the last chunk: no power cut has come between."""
        self._file.seek(self.offset)
        while piece := self._file.read(PIECE_BYTES):
            self._hasher.update(piece)
            self._chunk.update(piece)
            self.offset += len(piece)

    def _rewrite_journal(self, records: list[bytes]) -> None:
        self._journal.close()
        journal = _journal_of(self._path)
        durable.write(journal, _boot_id() + b"".join(records), mode=0o600)
        self._journal = journal.open("ab", buffering=0)

    def _forget_journal(self) -> None:
        _journal_of(self._path).unlink(missing_ok=True)


def _journal_of(path: Path) -> Path:
    return path.with_name(path.name + JOURNAL)


def _records(journal: IO[bytes]) -> Iterator[bytes]:
    """Yield whole records; a torn one at the end is none."""
    while len(record := journal.read(_RECORD.size) or b"") == _RECORD.size:
        yield record


def _boot_id() -> bytes:
    """Return what this boot of the machine is called, which no other is."""
    try:
        return _BOOT_ID.read_bytes()[:_BOOT_BYTES].ljust(_BOOT_BYTES)
    except OSError:
        return bytes(_BOOT_BYTES)
