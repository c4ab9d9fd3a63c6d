"""Following a deployment until every device has taken or refused it."""

import time
from collections.abc import Callable, Sequence

from skerry.answers import Deployment, DeviceProgress
from skerry.output import count_text
from skerry_contract.errors import DeadlineError

SETTLED = frozenset({"committed", "refused", "superseded"})
"""Phases that a device does not leave by itself."""
POLL_S = 0.5
_MOST_NAMES = 10


def follow(
    found: Deployment,
    look: Callable[[Deployment], Deployment],
    say: Callable[[str], object],
    timeout_s: float,
) -> Deployment:
    """Return a deployment once no device is under way with it; tell of each device's steps.

    Args:
        found: How it is now.
        look: Asks how it is by then.
        say: Is told ``device: phase``, once for each change.
        timeout_s: Seconds that it may take.

    Raises:
        DeadlineError: It took longer; the text names the devices that are not there yet.
    """
    deadline, told = time.monotonic() + timeout_s, dict[str, str]()
    while True:
        for one in found.devices:
            if told.get(one.device) != one.phase:
                told[one.device] = one.phase
                say(f"{one.device}: {one.phase}")
        waiting = [one for one in found.devices if one.phase not in SETTLED]
        if not waiting:
            return found
        if time.monotonic() > deadline:
            raise _late(found, waiting)
        time.sleep(POLL_S)
        found = look(found)


def _late(found: Deployment, waiting: Sequence[DeviceProgress]) -> DeadlineError:
    shown = (f"{one.device} ({one.phase}, {one.presence})" for one in waiting[:_MOST_NAMES])
    return DeadlineError(
        f"{found.name}:{found.version} is not settled in time on "
        f"{count_text(len(waiting), 'device')}: {', '.join(shown)}",
        remedy="It stays wanted. See 'skerry device show', or wait longer.",
    )
