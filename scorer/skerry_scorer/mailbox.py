"""A bounded queue between whatever brings inputs and the thread that scores them."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_WAITING = 1000
"""Most inputs that wait in a mailbox."""
MAX_WAITING_BYTES = 8 * 1024 * 1024
"""Most bytes that wait in a mailbox, unless it is one input alone."""


def _nothing() -> None:
    """Settle what needs no settling."""


@dataclass(frozen=True)
class Message:
    """One input that is no file.

    Attributes:
        input: Name of the input.
        kind: ``topic``, ``line`` or ``time``.
        name: The topic, the number of the line, or when it was due.
        content: The bytes.
        fault: Why it cannot be given to ``run()``, or "".
        settled: Tells where it came from that it needs not come again; from any thread.
    """

    input: str
    kind: str
    name: str
    content: bytes
    fault: str = ""
    settled: Callable[[], None] = field(default=_nothing, compare=False)


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

    def put(self, message: Message) -> bool:
        """Add a message as soon as there is room; return False if the mailbox was closed."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open or self._has_room(message))
            if not self._open:
                return False
            first = not self._messages
            self._messages.append(message)
            self._bytes += len(message.content)
        if first:
            self._wake()
        return True

    def take(self) -> Message | None:
        """Return the oldest message, or None."""
        if not self._messages:  # asked often, and a lock is not needed to be late
            return None
        with self._changed:
            if not self._messages:
                return None
            message = self._messages.popleft()
            self._bytes -= len(message.content)
            self._changed.notify()
        return message

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

    def _has_room(self, message: Message) -> bool:
        if not self._messages:
            return True
        full = self._bytes + len(message.content) > MAX_WAITING_BYTES
        return not full and len(self._messages) < MAX_WAITING
