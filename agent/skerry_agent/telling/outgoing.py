"""What waits to be sent besides the outbox: the newest documents, responses, lines of logs.

All of it is bounded: of a document only the newest version is kept, responses are few and go when
the cloud has confirmed them, and lines of logs are lost where there is no connection.
"""

import threading
from collections import deque
from typing import Any

from skerry_contract import shape, topics
from skerry_contract.messages import DeviceState, State

MAX_LOG_BYTES = 256 * 1024
"""Bytes of lines of logs that may wait for the connection."""
MAX_ANSWERS = 96
"""Responses that are kept to be sent again; the oldest go, and are brought again by their owner."""


class Outgoing:
    """Documents by the end of their topic; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, bytes] = {}
        self._unsent: set[str] = set()
        self._answers: dict[str, bytes] = {}
        self._unsent_answers: set[str] = set()
        self._lines: deque[tuple[str, bytes]] = deque()
        self._line_bytes = 0
        self.state: DeviceState = "init"

    def publish(self, tail: str, document: Any) -> None:
        """Keep the newest version of a retained document."""
        data = shape.dump(document)
        with self._lock:
            self._latest[tail] = data
            self._unsent.add(tail)

    def set_state(self, state: DeviceState) -> bool:
        """Keep what the device is about; return whether that is new."""
        with self._lock:
            if state == self.state:
                return False
            self.state = state
            self._unsent.add(topics.STATE)
            return True

    def answer(self, tail: str, document: Any) -> None:
        """Keep a response, in the place of one before on the same topic."""
        data = shape.dump(document)
        with self._lock:
            self._answers.pop(tail, None)
            self._answers[tail] = data
            self._unsent_answers.add(tail)
            if len(self._answers) > MAX_ANSWERS:
                oldest = next(iter(self._answers))
                del self._answers[oldest]
                self._unsent_answers.discard(oldest)

    def settle(self, tail: str) -> None:
        """Forget a response: the cloud has it."""
        with self._lock:
            self._answers.pop(tail, None)
            self._unsent_answers.discard(tail)

    def ship(self, tail: str, data: bytes) -> bool:
        """Keep lines of a log until they are sent; return whether there was room."""
        with self._lock:
            if self._line_bytes + len(data) > MAX_LOG_BYTES:
                return False
            self._lines.append((tail, data))
            self._line_bytes += len(data)
            return True

    def take_retained(
        self, boot: str, birth: int, ts: str, *, everything: bool
    ) -> list[tuple[str, bytes]]:
        """Return the retained documents to send now, ``state`` last."""
        with self._lock:
            tails = set(self._latest) if everything else self._unsent - {topics.STATE}
            found = [(tail, self._latest[tail]) for tail in sorted(tails)]
            if everything or topics.STATE in self._unsent:
                found.append((topics.STATE, shape.dump(State(self.state, boot, birth, ts))))
            self._unsent.clear()
        return found

    def take_answers(self, *, everything: bool) -> list[tuple[str, bytes]]:
        """Return the responses to send now."""
        with self._lock:
            tails = list(self._answers) if everything else sorted(self._unsent_answers)
            self._unsent_answers.clear()
            return [(tail, self._answers[tail]) for tail in tails]

    def take_lines(self) -> list[tuple[str, bytes]]:
        """Return the lines of logs that wait."""
        with self._lock:
            found = list(self._lines)
            self._lines.clear()
            self._line_bytes = 0
        return found
