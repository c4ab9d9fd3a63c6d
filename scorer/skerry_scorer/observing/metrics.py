"""What the host counts, in Prometheus' text format (exposition format 0.0.4).

The series are few and their number is bounded: paths are those of the host, never what a client
has asked for.
"""

import os
import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Upper bounds of the latency histogram, in seconds."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Histogram:
    """How many values lie at or below each of ``BUCKETS_S``, and their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    sum_s: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count a value."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds

    def lines(self, name: str) -> list[str]:
        """Return the series of the histogram."""
        total, found = 0, []
        for bound, count in zip((*BUCKETS_S, "+Inf"), self.counts, strict=True):
            total += count
            found.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*found, f"{name}_sum {self.sum_s:.6f}", f"{name}_count {total}"]


@dataclass(frozen=True)
class Present:
    """What is so at the moment of asking.

    Attributes:
        ready: Whether requests are taken.
        scored: Results since the start.
        failed: Inputs and requests without one.
        waiting: Requests that wait for ``run()``.
        receiving_bytes: Bytes held of requests that are not whole yet, beyond the first of each.
        under_way: Calls of ``run()`` that are under way.
        busy_s: Seconds that the longest of them has taken.
    """

    ready: bool
    scored: int
    failed: int
    waiting: int
    receiving_bytes: int
    under_way: int
    busy_s: float


class Metrics:
    """Counters of one host; all of it belongs to the event loop."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._latency = Histogram()
        self.init_s: float | None = None
        self._started = time.time()

    def answered(self, path: str, status: int, seconds: float | None = None) -> None:
        """Count an answer, and how long it took where it was scored."""
        self._requests[path, status] += 1
        if seconds is not None:
            self._latency.observe(seconds)

    def render(self, present: Present) -> bytes:
        """Return all of it as text."""
        requests = [
            f'skerry_http_requests_total{{path="{path}",status="{status}"}} {count}'
            for (path, status), count in sorted(self._requests.items())
        ]
        latency = self._latency.lines("skerry_score_seconds")
        blocks = [
            _block("skerry_http_requests_total", "counter", "Answers over HTTP.", requests),
            _block("skerry_score_seconds", "histogram", "From a request to its answer.", latency),
            *self._present(present),
        ]
        if self.init_s is not None:
            blocks.append(_one("skerry_init_seconds", "gauge", "What init() took.", self.init_s))
        return "".join([*blocks, *self._process()]).encode()

    def _present(self, present: Present) -> list[str]:
        return [
            _one("skerry_ready", "gauge", "1 once init() has returned.", int(present.ready)),
            _one("skerry_waiting", "gauge", "Calls that wait for run().", present.waiting),
            _one(
                "skerry_receiving_bytes", "gauge", "Unfinished requests.", present.receiving_bytes
            ),
            _one("skerry_running", "gauge", "Calls of run() under way.", present.under_way),
            _one("skerry_run_busy_seconds", "gauge", "Age of the oldest run().", present.busy_s),
            _one("skerry_scored_total", "counter", "Results, over HTTP or not.", present.scored),
            _one("skerry_failed_total", "counter", "Inputs without a result.", present.failed),
        ]

    def _process(self) -> list[str]:
        resident, cpu_s = process_usage()
        return [
            _one("process_resident_memory_bytes", "gauge", "Resident memory.", resident),
            _one("process_cpu_seconds_total", "counter", "Processor time used.", cpu_s),
            _one("process_start_time_seconds", "gauge", "Start, in Unix time.", self._started),
        ]


def process_usage() -> tuple[int, float]:
    """Return the resident memory of this process in bytes, and its processor time in seconds."""
    resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE_BYTES
    times = os.times()
    return resident, times.user + times.system


def _one(name: str, kind: str, text: str, value: float) -> str:
    return _block(name, kind, text, [f"{name} {value}"])


def _block(name: str, kind: str, text: str, lines: list[str]) -> str:
    return "\n".join([f"# HELP {name} {text}", f"# TYPE {name} {kind}", *lines, ""])
