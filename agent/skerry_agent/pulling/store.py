"""Verified bytes on the device, by digest.

A blob is either not there or the bytes that its digest names: what arrives is kept apart, as a
partial file, until the hash of the whole matched. Cards and disks rot, so whoever hands a blob on
to a runtime reads it through ``chunks``, which checks it once more.

Blobs that nothing needs any more stay as long as there is room: the next image may share them, and
going back to an image that ran before then needs no network. When room is needed, what was not
needed for longest goes first, and nothing that the caller names goes at all.

One process uses a store, and it fetches one blob at a time.
"""

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from skerry_agent import durable
from skerry_agent.core.room import Bounds, Held, Room, plan_room
from skerry_agent.pulling.partial import JOURNAL, PIECE_BYTES, Partial
from skerry_contract.errors import ContractError, DigestError, NoSpaceError, NotFoundError
from skerry_contract.names import Digest, check_digest

FLOOR_FREE_BYTES = 256 * 1024 * 1024
"""Default of what is left free on the disk, for everything else that the device does."""


class BlobStore:
    """Blobs below ``root``: ``sha256/<hex>``, and ``partial/<hex>`` for what is not whole yet.

    What is in ``work/`` counts for nothing, and goes when the store is opened.

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
        self._work = root / "work"
        shutil.rmtree(self._work, ignore_errors=True)
        for folder in (self._blobs, self._partial, self._work):
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
        """Yield a blob in pieces of at most ``PIECE_BYTES``, the last only if all were right.

        Raises:
            NotFoundError: It is not here.
            DigestError: It has rotted; it is gone now and can be fetched again.
        """
        hasher = hashlib.sha256()
        with self.path(digest).open("rb") as file:
            held = file.read(PIECE_BYTES)
            hasher.update(held)
            while piece := file.read(PIECE_BYTES):
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

    def adopt(self, path: Path, digest: Digest) -> None:
        """Make a blob of a file of this file system whose bytes were verified, and are synced.

        Raises:
            OSError: The disk refused.
        """
        durable.move(path, self._path(digest))

    def work_path(self, name: str) -> Path:
        """Return a path for a file on its way to ``adopt``."""
        return self._work / name

    def touch(self, digests: Iterable[Digest]) -> None:
        """Note that blobs are needed now, so that others go before them."""
        for digest in digests:
            with suppress(OSError):
                os.utime(self._path(digest))

    def size_of(self, digest: Digest) -> int:
        """Return the length of a blob in bytes.

        Raises:
            NotFoundError: It is not here.
        """
        return self.path(digest).stat().st_size

    def size_bytes(self) -> int:
        """Return what blobs and partial files take."""
        return sum(one.size for one in self._held())

    def make_room(self, needed_bytes: int, keep: Collection[Digest], subject: str) -> None:
        """Make sure that ``needed_bytes`` more fit, by removing what is not to be kept.

        Args:
            needed_bytes: Bytes that are still to come.
            keep: What must stay: whatever runs, ran last, or is being fetched.
            subject: What they are for, for the error's text.

        Raises:
            NoSpaceError: They do not fit under the cap, or not on the disk; nothing was removed.
        """
        room = self._plan(needed_bytes, keep)
        if not room.fits:
            raise self._no_space(room, needed_bytes, subject)

    def trim(self, keep: Collection[Digest]) -> None:
        """Remove what is over the cap, or under the floor, and not to be kept."""
        self._plan(0, keep)

    def _plan(self, needed: int, keep: Collection[Digest]) -> Room:
        files = self._held()
        names = {check_digest(digest).removeprefix("sha256:") for digest in keep}
        bounds = Bounds(self._cap_bytes, self._free_bytes(), self._floor_free_bytes)
        room = plan_room(files, names, needed, bounds)
        for one in room.remove:
            path = (self._partial if one.partial else self._blobs) / one.name
            path.unlink(missing_ok=True)
            path.with_name(one.name + JOURNAL).unlink(missing_ok=True)
        if room.remove:
            durable.sync_folder(self._blobs)
            durable.sync_folder(self._partial)
        return room

    def _held(self) -> list[Held]:
        """Return every blob, and every partial file together with its journal."""
        found: dict[tuple[str, bool], Held] = {}
        for folder in (self._blobs, self._partial):
            for path in folder.iterdir():
                with suppress(FileNotFoundError):
                    status = path.stat()
                    key = path.name.removesuffix(JOURNAL), folder == self._partial
                    held = found.get(key, Held(key[0], 0, 0.0, key[1]))
                    used = max(held.used, status.st_mtime)
                    found[key] = Held(key[0], held.size + status.st_size, used, key[1])
        return list(found.values())

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._root).free

    def _no_space(self, room: Room, needed: int, subject: str) -> NoSpaceError:
        return NoSpaceError(
            f"{subject} needs {needed} more bytes; the store holds {room.held} of at most "
            f"{self._cap_bytes}; {self._free_bytes()} are free on the disk of {self._root}, of "
            f"which {self._floor_free_bytes} must stay free; {room.removable} could be removed, "
            "which is not enough",
            remedy="Free space on the device, or deploy fewer or smaller modules to it. "
            "'store_mb' and 'min_free_mb' in device.json set the limits.",
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
