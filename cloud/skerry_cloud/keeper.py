"""Look after the broker's process: start it again when it has died, with growing pauses."""

import logging
from collections.abc import Callable

from skerry_cloud.messaging import Process
from skerry_contract.errors import BrokerError

log = logging.getLogger(__name__)

MAX_PAUSE_S = 60.0
_FIRST_PAUSE_S = 1.0
_WELL_S = 60.0
"""A broker that ran so long counts as well, and its next restart does not wait."""


class Keeper:
    """Keeps one process running; somebody has to call ``look`` now and then.

    Args:
        process: The broker.
        clock: Gives seconds that only grow.
    """

    def __init__(self, process: Process, clock: Callable[[], float]) -> None:
        self._process = process
        self._clock = clock
        self._pause_s = 0.0
        self._last_try = clock()

    def look(self) -> None:
        """Start the process again if it is dead and the pause is over."""
        if self._process.alive():
            return
        now = self._clock()
        if now - self._last_try >= _WELL_S + self._pause_s:
            self._pause_s = 0.0
        if now - self._last_try < self._pause_s:
            return
        self._last_try = now
        self._pause_s = min(MAX_PAUSE_S, max(_FIRST_PAUSE_S, self._pause_s * 2))
        log.error("the broker has died; starting it again")
        try:
            self._process.restart()
        except (BrokerError, OSError) as error:
            log.error("%s; next try in %.0f s", error, self._pause_s)  # noqa: TRY400 (its text says it all)
