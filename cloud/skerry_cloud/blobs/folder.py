"""Blobs as files of one folder: ``sha256/ab/abcdef…``.

A file is synced before it gets its name, so that a name that exists always has all of its bytes,
after a power cut too. Nothing is ever changed in place: readers need no lock, and two writers of
the same bytes do not disturb each other.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from skerry_cloud.blobs.backend import Blob, Stored, missing
from skerry_contract.names import Digest, check_digest

_PIECE = 256 * 1024


class FolderBackend:
    """Blobs below one folder, which is made if it is not there.

    Args:
        root: The folder.
        durable: Whether a file is synced before it gets its name, and survives a power cut so.
    """

    place = "blobs"

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self._root = root
        self._durable = durable
        # Who was told that a blob is here can count on it: no sweep is between look and touch.
        self._sweeping = threading.Lock()
        root.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Return where ``digest`` lies or would lie.

        Raises:
            NameInvalidError: It is no digest.
        """
        hexdigits = check_digest(digest).removeprefix("sha256:")
        return self._root / "sha256" / hexdigits[:2] / hexdigits

    def find(self, digest: Digest) -> int | None:
        """Return the length of a blob in bytes, or None if it is not here."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def use(self, digest: Digest) -> bool:
        """Note that a blob is used now, and tell whether it is here."""
        with self._sweeping:
            try:
                os.utime(self.path(digest))
            except FileNotFoundError:
                return False
        return True

    def open(self, digest: Digest) -> BinaryIO:
        """Open a blob for reading; it can be read to its end even if it is deleted meanwhile.

        Raises:
            NotFoundError: It is not here.
        """
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError as error:
            raise missing(digest) from error

    @contextmanager
    def file(self, digest: Digest) -> Iterator[Path]:
        """Give the file of a blob.

        Raises:
            NotFoundError: It is not here.
        """
        path = self.path(digest)
        if not path.exists():
            raise missing(digest)
        yield path

    def pieces(self, digest: Digest, first: int, size: int) -> Iterator[bytes]:
        """Yield ``size`` bytes of a blob from byte ``first`` on.

        Raises:
            NotFoundError: It is not here; raised at once and not by the first step.
        """
        return pieces_of(self.open(digest), first, size)

    def take(self, path: Path, blob: Blob) -> None:
        """Make a finished file of this disk a blob, by its name."""
        target = self.path(blob.digest)
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fchmod(handle, 0o444)
            if self._durable:
                os.fsync(handle)
        finally:
            os.close(handle)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        if self._durable:
            for folder in (target.parent, target.parent.parent):
                _sync_folder(folder)

    def stored(self) -> Iterator[Stored]:
        """Yield every blob that is here; those that come or go meanwhile may be left out."""
        for path in (self._root / "sha256").glob("??/*"):
            with suppress(FileNotFoundError):
                yield Stored(Digest(f"sha256:{path.name}"), path.stat().st_mtime)

    def delete(self, digest: str) -> None:
        """Remove a blob; removing what is not here is harmless."""
        self.path(digest).unlink(missing_ok=True)

    def delete_unused(self, digest: Digest, before: float) -> int:
        """Remove a blob unless it was used since ``before``; return how many bytes that freed."""
        path = self.path(digest)
        with self._sweeping, suppress(FileNotFoundError):
            found = path.stat()
            if found.st_mtime < before:
                path.unlink()
                return found.st_size
        return 0

    def tidy(self) -> None:
        """Do nothing: what an interrupted writer leaves lies in the store's own folder."""

    def answers(self) -> bool:
        """Tell whether the folder can be written."""
        return os.access(self._root, os.W_OK)

    def close(self) -> None:
        """Do nothing: no file is held open."""


def pieces_of(file: BinaryIO, first: int, size: int) -> Iterator[bytes]:
    """Yield ``size`` bytes of ``file`` from byte ``first`` on, and close it."""
    with file:
        file.seek(first)
        while size > 0 and (piece := file.read(min(_PIECE, size))):
            size -= len(piece)
            yield piece


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
