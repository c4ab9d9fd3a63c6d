"""Trying again: with pauses that grow and differ, and not for ever."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from skerry_cloud.blobs.s3 import failures

T = TypeVar("T")
_RANDOM = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often to try.

    Attributes:
        within_s: Seconds after the first failure in a row from which on no further try is begun.
        first_pause_s: Longest first pause; the next ones are up to twice as long each.
        longest_pause_s: Longest of all.
        now: Seconds on a clock that only goes forward.
        pause: Waits for some seconds.
    """

    within_s: float = 15.0
    first_pause_s: float = 0.2
    longest_pause_s: float = 5.0
    now: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep

    def attempt(self, what: str, call: Callable[[], T]) -> T:
        """Return what ``call`` returns, trying again while its failures are passing ones.

        Raises:
            ObjectStoreError: It goes on failing, or cannot be done at all; names ``what``.
        """
        trying = Trying(self, what)
        while True:
            try:
                return call()
            except failures.FAILURES as error:
                trying.failed(error)


PATIENCE = Patience()
"""Less than clients of the API wait for an answer, so that they hear what is wrong."""


class Trying:
    """One thing that is tried until it succeeds, or until patience ends."""

    def __init__(self, patience: Patience, what: str) -> None:
        self._patience = patience
        self._what = what
        self._number = 0
        self._until = 0.0

    def advanced(self) -> None:
        """Begin anew with all patience: some of it succeeded."""
        self._number = 0

    def failed(self, error: Exception) -> None:
        """Wait before the next try.

        Raises:
            ObjectStoreError: There is to be none.
        """
        patience = self._patience
        if self._number == 0:
            self._until = patience.now() + patience.within_s
        longest = min(patience.longest_pause_s, patience.first_pause_s * 2**self._number)
        # Full jitter: many who lost one object store do not come back together.
        pause_s = _RANDOM.uniform(0.0, longest)
        if not failures.is_passing(error) or patience.now() + pause_s > self._until:
            raise failures.told(self._what, error) from error
        self._number += 1
        patience.pause(pause_s)
