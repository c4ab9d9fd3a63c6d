"""Ask the agent's loop to do something between two of its turns, from another thread."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from skerry_contract.errors import DeadlineError, SkerryError

T = TypeVar("T")

PATIENCE_S = 30.0
"""Longest that a caller waits for the loop."""


class Calls:
    """Calls that wait for the loop.

    Args:
        wake: Makes the loop turn soon.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._waiting: deque[Callable[[], None]] = deque()
        self._closed = threading.Event()

    def ask(self, work: Callable[[], T], *, within_s: float = PATIENCE_S) -> T:
        """Have the loop call ``work``, and return what it returned.

        Raises:
            SkerryError: What ``work`` raised.
            DeadlineError: The loop did not come to it, or has ended.
        """
        done = threading.Event()
        results: list[T] = []
        errors: list[SkerryError] = []

        def call() -> None:
            try:
                results.append(work())
            except SkerryError as error:
                errors.append(error)
            finally:
                done.set()

        self._waiting.append(call)
        self._wake()
        deadline = time.monotonic() + within_s
        while not done.wait(0.5) and not self._closed.is_set() and time.monotonic() < deadline:
            pass
        if not done.is_set():
            raise DeadlineError("the agent did not come to it", remedy="Send it again.")
        if errors:
            raise errors[0]
        return results[0]

    def answer(self) -> None:
        """Do what others asked for; for the loop."""
        while self._waiting:
            self._waiting.popleft()()

    def close(self) -> None:
        """Let nobody wait any longer: the loop has ended."""
        self._closed.set()
