"""What the numbers of a profile mean: percentiles, failures, and what to ask for on a device."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

HEADROOM = 1.25
"""What is recommended is so many times what was used."""
CLOSE_ENOUGH = 1.2
"""A smaller share of a processor will do if its p95 is at most so many times the best one's."""
GB = 1024**3
_PERCENTS = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Moment:
    """What the scorer held and had used at one time.

    Attributes:
        at_s: Seconds since it was started.
        rss_bytes: Resident memory, shared pages in full.
        pss_bytes: Resident memory, shared pages divided among who shares them.
        cpu_s: Processor time since its start.
    """

    at_s: float
    rss_bytes: int
    pss_bytes: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Measurements:
    """What one run in one set of limits showed.

    Attributes:
        cpu: Processors that it was held to.
        memory_bytes: Memory that it was held to.
        held_by: What held it.
        cold_start_s: From the start of the process to a finished ``init()``.
        latencies_ms: Of each request that succeeded.
        failures: What each other request was answered.
        wall_s: How long all requests took together.
        cpu_s: Processor time that they took.
        moments: Memory and time, ten times a second.
    """

    cpu: float
    memory_bytes: int
    held_by: str
    cold_start_s: float
    latencies_ms: Sequence[float]
    failures: Sequence[str]
    wall_s: float
    cpu_s: float
    moments: Sequence[Moment]

    @property
    def queries(self) -> int:
        """Return how many requests were made."""
        return len(self.latencies_ms) + len(self.failures)

    @property
    def peak_bytes(self) -> int:
        """Return the largest resident memory that was seen."""
        return max((moment.rss_bytes for moment in self.moments), default=0)

    @property
    def peak_pss_bytes(self) -> int:
        """Return the largest share of memory that was seen."""
        return max((moment.pss_bytes for moment in self.moments), default=0)

    @property
    def peak_cpu(self) -> float:
        """Return the most processors that were used: over half a second, or all requests."""
        average = self.cpu_s / self.wall_s if self.wall_s else 0.0
        return max((_rate(a, b) for a, b in _apart(self.moments, 0.5)), default=average)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that ``percent`` of all (1 to 99) do not exceed; 0 of none."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def recommended_memory(peak_bytes: int) -> float:
    """Return the memory to ask for, in GB: the peak and a quarter, up to the next 0.05."""
    return math.ceil(round(peak_bytes * HEADROOM / GB / 0.05, 6)) * 0.05


def recommended_cpu(runs: Sequence[Measurements]) -> float:
    """Return the processors to ask for: the smallest share that is nearly as fast as the best.

    Of one run: what was used at its busiest and a quarter, up to the next 0.1, and no more than it
    had. Whether more would be faster only several runs can tell.
    """
    if len(runs) == 1:
        wanted = math.ceil(round(runs[0].peak_cpu * HEADROOM / 0.1, 6)) * 0.1
        return round(min(max(wanted, 0.1), runs[0].cpu), 2)
    best = min(percentile(run.latencies_ms, 95) for run in runs)
    return min(run.cpu for run in runs if percentile(run.latencies_ms, 95) <= CLOSE_ENOUGH * best)


def document(name: str, runs: Sequence[Measurements]) -> dict[str, Any]:
    """Return a profile for programs: the original's field names, and what it lacks, of each run.

    Args:
        name: What was profiled.
        runs: At least one; the fields at the top are those of the run that is recommended.
    """
    cpu = recommended_cpu(runs)
    chosen = next((run for run in runs if run.cpu >= cpu), runs[-1])
    return {
        "name": name,
        "recommendedCpu": cpu,
        "recommendedMemoryInGB": round(recommended_memory(max(r.peak_bytes for r in runs)), 2),
        **_run(chosen),
        "runs": [_run(run) for run in runs],
    }


def _run(run: Measurements) -> dict[str, Any]:
    percents = {f"p{p}": round(percentile(run.latencies_ms, p), 4) for p in _PERCENTS}
    mean = statistics.fmean(run.latencies_ms) if run.latencies_ms else 0.0
    return {
        "requestedCpu": run.cpu,
        "requestedMemoryInGB": round(run.memory_bytes / GB, 4),
        "heldBy": run.held_by,
        "maxUtilizedCpu": round(run.peak_cpu, 3),
        "maxUtilizedMemory": round(run.peak_bytes / GB, 4),
        "maxPssBytes": run.peak_pss_bytes,
        "totalQueries": run.queries,
        "successQueries": len(run.latencies_ms),
        "successRate": 100.0 * len(run.latencies_ms) / run.queries if run.queries else 0.0,
        "averageLatencyInMs": round(mean, 4),
        "latencyPercentiles": percents,
        "requestsPerSecond": round(run.queries / run.wall_s, 2) if run.wall_s else 0.0,
        "cpuSecondsPerRequest": round(run.cpu_s / run.queries, 6) if run.queries else 0.0,
        "coldStartInSeconds": round(run.cold_start_s, 3),
        "errors": list(dict.fromkeys(run.failures))[:10],
    }


def _apart(moments: Sequence[Moment], least_s: float) -> list[tuple[Moment, Moment]]:
    found, start = [], 0
    for moment in moments:
        while start + 1 < len(moments) and moment.at_s - moments[start + 1].at_s >= least_s:
            start += 1
        if moment.at_s - moments[start].at_s >= least_s:
            found.append((moments[start], moment))
    return found


def _rate(a: Moment, b: Moment) -> float:
    return (b.cpu_s - a.cpu_s) / (b.at_s - a.at_s)
