"""Lets the agent see some of the inputs that are scored, to show them to the next version.

One input waits at a time, and only while somebody asks: what is not fetched is not kept.
"""

import json
import threading
import time
from typing import NamedTuple

WANTED_S = 30.0
"""Seconds after a question for which inputs are kept."""
MAX_BYTES = 8 * 1024 * 1024
"""Largest input that is shown."""


class Sample(NamedTuple):
    """One input as ``run()`` got it, and what came of it.

    Attributes:
        data: The input.
        result: The result, as JSON.
        ms: Milliseconds that ``run()`` took.
    """

    data: str | bytes
    result: bytes
    ms: float

    def encode(self) -> bytes:
        """Return it as one line of JSON about it, and then the input."""
        is_text = isinstance(self.data, str)
        head = {"text": is_text, "ms": round(self.ms, 3), "result": json.loads(self.result)}
        body = self.data.encode() if isinstance(self.data, str) else self.data
        return json.dumps(head).encode() + b"\n" + body


class Tee:
    """Keeps the next input for whoever asks; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sample: Sample | None = None
        self._until = 0.0

    def offer(self, data: str | bytes, result: bytes, ms: float) -> None:
        """Keep an input that was scored, if somebody wants one and none waits."""
        if time.monotonic() >= self._until:
            self._sample = None
            return
        with self._lock:
            if self._sample is None and len(data) <= MAX_BYTES:
                self._sample = Sample(data, result, ms)

    def take(self) -> Sample | None:
        """Return the input that waits, if one does, and want another."""
        with self._lock:
            self._until = time.monotonic() + WANTED_S
            sample, self._sample = self._sample, None
        return sample
