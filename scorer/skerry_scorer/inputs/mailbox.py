"""A bounded queue between whatever brings inputs and the thread that scores them."""

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

MAX_WAITING = 1000
"""Most inputs that wait in a mailbox."""
MAX_WAITING_BYTES = 8 * 1024 * 1024
"""Bytes in a mailbox above which nothing more is put in."""
TAKEN, TAKEN_BYTES = 64, 256 * 1024
"""About how many messages and bytes are taken at once."""


def _nothing() -> None:
    """Settle what needs no settling."""


class Message(NamedTuple):
    """One input that is no file.

    Attributes:
        input: Name of the input.
        kind: ``topic``, ``line``, ``stream`` or ``time``.
        name: The topic or stream, the number of the line, or when it was due.
        content: The bytes.
        fault: Why it cannot be given to ``run()``, or "".
        settled: Tells where it came from that it needs not come again; from any thread.
    """

    input: str
    kind: str
    name: str
    content: bytes
    fault: str = ""
    settled: Callable[[], None] = _nothing


class Mailbox:
    """Holds messages in order; whoever brings too many waits. Safe for threads.

    Args:
        wake: Called when a message has come into an empty mailbox.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._open = True

    def put(self, *messages: Message) -> bool:
        """Add messages as soon as there is room; return False if the mailbox was closed.

        There is room where less waits than the limits say, so they are passed by one call at most.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._open or self._has_room())
            if not self._open:
                return False
            first = not self._messages
            self._messages.extend(messages)
            self._bytes += sum(len(message.content) for message in messages)
        if first and messages:
            self._wake()
        return True

    def take(self) -> list[Message]:
        """Return some of the oldest messages; none if there are none."""
        if not self._messages:  # asked often, and a lock is not needed to be late
            return []
        found: list[Message] = []
        size = 0
        with self._changed:
            while self._messages and len(found) < TAKEN and size < TAKEN_BYTES:
                found.append(self._messages.popleft())
                size += len(found[-1].content)
            self._bytes -= size
            # Who waits is woken for more than a few: it takes what it puts in from who takes it.
            if len(self._messages) <= MAX_WAITING // 2 and self._bytes <= MAX_WAITING_BYTES // 2:
                self._changed.notify()
        return found

    def clear(self) -> None:
        """Forget all messages: they will come again."""
        with self._changed:
            self._messages.clear()
            self._bytes = 0
            self._changed.notify_all()

    def close(self) -> None:
        """Forget all messages and take no more; who waits in ``put`` returns."""
        self._open = False
        self.clear()

    @property
    def empty(self) -> bool:
        """Whether no message waits."""
        return not self._messages

    def _has_room(self) -> bool:
        return self._bytes < MAX_WAITING_BYTES and len(self._messages) < MAX_WAITING
