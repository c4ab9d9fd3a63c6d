"""The clocks that reconciling goes by; a test puts in others."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is.

    Attributes:
        monotonic: Seconds that only grow, for deadlines and pauses.
        since_boot: Seconds since the machine started, the time that it slept included.
        boot: Identity of this start of the machine; the clock above means nothing in another.
        utc: The time of day, which may be wrong and may jump.
    """

    monotonic: Callable[[], float]
    since_boot: Callable[[], float]
    boot: str
    utc: Callable[[], datetime]


def machine_clock() -> Clock:
    """Return the clocks of this machine."""
    try:
        boot = _BOOT_ID.read_text().strip()
    except OSError:  # no procfs: then every start of the agent counts as one of the machine
        boot = f"agent-{time.time_ns()}"
    return Clock(
        time.monotonic,
        lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        boot,
        lambda: datetime.now(UTC),
    )
