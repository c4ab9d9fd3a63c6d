"""Charge what crosses the connection to the broker to the month's data budget, by cause.

What a payload is for is known when it is sent; what the connection really took, with TLS, headers
and what had to be sent again, the kernel says. The difference is ``control``.
"""

import socket
from collections import Counter

from skerry_agent.data_meter import DataMeter, SocketCount
from skerry_contract.messages import Cause

SETTLE_EVERY_S = 5.0
"""Seconds between two looks at the kernel's count."""


class LinkMeter:
    """Counts one connection.

    Args:
        meter: The device's meter.
    """

    def __init__(self, meter: DataMeter) -> None:
        self._meter = meter
        self._count: SocketCount | None = None
        self._noted: Counter[Cause] = Counter()
        self._due = 0.0

    def allows(self, cause: Cause, size: int) -> bool:
        """Return whether ``size`` more bytes of a cause are within its budget."""
        left = self._meter.left(cause)
        return left is None or left >= size + self._noted[cause]

    def note(self, cause: Cause, size: int) -> None:
        """Note a payload that was sent."""
        self._noted[cause] += size

    def settle(self, sock: socket.socket | None, now: float, *, at_once: bool = False) -> None:
        """Charge what is new, if it is time to, at monotonic time ``now``."""
        if sock is None or (now < self._due and not at_once):
            return
        self._due = now + SETTLE_EVERY_S
        if self._count is None:
            self._count = SocketCount(sock)
        self._count.follow(sock)
        sent, received = self._count.take()
        for cause, size in self._noted.items():
            self._meter.charge(cause, sent=size)
        rest = max(0, sent - self._noted.total())
        self._noted.clear()
        self._meter.charge("control", sent=rest, received=received)
