"""Measure the machine and the agent, for the heartbeat. Names are Memfault's where it has one."""

import os
import time
from collections.abc import Callable
from pathlib import Path

_PROC = Path("/proc")


class Metrics:
    """Counts what cannot be read from the machine, and reads the rest when asked.

    Args:
        state: Folder whose disk is watched.
        connected_s: Gives the seconds of connection since the start.
    """

    def __init__(self, state: Path, connected_s: Callable[[], float]) -> None:
        self._state = state
        self._connected_s = connected_s
        self._started = time.monotonic()
        self.crashes = 0
        self.sync_successful = 0
        self.sync_failure = 0

    def read(self) -> dict[str, float]:
        """Return every metric that this machine gives, by name; bytes, seconds or counts."""
        up_s = time.monotonic() - self._started
        disk = os.statvfs(self._state)
        found = {
            "operational_hours": up_s / 3600,
            "operational_crashes": self.crashes,
            "sync_successful": self.sync_successful,
            "sync_failure": self.sync_failure,
            "connectivity_expected_time_ms": up_s * 1000,
            "connectivity_connected_time_ms": self._connected_s() * 1000,
            "disk_free_bytes": disk.f_bavail * disk.f_frsize,
            "disk_total_bytes": disk.f_blocks * disk.f_frsize,
            "cpu_load_1min": os.getloadavg()[0],
            "agent_memory_rss_bytes": resident_bytes(),
            "agent_cpu_seconds": time.process_time(),
            **_memory(),
            **_temperature(),
        }
        return {name: round(float(value), 3) for name, value in found.items()}


def resident_bytes() -> int:
    """Return the memory that this process holds in RAM."""
    pages = (_PROC / "self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def memory_total_bytes() -> int:
    """Return the memory of the machine."""
    return int(_memory().get("memory_total_bytes", 0))


def _memory() -> dict[str, float]:
    wanted = {"MemTotal": "memory_total_bytes", "MemAvailable": "memory_available_bytes"}
    found = {}
    for line in (_PROC / "meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in wanted:
            found[wanted[name]] = int(value.split()[0]) * 1024.0
    return found


def _temperature() -> dict[str, float]:
    try:
        text = Path("/sys/class/thermal/thermal_zone0/temp").read_text()
        return {"cpu_temperature_celsius": int(text) / 1000}
    except (OSError, ValueError):
        return {}
