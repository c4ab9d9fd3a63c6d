"""Send the lines of a log for as long as a command says: QoS 0, and never more than so much.

Lines are numbered from 1 in each lease, so whoever reads them sees what was lost on the way.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from skerry_agent.core.log_tail import news
from skerry_contract import shape
from skerry_contract.commands import LogLines, LogsArgs

LOOK_S = 0.5
"""Seconds between two looks at a log."""
RATE_BYTES_S = 32 * 1024
"""Most bytes of lines in a second; what is more is counted, and not sent."""
MAX_LINE_CHARS = 4000
_PART_CHARS, _PART_LINES = 8 * 1024, 200

Ship = Callable[[str, bytes], bool]
"""Called with the end of a topic and a payload; false if it could not be sent, and is lost."""


class LogShipper:
    """Sends logs.

    Args:
        boot: Boot id of the agent.
        read: Returns the end of a module's log; of the agent's for an empty name.
        ship: Sends a payload.
        now_text: Gives the time as text for people.
    """

    def __init__(
        self, boot: str, read: Callable[[str], str], ship: Ship, now_text: Callable[[], str]
    ) -> None:
        self._boot = boot
        self._read = read
        self._ship = ship
        self._now_text = now_text

    def ship(self, args: LogsArgs, lease: str, stop: threading.Event) -> dict[str, Any]:
        """Send a log until the lease ends or ``stop`` is set; return what was sent and lost.

        Raises:
            SkerryError: There is no such log, or it cannot be read at the start.
        """
        first = news("", self._read(args.module))
        sent = _Sent(lease, args.module or "agent")
        self._send(sent, first.lines[len(first.lines) - args.lines :])
        seen, end = first.seen, time.monotonic() + args.seconds
        gaps = 0
        while time.monotonic() < end and not stop.wait(LOOK_S):
            found = news(seen, self._read(args.module))
            seen = found.seen
            gaps += found.gap
            self._send(sent, found.lines)
        return {"lines": sent.lines, "lost": sent.lost, "gaps": gaps}

    def _send(self, sent: "_Sent", lines: tuple[str, ...]) -> None:
        for part in _parts(lines):
            payload = LogLines(self._boot, self._now_text(), sent.lease, sent.first, part)
            sent.first += len(part)
            data = shape.dump(payload)
            if sent.has_room(len(data)) and self._ship(f"log/{sent.module}", data):
                sent.lines += len(part)
            else:
                sent.lost += len(part)


def _parts(lines: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Cut lines into parts that fit into a payload each."""
    part: list[str] = []
    size = 0
    for line in lines:
        cut = line[:MAX_LINE_CHARS]
        if part and (size + len(cut) > _PART_CHARS or len(part) == _PART_LINES):
            yield tuple(part)
            part, size = [], 0
        part.append(cut)
        size += len(cut)
    if part:
        yield tuple(part)


class _Sent:
    """What was sent under one lease."""

    def __init__(self, lease: str, module: str) -> None:
        self.lease = lease
        self.module = module
        self.first = 1
        self.lines = 0
        self.lost = 0
        self._room = float(2 * RATE_BYTES_S)
        self._filled = time.monotonic()

    def has_room(self, size: int) -> bool:
        """Return whether so many bytes may be sent now, and count them."""
        now = time.monotonic()
        self._room += (now - self._filled) * RATE_BYTES_S
        self._room = min(self._room, 2.0 * RATE_BYTES_S)
        self._filled = now
        if size > self._room:
            return False
        self._room -= size
        return True
