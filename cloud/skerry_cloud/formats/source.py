"""Bytes of a file, read in pieces wherever they are needed, within a budget."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from skerry_cloud.formats.finding import DamagedError, TooCostlyError

BLOCK = 64 * 1024
"""Bytes that are read at once and kept, so that many small looks cost one."""


class Budget:
    """How much one examination may still read, and until when.

    Args:
        size_bytes: Bytes that may be read or decompressed, all files together.
        within_s: Seconds that it may take.
        clock: Seconds that only go up.
    """

    def __init__(
        self, size_bytes: int, within_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._left = size_bytes
        self._clock = clock
        self._until = clock() + within_s

    @contextmanager
    def at_most(self, size_bytes: int) -> Iterator[None]:
        """Let no more than ``size_bytes`` be spent within the block."""
        beyond = max(0, self._left - size_bytes)
        self._left -= beyond
        try:
            yield
        finally:
            self._left += beyond

    def spend(self, size_bytes: int) -> None:
        """Take ``size_bytes`` off.

        Raises:
            TooCostlyError: There is not so much left, or the time is over.
        """
        self._left -= size_bytes
        if self._left < 0:
            raise TooCostlyError("more bytes than may be read")
        if self._clock() > self._until:
            raise TooCostlyError("more time than may be taken")


class Source(io.RawIOBase):
    """A file for reading, in the middle as well as from its start.

    Args:
        file: The bytes; it must be able to seek.
        size: How many there are.
        budget: What reading takes from.
        whole: Whether ``file`` holds all of the file, and not its beginning only.
    """

    def __init__(self, file: BinaryIO, size: int, budget: Budget, *, whole: bool = True) -> None:
        super().__init__()
        self.size = size
        self.budget = budget
        self.whole = whole
        self._file = file
        self._position = 0
        self._block_at = -1
        self._block = b""

    def at(self, offset: int, size: int) -> bytes:
        """Return exactly ``size`` bytes from ``offset`` on.

        Raises:
            DamagedError: There are not so many.
            TooCostlyError: The budget is used up.
        """
        if offset < 0 or size < 0 or offset + size > self.size:
            raise DamagedError(f"{size} bytes at {offset} are outside of the file")
        data = self._peek(offset, size)
        if len(data) != size:
            raise DamagedError(f"it ends before byte {offset + size}")
        return data

    def start(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or as many as there are."""
        return self._peek(0, min(size, self.size))

    def _peek(self, offset: int, size: int) -> bytes:
        block = offset - offset % BLOCK
        if offset + size > block + BLOCK:
            return self._load(offset, size)
        if self._block_at != block:
            self._block = self._load(block, min(BLOCK, self.size - block))
            self._block_at = block
        return self._block[offset - block : offset - block + size]

    def _load(self, offset: int, size: int) -> bytes:
        self.budget.spend(size)
        self._file.seek(offset)
        pieces = []
        while size and (piece := self._file.read(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    # --- as a file, for the standard library's readers ------------------------------------------

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place, as every file does."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise DamagedError("a place before the start of the file")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return where reading goes on."""
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Read on, as every file does."""
        size = max(0, min(len(buffer), self.size - self._position, 16 * BLOCK))
        data = self._peek(self._position, size)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
