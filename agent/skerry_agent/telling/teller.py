"""Stores what modules and the agent have to tell."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from skerry_agent.telling.outbox import Entry, Outbox, Rank
from skerry_contract import shape
from skerry_contract.desired import write_time
from skerry_contract.errors import SkerryError
from skerry_contract.messages import Event

log = logging.getLogger(__name__)


class Teller:
    """Stores what modules and the agent have to tell, and wakes the uplink to carry it.

    Args:
        outbox: Where it is stored.
        now_s: Clock of its ages.
        wake: Wakes whoever carries it.
    """

    def __init__(
        self, outbox: Outbox, now_s: Callable[[], float], wake: Callable[[], None]
    ) -> None:
        self._outbox = outbox
        self._now_s = now_s
        self._wake = wake

    def store(self, entries: Sequence[Entry]) -> None:
        """Store entries durably.

        Raises:
            ContractError: One of them is too large.
            NoSpaceError: There is no room.
        """
        self._outbox.put(entries, ts=now_text(), now_s=self._now_s())
        self._wake()

    def event(self, kind: str, event: Event) -> None:
        """Tell an event; where there is no room for it, it is counted, and the log has it."""
        try:
            self.store([Entry(f"event/{kind}", Rank.EVENT, shape.dump(event))])
        except SkerryError as error:
            log.warning("event %s (%s) is lost: %s", kind, event.text, error)
            with suppress(SkerryError):
                self._outbox.count_dropped("refused")


def now_text() -> str:
    """Return the time as people and the contract write it."""
    return write_time(datetime.now(UTC))
