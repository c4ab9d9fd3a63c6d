"""What a store of blobs needs from the place where their bytes lie."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from skerry_contract.errors import NotFoundError
from skerry_contract.names import Digest

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


class Backend(Protocol):
    """Where the bytes of blobs lie; its methods may be called from any thread.

    All of them raise ObjectStoreError where the place is elsewhere and does not answer.

    Attributes:
        place: What it is called when it does not answer.
    """

    place: str

    def find(self, digest: Digest) -> int | None:
        """Return the length of a blob in bytes, or None if it is not here."""
        ...

    def use(self, digest: Digest) -> bool:
        """Note that a blob is used now, and tell whether it is here, whole.

        Who was told that it is here can count on it: ``delete_unused`` is never in between.
        """
        ...

    def open(self, digest: Digest) -> BinaryIO:
        """Open a blob for reading; it can be read to its end even if it is deleted meanwhile.

        Raises:
            NotFoundError: It is not here.
            DigestError: Its bytes are not what they were.
        """
        ...

    def file(self, digest: Digest) -> AbstractContextManager[Path]:
        """Give a blob as a file of this machine, to be read or linked to while the block lasts.

        Raises:
            NotFoundError: It is not here.
            DigestError: Its bytes are not what they were.
        """
        ...

    def pieces(self, digest: Digest, first: int, size: int) -> Iterator[bytes]:
        """Yield ``size`` bytes of a blob from byte ``first`` on, for somebody who verifies them.

        Raises:
            NotFoundError: It is not here; raised at once and not by the first step.
        """
        ...

    def take(self, path: Path, blob: Blob) -> None:
        """Make a finished file a blob; ``path`` may be gone afterwards, or may not.

        Args:
            path: Its bytes were verified; it is on this machine, beside the store's own files.
            blob: What it holds.
        """
        ...

    def stored(self) -> Iterator[Stored]:
        """Yield every blob that is here; those that come or go meanwhile may be left out."""
        ...

    def delete_unused(self, digest: Digest, before: float) -> int:
        """Remove a blob unless it was used since ``before``; return how many bytes that freed."""
        ...

    def tidy(self) -> None:
        """Remove what interrupted writers left behind."""
        ...

    def answers(self) -> bool:
        """Tell whether blobs can be read and written at this moment."""
        ...

    def close(self) -> None:
        """Let go of whatever is held open."""
        ...


def missing(digest: str) -> NotFoundError:
    """Return the error for a blob that is not here."""
    return NotFoundError(f"there is no blob {digest}")
