"""Results of requests, on their way to the agent: whoever asked has his answer already.

They wait in a bounded queue. While it is full the host takes no further request of theirs, so the
agent's pace is that of HTTP too, as it is that of every input.
"""

import asyncio
import logging
from collections import deque

from skerry_scorer.feeding.batch import failed_item, result_item
from skerry_scorer.feeding.results import MAX_ITEM_BYTES, MAX_ITEMS, Results, store_all
from skerry_scorer.inputs.mailbox import Message

log = logging.getLogger(__name__)

MAX_WAITING = 1000
"""Most results that wait."""
MAX_WAITING_BYTES = 4 * 1024 * 1024
"""Bytes of results above which none is taken."""
KIND = "request"
"""What results call the id of a request."""


class Answered:
    """Hands results of requests to the agent; all of it belongs to the event loop.

    Args:
        name: Name of the input.
        stream: Stream that results go to.
        results: Where they go.
    """

    def __init__(self, name: str, stream: str, results: Results) -> None:
        self._name = name
        self._stream = stream
        self._results = results
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._stopping = False

    @property
    def full(self) -> bool:
        """Whether no further request may be scored now."""
        return len(self._waiting) >= MAX_WAITING or self._bytes >= MAX_WAITING_BYTES

    def scored(self, request_id: str, result: bytes, ms: float) -> None:
        """Have a result stored.

        Args:
            request_id: Id of the request.
            result: What ``run()`` returned, as JSON.
            ms: How long it took, in milliseconds.
        """
        item = result_item(self._stream, self._taken(request_id), result, ms)
        if len(item) > MAX_ITEM_BYTES:
            text = f"the result has {len(item)} bytes, at most {MAX_ITEM_BYTES} fit"
            self.failed(request_id, text)
        else:
            self._put(item)

    def failed(self, request_id: str, text: str) -> None:
        """Have it told that a request has failed; the log has the traceback."""
        self._put(failed_item(self._taken(request_id), text))

    async def run(self) -> None:
        """Store what comes until ``stop``, and then what is left."""
        while self._waiting or not self._stopping:
            if not self._waiting:
                self._changed.clear()
                await self._changed.wait()
                continue
            items = [self._waiting[i] for i in range(min(MAX_ITEMS, len(self._waiting)))]
            for refusal in await store_all(self._results, items):
                if refusal:
                    log.warning("%s: the agent refused a result: %s", self._name, refusal)
            for item in items:
                self._waiting.popleft()
                self._bytes -= len(item)

    def stop(self) -> None:
        """Let ``run`` return once nothing waits."""
        self._stopping = True
        self._changed.set()

    def _put(self, item: bytes) -> None:
        self._waiting.append(item)
        self._bytes += len(item)
        self._changed.set()

    def _taken(self, request_id: str) -> Message:
        return Message(self._name, KIND, request_id, b"")
