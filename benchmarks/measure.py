"""Read what processes cost from /proc, and say how things compare.

A number of one run on one machine says little; a ratio between two things measured side by side
says more, so that is what the benchmarks print.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What processes hold and have used.

    Attributes:
        rss_bytes: Resident memory, pages shared with others counted in full.
        pss_bytes: Resident memory, shared pages divided among who shares them.
        private_bytes: Resident memory that nobody shares: what would be free without them.
        cpu_s: Processor time since their start, in seconds.
    """

    rss_bytes: int
    pss_bytes: int
    private_bytes: int
    cpu_s: float


def usage(pids: Iterable[int]) -> Usage:
    """Return what these processes hold and have used, together.

    Raises:
        OSError: One of them does not exist, or is not ours to look at.
    """
    each = [_usage(pid) for pid in pids]
    return Usage(
        sum(u.rss_bytes for u in each),
        sum(u.pss_bytes for u in each),
        sum(u.private_bytes for u in each),
        sum(u.cpu_s for u in each),
    )


def forget_peak(pid: int) -> None:
    """Let ``peak_bytes`` of a process begin anew, at what it holds now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # as proc(5) has it


def peak_bytes(pid: int) -> int:
    """Return the most resident memory that a process has held at once."""
    status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def family(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for parent in found:  # grows while it is walked
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def times_s(action: Callable[[], object], *, rounds: int) -> list[float]:
    """Return how long each of ``rounds`` calls took, in seconds."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return taken


def percentile(values: list[float], percent: int) -> float:
    """Return the value that ``percent`` of all (1 to 99) do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Return how the medians compare: above 1, ours is the larger."""
    return statistics.median(ours) / statistics.median(theirs)


def _usage(pid: int) -> Usage:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    sizes = {line.split(":")[0]: line.split() for line in rollup.splitlines()[1:]}
    # The program's name stands in parentheses and may hold anything; fields count from behind it.
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = int(after_name[11]), int(after_name[12])
    private = int(sizes["Private_Clean"][1]) + int(sizes["Private_Dirty"][1])
    return Usage(
        int(sizes["Rss"][1]) * 1024,
        int(sizes["Pss"][1]) * 1024,
        private * 1024,
        (user + system) / _TICKS_PER_S,
    )
