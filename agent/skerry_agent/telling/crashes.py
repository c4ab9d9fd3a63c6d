"""Tell at a start how the run before has ended, if it did not end in good order.

A file says that the agent runs; a clean end removes it. What was written in the log last goes into
the event, and what the interpreter could say when a signal ended it.
"""

import faulthandler
import logging
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from skerry_agent import durable
from skerry_agent.telling.agent_log import end_of_log
from skerry_agent.telling.command_journal import machine_boot
from skerry_contract.messages import MAX_DETAIL_CHARS, Event

log = logging.getLogger(__name__)

RUNNING, FAULT = "running", "fault.log"
"""Files in the state folder."""
_LINES = 30


class CrashWatch:
    """Knows whether the run before has crashed, and marks this one.

    Args:
        state: The agent's state folder.
    """

    def __init__(self, state: Path) -> None:
        self._mark = state / RUNNING
        self._state = state

    def begin(self) -> Event | None:
        """Mark this run as one that goes on; return what there is to tell of the one before."""
        event = self._left()
        with suppress(OSError):
            durable.write(self._mark, machine_boot().encode(), mode=0o600)
        return event

    def end(self) -> None:
        """Note that this run ends in good order."""
        with suppress(OSError):
            self._mark.unlink()

    def _left(self) -> Event | None:
        try:
            machine = self._mark.read_text()
        except OSError:
            return None
        lines = end_of_log(self._state, MAX_DETAIL_CHARS).splitlines()[-_LINES:]
        with suppress(OSError):
            lines += (self._state / FAULT).read_text(errors="replace").splitlines()[-_LINES:]
        detail = "\n".join(lines)[-MAX_DETAIL_CHARS:]
        if machine != machine_boot():
            text = "the machine went down before the agent had ended: power, reset or crash"
            return Event("warning", "POWER", text, detail=detail)
        text = "the agent ended without saying goodbye; it was killed, or has crashed"
        return Event("error", "CRASH", text, detail=detail)


def catch_faults(state: Path) -> BinaryIO | None:
    """Have the interpreter say where it was, should a signal end it; in the file that is returned.

    It must stay open for as long as the process lives. Call it after ``CrashWatch.begin``.
    """
    try:
        file = (state / FAULT).open("wb")
    except OSError:
        return None
    faulthandler.enable(file)
    return file
