"""A clock as input: ``run()`` is called every so many seconds."""

import json
import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from skerry_scorer.inputs.mailbox import Mailbox, Message

log = logging.getLogger(__name__)


class Timer:
    """Brings a message at once and then every ``every_s`` seconds; see ``Origin``.

    What was missed is counted and never made up for: after a pause, or behind a ``run()`` that
    takes longer than the interval, there is one message and not a storm of them.

    Args:
        name: Name of the input.
        every_s: Seconds between two messages, above 0.
    """

    brings_again = False

    def __init__(self, name: str, every_s: float) -> None:
        self._name = name
        self._every_s = every_s
        self._end = threading.Event()

    def start(self, mailbox: Mailbox, folder: Path) -> None:  # noqa: ARG002 - as every origin
        """See ``Origin.start``."""
        self._end = threading.Event()
        arguments = (mailbox, self._end)
        threading.Thread(target=self._tick, args=arguments, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """See ``Origin.stop``."""
        self._end.set()

    def _tick(self, mailbox: Mailbox, end: threading.Event) -> None:
        due, missed = time.monotonic(), 0
        while not end.wait(max(0.0, due - time.monotonic())):
            if mailbox.empty:
                if not mailbox.put(self._message(missed)):
                    return
                missed = 0
            else:
                missed += 1
            due, skipped = next_due(due, time.monotonic(), self._every_s)
            missed += skipped

    def _message(self, missed: int) -> Message:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        content = {"input": self._name, "time": now, "missed": missed}
        return Message(self._name, "time", now, json.dumps(content).encode())


def next_due(due: float, now: float, every_s: float) -> tuple[float, int]:
    """Return when the next message after ``due`` is due, and how many before it are missed.

    Args:
        due: When the last one was due, in seconds.
        now: The time by the same clock.
        every_s: Seconds between two messages.
    """
    missed = max(0, int((now - due) / every_s))
    return due + (missed + 1) * every_s, missed
