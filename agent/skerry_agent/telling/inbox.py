"""What the cloud sends, left by the uplink's thread until the agent's loop takes it."""

import threading
from collections import deque

MAX_REQUESTS = 64
"""Requests of commands that wait; the oldest are forgotten, and the cloud sends them again."""


class Inbox:
    """Holds what has come, and wakes the loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._envelope: bytes | None = None
        self._requests: deque[bytes] = deque(maxlen=MAX_REQUESTS)
        self._confirmed: deque[str] = deque(maxlen=MAX_REQUESTS)
        self.woken = threading.Event()

    def put(self, envelope: bytes) -> None:
        """Leave a desired document; one that was not taken yet is overtaken by it."""
        with self._lock:
            self._envelope = envelope
        self.woken.set()

    def take(self) -> bytes | None:
        """Return the newest desired document, once."""
        with self._lock:
            envelope, self._envelope = self._envelope, None
        return envelope

    def put_back(self, envelope: bytes) -> None:
        """Leave a desired document for the next turn, unless a newer one has come."""
        with self._lock:
            if self._envelope is None:
                self._envelope = envelope

    def put_request(self, request: bytes) -> None:
        """Leave the request of a command."""
        with self._lock:
            self._requests.append(request)
        self.woken.set()

    def take_request(self) -> bytes | None:
        """Return the oldest request, once."""
        with self._lock:
            return self._requests.popleft() if self._requests else None

    def put_request_back(self, request: bytes) -> None:
        """Leave a request for the next turn."""
        with self._lock:
            self._requests.appendleft(request)

    def confirm(self, command: str) -> None:
        """Note that the cloud has the end of a command."""
        with self._lock:
            self._confirmed.append(command)
        self.woken.set()

    def take_confirmed(self) -> list[str]:
        """Return the commands whose end the cloud has, once."""
        with self._lock:
            found = list(self._confirmed)
            self._confirmed.clear()
        return found
