"""The clock by which the outbox tells how old an item is; see ``core.age_clock``."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from skerry_agent import durable
from skerry_agent.core.age_clock import Mark, Moment, resumed
from skerry_agent.telling.command_journal import machine_boot
from skerry_contract import shape
from skerry_contract.errors import ContractError

log = logging.getLogger(__name__)

SAVE_EVERY_S = 600.0
"""Seconds between two marks on the disk: what a power cut makes of an age, at most."""
_MAX_BYTES = 4096


def this_moment() -> Moment:
    """Return what the clocks of this machine say."""
    return Moment(machine_boot(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


class AgeClock:
    """Goes on where it stopped, over restarts and reboots.

    Args:
        path: Where its mark lies; the folder exists.
        at_least_s: What it has said before for sure, should the mark be lost.
        moment: Says what the machine's clocks say.
    """

    def __init__(
        self, path: Path, *, at_least_s: float = 0.0, moment: Callable[[], Moment] = this_moment
    ) -> None:
        self._path = path
        self._moment = moment
        self._lock = threading.Lock()
        now = moment()
        self._mark = Mark(max(self._resumed(now), at_least_s), now)
        self._saved_up_s = now.up_s
        self.save()

    def now_s(self) -> float:
        """Return our time, in seconds; it never goes back."""
        with self._lock:
            now = self._moment()
            self._mark = Mark(resumed(self._mark, now), now)
            return self._mark.age_s

    def save_if_due(self) -> None:
        """Write a mark down, if the last one is old."""
        if self._moment().up_s - self._saved_up_s >= SAVE_EVERY_S:
            self.now_s()
            self.save()

    def save(self) -> None:
        """Write a mark down; a disk that refuses makes ages smaller at the next start, no more."""
        try:
            durable.write(self._path, shape.dump(self._mark), mode=0o600)
            self._saved_up_s = self._mark.moment.up_s
        except OSError as error:
            log.warning("%s: %s", self._path, error)

    def _resumed(self, now: Moment) -> float:
        try:
            mark = shape.parse(Mark, self._path.read_bytes(), max_bytes=_MAX_BYTES)
        except (OSError, ContractError):
            return 0.0
        return resumed(mark, now)
