"""Send a large file so that it survives both sides' ends: what has arrived is not sent again.

The server says how far it came; this side goes on from there, in this run or in the next.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from skerry.api import Api
from skerry.files import LocalFile
from skerry_contract.errors import (
    ConflictError,
    DeadlineError,
    DigestError,
    NetworkError,
    NotFoundError,
    SkerryError,
)

PIECE_BYTES = 1024 * 1024
TRIES = 12
"""Failures in a row, without a byte of progress between them, after which it is given up: by then
some two minutes have passed, and a server counts a silent writer as gone after one."""
LONGEST_PAUSE_S = 15.0
PATIENCE_S = 600.0
SLOWEST_BYTES_S = 16 * 1024
"""An upload may take ``PATIENCE_S`` and its size at this rate; then it is given up."""
_RANDOM = random.SystemRandom()
_GO_ON = "Run the same command again: it goes on where this one stopped."


@dataclass(frozen=True, slots=True)
class Clockwork:
    """How time passes.

    Attributes:
        now: Seconds on a clock that only goes forward.
        pause: Waits for some seconds.
    """

    now: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep


class Sending:
    """One file on its way.

    Args:
        api: The server.
        file: What to send.
        on_bytes: Called with how many more bytes are there; less than 0 where some were lost.
        clockwork: How time passes.
    """

    def __init__(
        self,
        api: Api,
        file: LocalFile,
        on_bytes: Callable[[int], object],
        clockwork: Clockwork = Clockwork(),
    ) -> None:
        self._api = api
        self._file = file
        self._on_bytes = on_bytes
        self._clockwork = clockwork
        self._deadline = clockwork.now() + PATIENCE_S + file.size / SLOWEST_BYTES_S
        self._shown = 0

    def run(self) -> int:
        """Send what the server lacks, and return how many bytes that was.

        Raises:
            DigestError: The file changed after it was hashed.
            DeadlineError: It goes too slowly to ever end.
            NetworkError: The server stays away.
            SkerryError: It refused.
        """
        first: int | None = None
        furthest, failures = 0, 0
        while True:
            try:
                offset = self._api.begin_upload(self._file)
                self._show(offset)
                first = offset if first is None else first
                # What was sent again only to be lost again is no progress.
                failures = 0 if offset > furthest else failures
                furthest = max(furthest, offset)
                if offset < self._file.size:
                    self._api.append_upload(self._file, offset, self._pieces(offset))
            except (NetworkError, ConflictError, NotFoundError) as error:
                failures += 1
                self._give_up_or_wait(error, failures)
            else:
                return self._file.size - first

    def _give_up_or_wait(self, error: SkerryError, failures: int) -> None:
        if failures >= TRIES:
            if isinstance(error, NetworkError):
                error.remedy = f"{error.remedy} {_GO_ON}".strip()
            raise error
        longest = min(LONGEST_PAUSE_S, 0.5 * 2**failures)
        # Full jitter: many clients that lost one server do not come back together.
        self._clockwork.pause(_RANDOM.uniform(0.0, longest) + 0.1)
        self._check_deadline()

    def _pieces(self, offset: int) -> Iterator[bytes]:
        left = self._file.size - offset
        with self._file.source.open("rb") as source:
            source.seek(offset)
            while left:
                piece = source.read(min(PIECE_BYTES, left))
                if not piece:
                    raise DigestError(f"{self._file.source} became shorter while it was sent")
                yield piece
                left -= len(piece)
                self._show(self._shown + len(piece))
                self._check_deadline()

    def _check_deadline(self) -> None:
        if self._clockwork.now() > self._deadline:
            raise DeadlineError(
                f"{self._file.path}: {self._shown} of {self._file.size} bytes were sent in the "
                f"time that {SLOWEST_BYTES_S} bytes a second would need for all",
                remedy=_GO_ON,
            )

    def _show(self, offset: int) -> None:
        self._on_bytes(offset - self._shown)
        self._shown = offset
