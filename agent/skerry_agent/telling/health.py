"""Measure the machine and the agent, for the heartbeat. Names are Memfault's where it has one.

Everything is read from the kernel's files; what this machine does not tell is left out.
"""

import ctypes
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

MAX_INTERFACES = 4
"""Network interfaces that are told one by one; their sum counts all."""
JUMP_S = 5.0
"""Seconds by which the wall clock may drift between two looks before it counts as set."""
_STA_UNSYNC = 0x40
_TIME_ERROR = 5


class Metrics:
    """Counts what cannot be read from the machine, and reads the rest when asked.

    Args:
        state: Folder whose disk is watched.
        connected_s: Gives the seconds of connection since the start.
        root: Where ``proc`` and ``sys`` are.
    """

    def __init__(
        self, state: Path, connected_s: Callable[[], float], root: Path = Path("/")
    ) -> None:
        self._state = state
        self._connected_s = connected_s
        self._root = root
        self._started = time.monotonic()
        self._wall = WallClock()
        self._crashed_hours: set[int] = set()
        self.crashes = 0
        self.sync_successful = 0
        self.sync_failure = 0
        self.commands_refused = 0

    def crashed(self) -> None:
        """Count a crash of a module or of the agent."""
        self.crashes += 1
        self._crashed_hours.add(int((time.monotonic() - self._started) / 3600))

    def read(self) -> dict[str, float]:
        """Return every metric that this machine gives, by name; bytes, seconds or counts."""
        up_s = time.monotonic() - self._started
        found: dict[str, float] = {
            "operational_hours": up_s / 3600,
            "operational_crashfree_hours": max(0.0, up_s / 3600 - len(self._crashed_hours)),
            "operational_crashes": self.crashes,
            "sync_successful": self.sync_successful,
            "sync_failure": self.sync_failure,
            "commands_refused": self.commands_refused,
            "connectivity_expected_time_ms": up_s * 1000,
            "connectivity_connected_time_ms": self._connected_s() * 1000,
            "agent_memory_rss_bytes": resident_bytes(),
            "agent_cpu_seconds": time.process_time(),
            "agent_threads": _threads(self._root),
            "cpu_load_1min": os.getloadavg()[0],
            **self._wall.look(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)),
        }
        for part in (_disk(self._state), _memory(self._root), _uptime(self._root)):
            found.update(part)
        found.update(_temperature(self._root))
        found.update(_network(self._root))
        return {name: round(float(value), 3) for name, value in found.items()}


class WallClock:
    """How far the wall clock can be trusted: whether it is kept right, and whether it was set."""

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._jumps = 0
        self._last_jump_s = 0.0

    def look(self, wall_s: float, up_s: float) -> dict[str, float]:
        """Return what is known, given the wall clock and the kernel's count of seconds."""
        offset_s = wall_s - up_s
        if self._offset_s is not None and abs(offset_s - self._offset_s) > JUMP_S:
            self._jumps += 1
            self._last_jump_s = offset_s - self._offset_s
        self._offset_s = offset_s
        found = {"clock_jumps": float(self._jumps), "clock_last_jump_s": self._last_jump_s}
        return {**found, **_kept_clock()}


def resident_bytes(process: str = "self", root: Path = Path("/")) -> int:
    """Return the memory that a process holds in RAM.

    Raises:
        OSError: There is no such process.
    """
    pages = (root / "proc" / process / "statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def processor_s(process: int, root: Path = Path("/")) -> float:
    """Return the processor time that a process has used, in seconds.

    Raises:
        OSError: There is no such process.
    """
    # The name stands in brackets and may hold anything; times are fields 14 and 15.
    stat = (root / "proc" / str(process) / "stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def memory_total_bytes() -> int:
    """Return the memory of the machine."""
    return int(_memory(Path("/")).get("memory_total_bytes", 0))


def _disk(folder: Path) -> dict[str, float]:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return {}
    found: dict[str, float] = {
        "disk_free_bytes": disk.f_bavail * disk.f_frsize,
        "disk_total_bytes": disk.f_blocks * disk.f_frsize,
    }
    if disk.f_files:
        found["disk_free_files"] = disk.f_favail
    return found


def _memory(root: Path) -> dict[str, float]:
    wanted = {
        "MemTotal": "memory_total_bytes",
        "MemAvailable": "memory_available_bytes",
        "SwapFree": "swap_free_bytes",
    }
    found = {}
    for line in _lines(root / "proc/meminfo"):
        name, _, value = line.partition(":")
        if name in wanted:
            found[wanted[name]] = int(value.split()[0]) * 1024.0
    return found


def _uptime(root: Path) -> dict[str, float]:
    for line in _lines(root / "proc/uptime"):
        return {"uptime_s": float(line.split()[0])}
    return {}


def _threads(root: Path) -> int:
    with suppress(OSError):
        return len(list((root / "proc/self/task").iterdir()))
    return 0


def _temperature(root: Path) -> dict[str, float]:
    """Return the temperature of the hottest zone, and by the type of each."""
    found: dict[str, float] = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*"))[:MAX_INTERFACES]:
        with suppress(OSError, ValueError):
            celsius = int((zone / "temp").read_text()) / 1000
            name = _plain((zone / "type").read_text().strip())
            found[f"temperature_{name}_celsius"] = celsius
    if found:
        found["cpu_temperature_celsius"] = max(found.values())
    return found


def _network(root: Path) -> dict[str, float]:
    received = sent = 0
    found: dict[str, float] = {}
    for name, recv_bytes, sent_bytes in _interfaces(root):
        received += recv_bytes
        sent += sent_bytes
        if recv_bytes + sent_bytes and len(found) < 2 * MAX_INTERFACES:
            found[f"connectivity_{_plain(name)}_recv_bytes"] = recv_bytes
            found[f"connectivity_{_plain(name)}_sent_bytes"] = sent_bytes
    if found:
        found |= {"connectivity_recv_bytes": received, "connectivity_sent_bytes": sent}
    return found


def _interfaces(root: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, bytes received and bytes sent of each interface that leads elsewhere."""
    for line in _lines(root / "proc/net/dev")[2:]:
        name, _, numbers = line.partition(":")
        fields = numbers.split()
        if name.strip() != "lo" and len(fields) >= 9:
            yield name.strip(), int(fields[0]), int(fields[8])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")[:32] or "other"


class _Timex(ctypes.Structure):
    """``struct timex`` of adjtimex(2), as far as it is read here; the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_char * 256),
    )


def _kept_clock() -> dict[str, float]:
    """Return whether something keeps the clock right, and how wrong it may be, by adjtimex(2)."""
    timex = _Timex()
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return {}
    if answer < 0:
        return {}
    kept = answer != _TIME_ERROR and not timex.status & _STA_UNSYNC
    found = {"clock_synchronized": float(kept)}
    if kept:
        found["clock_error_s"] = timex.maxerror / 1e6
    return found
